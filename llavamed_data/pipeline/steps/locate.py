"""Released rows → today's files: where the image that each row names is in the PMC bucket.

The released address list names each image by article and by its file in the article's package
(`PMC7236913/nihms-1587931-f0001.jpg`). The extension may have changed since; articles may have been withdrawn or
retracted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llavamed_data.engine import Engine, number_of_tasks, share
from llavamed_data.io.atomic import write_text
from llavamed_data.io.parquet import read_rows, write_rows
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint
from llavamed_data.reasons import Drop, Reason, Tally
from llavamed_data.sources import ArticleList, Bucket, SourceArticle
from llavamed_data.sources.article import resolve_graphic
from llavamed_data.sources.article_choice import article_number

LEAST_ARTICLES, MOST_ARTICLES = 64, 2_000
"""Articles of a task: their metadata are fetched, many requests in flight."""

LOCATED = pa.schema(
    [
        pa.field("pmcid", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("locator", pa.string()),
        pa.field("pmid", pa.string()),
        pa.field("license", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""One row a file that some row names: where it is, or why it is nowhere."""

_WANTED = pa.schema([pa.field("handle", pa.string()), pa.field("files", pa.list_(pa.string()))])
_LISTED = "listed"


@dataclass(frozen=True)
class Located(StepOutput):
    """Where the files are that released rows name."""

    @property
    def files(self) -> list[Path]:
        """The Parquet files (schema `LOCATED`), in order."""
        return sorted(self.folder.glob("located-*.parquet"))


def locate(bucket: Bucket, read: StepOutput, rows: Path, folder: Path, engine: Engine) -> Located:
    """Finds today's key of every file that the rows name, by the metadata of its article.

    Args:
        bucket: where to look.
        read: the output of the step that read the rows.
        rows: its file, with the columns `pmcid` and `file`, both null if a row names no file.
        folder: the step's folder.
        engine: what runs the tasks.

    Raises:
        UsageError: the bucket cannot be reached or holds nothing.
    """
    step = Step(
        folder, fingerprint("locate", read.digest(), bucket.name, bucket.fingerprint()), resumable=True
    )

    def work(unfinished: Path) -> StepResult:
        if not (unfinished / _LISTED).exists():
            _list_wanted(bucket, rows, unfinished)
        parts = [_Part(path) for path in sorted(unfinished.glob("wanted-*.parquet"))]
        engine.map(partial(_locate_part, bucket), parts, name="find today's images", folder=unfinished)
        for path in (*(part.wanted for part in parts), unfinished / _LISTED):
            path.unlink()
        tally = _tally(sorted(unfinished.glob("located-*.parquet")))
        facts = {"images_from": bucket.name, "images_date": bucket.date}
        return StepResult(
            {"images": tally}, facts, final=Reason.ARTICLE_UNREACHABLE.value not in tally.dropped
        )

    return Located(folder, step.run(work))


@dataclass(frozen=True, slots=True)
class _Part:
    """A task: the articles in the file `wanted`, each with the files that are wanted of it."""

    wanted: Path

    @property
    def output(self) -> Path:
        return self.wanted.with_name(self.wanted.name.replace("wanted", "located"))


def _list_wanted(bucket: Bucket, rows: Path, unfinished: Path) -> None:
    """Deals the wanted files out to tasks, article by article; those of unknown articles are done with."""
    wanted = _distinct(rows)
    numbers = wanted["number"].to_numpy()
    articles = ArticleList(np.unique(numbers).tolist())
    handles = list(articles.choose(bucket.handles())) if len(articles) else []

    def files(handle: str) -> list[str]:
        start, stop = np.searchsorted(numbers, [(number := article_number(handle)), number + 1])
        return wanted["file"].slice(start, stop - start).to_pylist()  # type: ignore[no-any-return]

    gone = Drop(Reason.NOT_IN_SOURCE, "the article is withdrawn")
    lost = (_lost(pmcid, file, gone) for pmcid in articles.missing() for file in files(pmcid))
    write_rows(unfinished / "located-missing.parquet", LOCATED, lost)
    tasks = number_of_tasks(len(handles), least=LEAST_ARTICLES, most=MOST_ARTICLES) if handles else 0
    for number in range(tasks):
        part = (handles[place] for place in share(len(handles), number, tasks))
        of_task = ({"handle": handle, "files": files(handle)} for handle in part)
        write_rows(unfinished / f"wanted-{number:05d}.parquet", _WANTED, of_task)
    write_text(unfinished / _LISTED, "")


def _distinct(rows: Path) -> pa.Table:
    """Each wanted file once, with the number of its article, in the order of both."""
    named = pq.read_table(rows, columns=["pmcid", "file"])
    named = named.filter(pc.is_valid(named["file"])).group_by(["pmcid", "file"]).aggregate([])
    numbers = pc.cast(pc.utf8_slice_codeunits(named["pmcid"], 3), pa.int64())
    table = pa.table({"number": numbers, "file": named["file"]})
    return table.sort_by([("number", "ascending"), ("file", "ascending")]).combine_chunks()


def _locate_part(bucket: Bucket, part: _Part) -> None:
    """Reads the metadata of the part's articles and looks its files up in them."""
    wanted = list(read_rows([part.wanted]))
    described = bucket.describe([article["handle"] for article in wanted])
    write_rows(part.output, LOCATED, _rows(zip(wanted, described, strict=True)))


def _rows(
    articles: Iterator[tuple[Mapping[str, Any], list[SourceArticle] | tuple[str, Drop]]],
) -> Iterator[dict[str, str | None]]:
    for article, found in articles:
        pmcid = article["handle"].partition(".")[0]
        for file in article["files"]:
            if isinstance(found, tuple):
                yield _lost(pmcid, file, found[1])
                continue
            # a file that the current version lacks may still be in another one, under that one's licence
            for version in found:
                if locator := version.media.get(file) or resolve_graphic(file, version.media):
                    facts = {"pmid": version.pmid, "license": version.license}
                    yield {"pmcid": pmcid, "file": file, "locator": locator, **facts}
                    break
            else:
                names = " or ".join(version.handle for version in found)
                yield _lost(pmcid, file, Drop(Reason.IMAGE_MISSING, f"{names} has no such file"))


def _lost(pmcid: str, file: str, drop: Drop) -> dict[str, str | None]:
    return {"pmcid": pmcid, "file": file, "reason": drop.reason.value, "detail": drop.detail}


def _tally(paths: Sequence[Path]) -> Tally:
    tally = Tally()
    for path in paths:
        reasons = pq.read_table(path, columns=["reason"])["reason"]
        for count in pc.value_counts(reasons).to_pylist():
            if count["values"] is None:
                tally.keep(count["counts"])
            else:
                tally.drop(Reason(count["values"]), count["counts"])
    return tally
