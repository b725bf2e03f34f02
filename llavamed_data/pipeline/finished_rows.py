"""Builds datasets from the released files: read → acquire → assemble. Their conversations are kept as they are."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.errors import UsageError
from llavamed_data.pipeline.assemble import Record, assemble
from llavamed_data.pipeline.card import card_of
from llavamed_data.pipeline.engine import Engine
from llavamed_data.pipeline.files import read_rows, write_dropped, write_rows
from llavamed_data.pipeline.options import BuildOptions
from llavamed_data.pipeline.rows import provenance, turns
from llavamed_data.pipeline.shelf import Shelf, Verdict
from llavamed_data.pipeline.station import Manifest, Outcome, Station, fingerprint
from llavamed_data.pipeline.summary import BuildSummary, Built
from llavamed_data.pipeline.tally import Dropped, Tally
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import EVAL, Recipe, Task
from llavamed_data.sources.released import (
    ImageFolder,
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
        pa.field("pmid", pa.string()),
        pa.field("question_id", pa.int64()),
        pa.field("question_type", pa.string()),
    ]
)
ILLUSTRATED = pa.schema([*ROWS, pa.field("image_digest", pa.string()), pa.field("image_bytes", pa.int64())])
"""A released row with its image on the shelf; both fields are null where the image is lost and the row kept."""


def build_from_released(
    recipes: Sequence[Recipe], location: str, options: BuildOptions, engine: Engine
) -> BuildSummary:
    """Builds each recipe from the released files at `location`; see `build`.

    Raises:
        UsageError: a file is not there, or the flags leave the rows without images.
    """
    released = ReleasedFiles(location)
    if options.images is None and not options.keep_without_image:
        raise UsageError("released rows hold no images: give their folder with --images DIR")
    if options.keep_without_image and any(recipe.name != EVAL for recipe in recipes):
        raise UsageError("--keep-without-image is for the eval set alone: training rows need their image")
    summary = BuildSummary()
    for recipe in recipes:
        _Build(recipe, released, options, engine, summary).run()
    return summary


@dataclass(frozen=True, slots=True)
class FolderImages:
    """A folder of images by file name, as the shelf asks for them."""

    folder: str

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each name, or why they cannot be had."""
        found = ImageFolder(self.folder)
        for locator in locators:
            yield locator, found.read(locator)

    def version(self) -> str:
        """Changes when a file of the folder does."""
        paths = sorted(path for path in Path(self.folder).rglob("*") if path.is_file())
        stats = [(str(path.relative_to(self.folder)), path.stat()) for path in paths]
        return fingerprint([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])[:12]


class _Build:
    """One recipe from one released file."""

    def __init__(
        self,
        recipe: Recipe,
        released: ReleasedFiles,
        options: BuildOptions,
        engine: Engine,
        summary: BuildSummary,
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.engine = engine
        self.summary = summary
        self.file = released.rows(recipe.name)
        self.urls = released.image_urls(recipe.name)
        self.images = FolderImages(options.images) if options.images else None
        self.folder = options.work / f"{SOURCE}-{fingerprint(_absolute(self.file))[:8]}" / recipe.name

    def run(self) -> None:
        name = self.recipe.name
        read = self.summary.record("read", self._read(), dataset=name)
        self.summary.notes.append(f"{name}: {read.facts['identity']}")
        illustrated = self.summary.record("acquire", self._acquire(read), dataset=name)
        if not illustrated.tallies["rows"].kept:
            self.summary.datasets.append(Built(name, None, self.recipe.split))
            return
        out = self.options.out / name
        card = partial(
            card_of,
            self.recipe,
            source=f"{SOURCE} {Path(self.file).name}",
            source_date=None,
            generator="the released files" if self.recipe.converse.task is not Task.CAPTION else "caption",
            shortage="",
            steps=self.summary.steps_of(name),
            notes=[f"The file read is {read.facts['identity']}.", _LICENSE_NOTE],
        )
        assembled = assemble(
            self._records,
            out,
            schema=self.recipe.schema,
            split=self.recipe.split,
            card=card,
            fingerprint=fingerprint("assemble", name, illustrated.digest()),
            manifest=self.folder / "assemble.json",
        )
        self.summary.record("assemble", assembled, dataset=name)
        self.summary.datasets.append(Built(name, out, self.recipe.split, **assembled.facts))

    def _read(self) -> Manifest:
        parts = ("read", self.recipe.name, _version(self.file), self.urls and _version(self.urls))
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
                pmcid = articles[got.pair_id][0] if got.pair_id in articles else None
                yield _row(got, pmcid, caption_is_answer=self.recipe.converse.task is Task.CAPTION)

    def _unseen(self, row: ReleasedRow) -> ReleasedRow | tuple[str, Drop]:
        """The row, unless it would train on an article of the evaluation set."""
        if self.recipe.name != EVAL and row.pmid in released_eval_pmids():
            return row.id, Drop(Reason.RELEASED_EVAL_ARTICLE, str(row.pmid))
        return row

    def _acquire(self, read: Manifest) -> Manifest:
        version = self.images.version() if self.images else None
        parts = ("acquire", read.digest(), _absolute(self.options.images or ""), version)
        station = Station(self.folder / "acquire", fingerprint(*parts, self.options.keep_without_image))
        return station.run(partial(self._illustrate, version))

    def _illustrate(self, version: str | None, partial: Path) -> Outcome:
        rows = self.folder / "read" / "rows.parquet"
        verdicts: Mapping[str, Verdict] = {}
        if self.images:
            names = dict.fromkeys(row["image"] for row in read_rows([rows], ["image"]))
            verdicts = Shelf(self.folder / "images" / str(version)).judge(self.images, names, self.engine)
        tally, dropped = Tally(), list[Dropped]()
        kept = self._with_image(read_rows([rows]), verdicts, tally, dropped)
        write_rows(partial / "rows.parquet", ILLUSTRATED, kept)
        write_dropped(partial / "dropped.parquet", dropped)
        return Outcome({"rows": tally}, {"images_version": version})

    def _with_image(
        self,
        rows: Iterable[dict[str, Any]],
        verdicts: Mapping[str, Verdict],
        tally: Tally,
        dropped: list[Dropped],
    ) -> Iterator[dict[str, Any]]:
        lost = Verdict("", reason=Reason.IMAGE_MISSING.value)
        for row in rows:
            verdict = verdicts.get(row["image"], lost)
            if verdict.reason is None:
                tally.keep()
                yield row | {"image_digest": verdict.digest, "image_bytes": verdict.bytes}
            elif self.options.keep_without_image:
                tally.keep()
                yield row | {"image_digest": None, "image_bytes": None}
            else:
                tally.drop(Reason(verdict.reason))
                dropped.append(Dropped(row["id"], verdict.reason, verdict.detail))

    def _records(self) -> Iterator[Record]:
        acquired = json.loads((self.folder / "acquire" / "manifest.json").read_text(encoding="utf-8"))
        shelf = Shelf(self.folder / "images" / str(acquired["facts"]["images_version"]))
        for row in read_rows([self.folder / "acquire" / "rows.parquet"]):
            held = row["image_digest"] is not None
            yield Record(
                self._columns(row),
                image=shelf.path(row["image"]) if held else None,
                image_name=row["image"] if held else None,
                image_bytes=row["image_bytes"] or 0,
                image_digest=row["image_digest"],
            )

    def _columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        generator = "caption" if self.recipe.converse.task is Task.CAPTION else SOURCE
        names = ("id", "domain", "caption", "inline_mentions", "figure_label", "pmcid", "pmid")
        columns = {name: row[name] for name in names} | {
            "messages": turns((turn["role"], turn["text"]) for turn in row["turns"]),
            "license": UNKNOWN_LICENSE,
            "provenance": provenance(self.recipe.name, SOURCE, None, generator),
        }
        if self.recipe.name == EVAL:
            columns |= {"question_id": row["question_id"], "question_type": row["question_type"]}
        return columns


_LICENSE_NOTE = (
    "The released files do not state the licence of each image: `license` is `unknown`, and an image is under the "
    "licence of the article that `pmcid` or `pmid` names. The conversations are published under CC BY NC 4.0."
)


def _row(row: ReleasedRow, pmcid: str | None, *, caption_is_answer: bool) -> dict[str, Any]:
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
    stat = Path(location).stat()
    return [str(Path(location).absolute()), stat.st_size, stat.st_mtime_ns]
