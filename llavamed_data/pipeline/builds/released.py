"""Builds datasets from the released files: read → locate → acquire → assemble.

Their conversations are kept as they are. `locate` runs where images come from a bucket.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.console.printable import counted
from llavamed_data.dataset.messages import provenance, turns
from llavamed_data.dataset.schema import RowCheck
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import read_rows, row_writer
from llavamed_data.pipeline.builds.ending import Build, finish, recipe_card
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.pipeline.steps.assemble import Record
from llavamed_data.pipeline.steps.illustrate import (
    LOST,
    Illustrated,
    ImagesByLocation,
    ImagesByName,
    ReadRows,
    RowImages,
    illustrate,
)
from llavamed_data.pipeline.steps.image_store import ImageStore
from llavamed_data.pipeline.steps.locate import locate
from llavamed_data.pipeline.steps.step import Step, StepResult, fingerprint
from llavamed_data.reasons import Drop, Dropped, Reason, Tally
from llavamed_data.recipes import EVAL, Recipe, Task
from llavamed_data.sources import PMC_CLOUD, Bucket
from llavamed_data.sources.bucket import has_bucket_layout
from llavamed_data.sources.locations import FileLocation
from llavamed_data.sources.released import (
    ImageFolder,
    ReleasedFiles,
    ReleasedRow,
    RowFile,
    read_image_urls,
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
"""A row as it was released. `file` is its image's name in the package of `pmcid`, null if that is not known."""

_LICENSE_NOTE = (
    "The released files do not state the licence of each image: `license` is `unknown`, and an image is under the "
    "licence of the article that `pmcid` or `pmid` names. The conversations are published under CC BY NC 4.0."
)
_FETCHED_NOTE = (
    "Images were fetched from today's articles: `license` is that of the image's article. The copy may not be the most "
    "current one. The conversations are published under CC BY NC 4.0."
)
_PMCID = re.compile(r"PMC[1-9]\d{0,14}", re.ASCII)


def build_from_released(recipes: Sequence[Recipe], location: str, build: Build) -> BuildSummary:
    """Builds each recipe from the released files at `location`; see `build`.

    Raises:
        UsageError: a file is not there, or the flags leave the rows without images.
    """
    options = build.options
    released = ReleasedFiles(location)
    if options.images is None and not options.keep_without_image:
        raise UsageError(
            "released rows hold no images: give their folder with --images DIR, or fetch them with "
            "--images pmc-cloud"
        )
    if options.keep_without_image and any(recipe.name != EVAL for recipe in recipes):
        raise UsageError("--keep-without-image is for the eval set alone: training rows need their image")
    bucket = _bucket(options.images, options) if options.images else None
    if options.images and not bucket:
        ImageFolder(options.images)  # tells before any work that there is no such folder
    for recipe in recipes:
        _build_recipe(recipe, released, bucket, build)
    return build.summary


def _bucket(images: str, options: BuildOptions) -> Bucket | None:
    """The bucket that `--images` names; None if it is a folder of images.

    Raises:
        UsageError: there is no such place, or a folder of images is asked for what it does not state.
    """
    chosen = partial(Bucket, licenses=options.licenses, historical_ocr=options.historical_ocr)
    if images == "pmc-cloud":
        return chosen(PMC_CLOUD)
    folder = Path(images).expanduser()
    try:
        is_bucket = (
            "://" in images or images.startswith("file:") or (folder.is_dir() and has_bucket_layout(folder))
        )
    except OSError as error:
        raise UsageError(f"{images} cannot be read: {error.strerror}") from error
    if is_bucket:
        return chosen(images)
    if options.licenses or options.historical_ocr:
        flag = "--license" if options.licenses else "--historical-ocr"
        raise UsageError(
            f"{images} is a folder of images, which states nothing of articles: leave {flag} out"
        )
    return None


def _build_recipe(recipe: Recipe, released: ReleasedFiles, bucket: Bucket | None, build: Build) -> None:
    """Builds one recipe from one released file."""
    options, summary, name = build.options, build.summary, recipe.name
    file = released.rows(name)
    addresses = options.image_urls or released.image_urls(name)
    if bucket and not addresses:
        raise UsageError(
            f"to fetch the images of {name}, the list of their addresses is needed: put llava_med_image_urls.jsonl "
            "(qa50_image_urls.jsonl for eval) beside the rows, or name it with --image-urls"
        )
    folder = options.work / f"{SOURCE}-{fingerprint(FileLocation(file).identity)[:8]}" / name
    read = _read(recipe, file, addresses, folder / "read")
    summary.record("read", read, dataset=name)
    summary.notes.append(f"{name}: {read.facts['identity']}")
    images: RowImages | None = None
    images_date: str | None = None
    if bucket:
        located = locate(bucket, read, read.file, folder / "locate", build.engine)
        summary.record("locate", located, dataset=name)
        images_date = located.facts["images_date"]
        store = ImageStore(options.work / "fetched-images" / bucket.images_version(), bucket)
        images = ImagesByLocation(located, store)
    elif options.images:
        images = ImagesByName(ImageFolder(options.images), folder / "images")
    illustrated = illustrate(
        read,
        images,
        folder / "acquire",
        engine=build.engine,
        keep_without_image=options.keep_without_image,
    )
    summary.record("acquire", illustrated, dataset=name)
    if options.keep_without_image:
        without = sum(row["image_digest"] is None for row in read_rows([illustrated.file], ["image_digest"]))
        summary.notes.append(f"{name}: {counted(without, 'question')} kept without image")
    if (bucket or options.keep_without_image) and (lost := illustrated.facts["lost"]):
        summary.notes.append(
            f"{name}: {counted(lost, 'lost image')}, with reasons: {illustrated.folder / LOST}"
        )
    card = recipe_card(
        build,
        recipe,
        source=f"{SOURCE} {Path(file).name}" + (f", images of {bucket.name}" if bucket else ""),
        source_date=images_date,
        generator="caption" if recipe.converse.task is Task.CAPTION else "the released files",
        notes=[f"The file read is {read.facts['identity']}.", _FETCHED_NOTE if bucket else _LICENSE_NOTE],
    )
    finish(
        build,
        name,
        {recipe.split: partial(_records, recipe, illustrated)} if illustrated.kept("rows") else {},
        schema=recipe.schema,
        card=card,
        images=illustrated,
        inputs=[illustrated.digest()],
        work=folder,
    )


def _read(recipe: Recipe, file: str, addresses: str | None, folder: Path) -> ReadRows:
    """Reads the released file, with the addresses of its images."""
    location = FileLocation(file)
    addresses_version = addresses and FileLocation(addresses).version()
    parts = ("read rows and files", recipe.name, location.version(), addresses_version)

    def work(unfinished: Path) -> StepResult:
        rows, tally = RowFile(file), Tally()
        check = RowCheck(
            recipe.schema, ("id", "messages", "caption", "inline_mentions", "figure_label", "pmid")
        )
        articles = read_image_urls(addresses) if addresses else {}
        with (
            row_writer(unfinished / "rows.parquet", ROWS) as add_row,
            row_writer(unfinished / "dropped.parquet", DROPPED) as add_dropped,
        ):
            for row in rows:
                usable = row if isinstance(row, tuple) else _usable(recipe, row, check)
                if isinstance(usable, tuple):
                    tally.drop(usable[1].reason)
                    add_dropped(asdict(Dropped.of(*usable)))
                else:
                    tally.keep()
                    caption_is_answer = recipe.converse.task is Task.CAPTION
                    add_row(_row(usable, articles.get(usable.pair_id), caption_is_answer=caption_is_answer))
        return StepResult({"rows": tally}, {"identity": str(rows.identity)}, final=not location.is_remote)

    return ReadRows(folder, Step(folder, fingerprint(*parts)).run(work))


def _usable(recipe: Recipe, row: ReleasedRow, check: RowCheck) -> ReleasedRow | tuple[str, Drop]:
    """The row, unless a text does not fit the dataset, or it would train on an article of the evaluation set."""
    try:
        check.check(
            {
                "id": row.id,
                "messages": turns(row.turns),
                "caption": row.caption,
                "inline_mentions": list(row.inline_mentions),
                "figure_label": row.figure_label,
                "pmid": row.pmid,
            }
        )
    except Drop as drop:
        return row.id, drop
    if recipe.name != EVAL and row.pmid in released_eval_pmids():
        return row.id, Drop(Reason.RELEASED_EVAL_ARTICLE, str(row.pmid))
    return row


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


def _records(recipe: Recipe, illustrated: Illustrated) -> Iterator[Record]:
    """The rows of the dataset, each with the file of its image."""
    store = illustrated.store
    for row in read_rows([illustrated.file]):
        held = store is not None and row["image_digest"] is not None
        yield Record(
            _columns(recipe, row),
            image=store.path(row["locator"]) if store and held else None,
            image_name=row["image"] if held else None,
            image_bytes=row["image_bytes"] or 0,
            image_digest=row["image_digest"],
        )


def _columns(recipe: Recipe, row: Mapping[str, Any]) -> dict[str, Any]:
    generator = "caption" if recipe.converse.task is Task.CAPTION else SOURCE
    names = ("id", "domain", "caption", "inline_mentions", "figure_label", "pmcid")
    columns = {name: row[name] for name in names} | {
        "pmid": row["image_pmid"] or row["pmid"],
        "license": row["image_license"] or UNKNOWN_LICENSE,
        "messages": turns((turn["role"], turn["text"]) for turn in row["turns"]),
        "provenance": provenance(recipe.name, SOURCE, None, generator),
    }
    if recipe.name == EVAL:
        columns |= {"question_id": row["question_id"], "question_type": row["question_type"]}
    return columns
