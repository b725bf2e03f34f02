"""Builds datasets from the released files: read → locate → acquire → assemble.

Their conversations are kept as they are. `locate` runs where images come from a bucket.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.dataset.messages import provenance, turns
from llavamed_data.engine.local import Engine
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import DROPPED, write_dropped
from llavamed_data.io.parquet import read_rows, row_writer, write_rows
from llavamed_data.pipeline.builds.card import card_of
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary, Built
from llavamed_data.pipeline.steps.assemble import Record, assemble
from llavamed_data.pipeline.steps.image_store import TRANSIENT
from llavamed_data.pipeline.steps.lost_images import LOST, LostImages, write_lost
from llavamed_data.pipeline.steps.row_images import Found, RowImages, open_images
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.reasons import Drop, Dropped, Reason, Tally
from llavamed_data.recipes import EVAL, Recipe, Task
from llavamed_data.sources.released import (
    ReleasedFiles,
    ReleasedRow,
    RowFile,
    pmcids_of,
    released_eval_pmids,
)

SOURCE = "released"
UNKNOWN_LICENSE = "unknown"
"""The released files name no image's licence; it is that of the article in `pmcid` or `pmid`."""

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field(
            "turns", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())])), nullable=False
        ),
        pa.field("domain", pa.string()),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("inline_mentions", pa.list_(pa.string()), nullable=False),
        pa.field("figure_label", pa.string(), nullable=False),
        pa.field("pmcid", pa.string()),
        pa.field("file", pa.string()),
        pa.field("pmid", pa.string()),
        pa.field("question_id", pa.int64()),
        pa.field("question_type", pa.string()),
    ]
)
"""A row as it was released. `file` is its image's name in the package of `pmcid`, null where that is not known."""

ILLUSTRATED = pa.schema(
    [
        *ROWS,
        pa.field("locator", pa.string()),
        pa.field("license", pa.string()),
        pa.field("image_digest", pa.string()),
        pa.field("image_bytes", pa.int64()),
    ]
)
"""A released row with its image on the shelf; the image's fields are null where it is lost and the row kept."""

_PMCID = re.compile(r"PMC[1-9]\d{0,14}", re.ASCII)


def build_from_released(
    recipes: Sequence[Recipe], location: str, options: BuildOptions, engine: Engine
) -> BuildSummary:
    """Builds each recipe from the released files at `location`; see `build`.

    Raises:
        UsageError: a file is not there, or the flags leave the rows without images.
    """
    released = ReleasedFiles(location)
    if options.images is None and not options.keep_without_image:
        raise UsageError(
            "released rows hold no images: give their folder with --images DIR, or fetch them with "
            "--images pmc-cloud"
        )
    if options.keep_without_image and any(recipe.name != EVAL for recipe in recipes):
        raise UsageError("--keep-without-image is for the eval set alone: training rows need their image")
    images = open_images(options.images, options.licenses) if options.images is not None else None
    summary = BuildSummary()
    for recipe in recipes:
        _Build(recipe, released, images, options, engine, summary).run()
    return summary


class _Build:
    """One recipe from one released file."""

    def __init__(
        self,
        recipe: Recipe,
        released: ReleasedFiles,
        images: RowImages | None,
        options: BuildOptions,
        engine: Engine,
        summary: BuildSummary,
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.engine = engine
        self.summary = summary
        self.file = released.rows(recipe.name)
        self.urls = options.image_urls or released.image_urls(recipe.name)
        self.images = images
        self.folder = options.work / f"{SOURCE}-{fingerprint(_absolute(self.file))[:8]}" / recipe.name

    def run(self) -> None:
        name = self.recipe.name
        self._refuse_missing_addresses()
        read = self.summary.record("read", self._read(), dataset=name)
        self.summary.notes.append(f"{name}: {read.facts['identity']}")
        illustrated = self.summary.record("acquire", self._acquire(read), dataset=name)
        bucket = self.images if self.images and self.images.needs_addresses else None
        if bucket and (lost := illustrated.facts["lost"]):
            where = self.folder / "acquire" / LOST
            self.summary.notes.append(f"{name}: {lost:,} lost images, with reasons: {where}")
        if not illustrated.tallies["rows"].kept:
            self.summary.datasets.append(Built(name, None, self.recipe.split))
            return
        out = self.options.out / name
        card = partial(
            card_of,
            self.recipe,
            source=f"{SOURCE} {Path(self.file).name}" + (f", images of {bucket.name}" if bucket else ""),
            source_date=bucket.date if bucket else None,
            generator="the released files" if self.recipe.converse.task is not Task.CAPTION else "caption",
            shortage="",
            steps=self.summary.steps_of(name),
            notes=[f"The file read is {read.facts['identity']}.", _FETCHED_NOTE if bucket else _LICENSE_NOTE],
        )
        assembled = assemble(
            self._records,
            out,
            schema=self.recipe.schema,
            split=self.recipe.split,
            card=card,
            fingerprint=fingerprint("assemble", name, illustrated.digest()),
            manifest=self.folder / "assemble.json",
            acquired=self.folder / "acquire" / "manifest.json",
        )
        self.summary.record("assemble", assembled, dataset=name)
        self.summary.datasets.append(Built(name, out, self.recipe.split, **assembled.facts))

    def _read(self) -> Manifest:
        parts = (
            "read rows and files",
            self.recipe.name,
            _version(self.file),
            self.urls and _version(self.urls),
        )
        return Station(self.folder / "read", fingerprint(*parts)).run(self._read_rows)

    def _read_rows(self, partial: Path) -> Outcome:
        file, tally, dropped = RowFile(self.file), Tally(), list[Dropped]()
        write_rows(partial / "rows.parquet", ROWS, self._usable(file, tally, dropped))
        write_dropped(partial / "dropped.parquet", dropped)
        return Outcome({"rows": tally}, {"identity": str(file.identity)}, final="://" not in self.file)

    def _usable(self, file: RowFile, tally: Tally, dropped: list[Dropped]) -> Iterator[dict[str, Any]]:
        articles = pmcids_of(self.urls) if self.urls else {}
        for row in file:
            got = row if isinstance(row, tuple) else self._unseen(row)
            if isinstance(got, tuple):
                tally.drop(got[1].reason)
                dropped.append(Dropped.of(*got))
            else:
                tally.keep()
                address = articles.get(got.pair_id)
                yield _row(got, address, caption_is_answer=self.recipe.converse.task is Task.CAPTION)

    def _unseen(self, row: ReleasedRow) -> ReleasedRow | tuple[str, Drop]:
        """The row, unless it would train on an article of the evaluation set."""
        if self.recipe.name != EVAL and row.pmid in released_eval_pmids():
            return row.id, Drop(Reason.RELEASED_EVAL_ARTICLE, str(row.pmid))
        return row

    def _refuse_missing_addresses(self) -> None:
        if self.images and self.images.needs_addresses and not self.urls:
            raise UsageError(
                f"to fetch the images of {self.recipe.name}, the list of their addresses is needed: put "
                "llava_med_image_urls.jsonl (qa50_image_urls.jsonl for eval) beside the rows, or name it with "
                "--image-urls"
            )

    def _acquire(self, read: Manifest) -> Manifest:
        images, parts = self.images, ["acquire", read.digest(), _absolute(self.options.images or "")]
        if images and (located := images.locate(self._rows, self.folder / "locate", self.engine)):
            self.summary.record("locate", located, dataset=self.recipe.name)
            parts.append(located.digest())
        version = images.version() if images else None
        stated = fingerprint(*parts, version, self.options.keep_without_image)
        station = Station(self.folder / "acquire", stated)
        return station.run(partial(self._illustrate, version))

    @property
    def _rows(self) -> Path:
        return self.folder / "read" / "rows.parquet"

    def _illustrate(self, version: str | None, partial: Path) -> Outcome:
        found: Iterable[Found] = itertools.repeat(_NO_IMAGES)
        if self.images:
            shelf = self.images.shelf(self.options.work, self.folder, str(version))
            found = self.images.find(self._rows, self.folder / "locate", shelf, self.engine)
        tally = Tally()
        with (
            write_lost(partial / LOST) as lost,
            row_writer(partial / "dropped.parquet", DROPPED) as drop,
        ):
            pairs = zip(read_rows([self._rows]), found, strict=False)
            kept = self._with_image(pairs, lost if self.images else None, tally, drop)
            write_rows(partial / "rows.parquet", ILLUSTRATED, kept)
        unreachable = any(
            tally.dropped.get(reason.value) for reason in (*TRANSIENT, Reason.ARTICLE_UNREACHABLE)
        )
        facts = {"images_version": version, "lost": lost.count}
        return Outcome({"rows": tally}, facts, final=not unreachable)

    def _with_image(
        self,
        rows: Iterable[tuple[dict[str, Any], Found]],
        lost: LostImages | None,
        tally: Tally,
        drop: Callable[[Mapping[str, Any]], None],
    ) -> Iterator[dict[str, Any]]:
        for row, found in rows:
            if found.reason is not None and lost:
                lost.add(row, found.reason, found.detail)
            if found.reason is None or self.options.keep_without_image:
                tally.keep()
                yield row | _illustration(row, found)
            else:
                tally.drop(Reason(found.reason))
                drop({"id": row["id"], "reason": found.reason, "detail": found.detail})

    def _records(self) -> Iterator[Record]:
        acquired = json.loads((self.folder / "acquire" / "manifest.json").read_text(encoding="utf-8"))
        version = str(acquired["facts"]["images_version"])
        shelf = self.images.shelf(self.options.work, self.folder, version) if self.images else None
        for row in read_rows([self.folder / "acquire" / "rows.parquet"]):
            held = shelf is not None and row["image_digest"] is not None
            yield Record(
                self._columns(row),
                image=shelf.path(row["locator"]) if shelf and held else None,
                image_name=row["image"] if held else None,
                image_bytes=row["image_bytes"] or 0,
                image_digest=row["image_digest"],
            )

    def _columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        generator = "caption" if self.recipe.converse.task is Task.CAPTION else SOURCE
        names = ("id", "domain", "caption", "inline_mentions", "figure_label", "pmcid", "pmid", "license")
        columns = {name: row[name] for name in names} | {
            "messages": turns((turn["role"], turn["text"]) for turn in row["turns"]),
            "provenance": provenance(self.recipe.name, SOURCE, None, generator),
        }
        if self.recipe.name == EVAL:
            columns |= {"question_id": row["question_id"], "question_type": row["question_type"]}
        return columns


_LICENSE_NOTE = (
    "The released files do not state the licence of each image: `license` is `unknown`, and an image is under the "
    "licence of the article that `pmcid` or `pmid` names. The conversations are published under CC BY NC 4.0."
)

_FETCHED_NOTE = (
    "Images were fetched from today's articles: `license` is that of the image's article. The copy may not be the most "
    "current one. The conversations are published under CC BY NC 4.0."
)

_NO_IMAGES = Found(reason=Reason.IMAGE_MISSING.value)


def _illustration(row: Mapping[str, Any], found: Found) -> dict[str, Any]:
    return {
        "pmid": found.pmid or row["pmid"],
        "locator": found.locator,
        "license": found.license or UNKNOWN_LICENSE,
        "image_digest": found.digest,
        "image_bytes": found.bytes if found.digest else None,
    }


def _row(row: ReleasedRow, address: tuple[str, str] | None, *, caption_is_answer: bool) -> dict[str, Any]:
    pmcid, file = address if address and _PMCID.fullmatch(address[0]) else (None, None)
    return {
        "id": row.id,
        "pair_id": row.pair_id,
        "image": row.image,
        "turns": [{"role": role, "text": text} for role, text in row.turns],
        "domain": row.domain,
        "caption": row.caption or (row.turns[-1][1] if caption_is_answer else ""),
        "inline_mentions": list(row.inline_mentions),
        "figure_label": row.figure_label,
        "pmcid": pmcid,
        "file": file,
        "pmid": row.pmid,
        "question_id": row.question_id,
        "question_type": row.question_type,
    }


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).absolute())


def _version(location: str) -> list[str | int]:
    """What tells a changed local file; a remote one is read again on every run."""
    if "://" in location:
        return [location]
    try:
        stat = Path(location).stat()
    except OSError as error:
        raise UsageError(f"{location} cannot be read ({error.strerror}): check the path") from error
    return [str(Path(location).absolute()), stat.st_size, stat.st_mtime_ns]
