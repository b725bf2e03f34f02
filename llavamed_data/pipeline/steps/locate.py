"""Released image addresses → today's keys: the same article at its newest version, the same file in it.

    ReadArticleFiles → LocateFiles(bucket) → WriteLocated

An address of the release is a file in an article's package (`PMC7236913/nihms-1587931-f0001.jpg`). The extension may
have changed since; articles may have been withdrawn or retracted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from llavamed_data.engine.local import Engine, forget_tasks, share, tasks_for
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.parquet import read_rows, write_rows
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint, read_manifest
from llavamed_data.reasons import Drop, Reason, Tally
from llavamed_data.sources.article_lists import ArticleList, number_of
from llavamed_data.sources.base import SourceArticle
from llavamed_data.sources.bucket import Bucket
from llavamed_data.sources.media import resolve_graphic

LEAST_ARTICLES, MOST_ARTICLES = 64, 2_000
"""Articles a task: their metadata are fetched, many requests in flight."""

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
"""One row a file that some row wants: where it is, or why it is nowhere."""

_WANTED = pa.schema([pa.field("handle", pa.string()), pa.field("files", pa.list_(pa.string()))])
_LISTED = "listed"


def locate(bucket: Bucket, rows: Path, folder: Path, engine: Engine) -> Manifest:
    """Finds today's key of every file that the rows want, by the metadata of its article.

    Args:
        bucket: where to look.
        rows: Parquet with `pmcid` and `file`, null where a row names no file.
        folder: the station's folder: `located-*.parquet` (schema `LOCATED`), manifest.
        engine: what runs the work.

    Raises:
        UsageError: the bucket cannot be reached or holds nothing.
    """
    read = read_manifest(rows.parent / "manifest.json")
    stated = fingerprint("locate", read.digest(), bucket.name, bucket.fingerprint())
    station = Station(folder, stated, resumable=True)
    return station.run(lambda partial: _locate(bucket, rows, partial, engine))


def located_files(folder: Path) -> list[Path]:
    """The files that `locate` left."""
    return sorted(folder.glob("located-*.parquet"))


def _locate(bucket: Bucket, rows: Path, partial: Path, engine: Engine) -> Outcome:
    if not (partial / _LISTED).exists():
        _list_wanted(bucket, rows, partial)
    tasks = len(list(partial.glob("wanted-*.parquet")))
    if tasks:
        blocks = [ReadArticleFiles(str(partial)), LocateFiles(bucket), WriteLocated(str(partial))]
        engine.run("find today's images", blocks, folder=partial, tasks=tasks)
    for path in (*partial.glob("wanted-*.parquet"), partial / _LISTED):
        path.unlink()
    forget_tasks(partial)
    tally = _tally(located_files(partial))
    unreachable = tally.dropped.get(Reason.ARTICLE_UNREACHABLE.value, 0)
    facts = {"images_from": bucket.name, "images_date": bucket.date}
    return Outcome({"images": tally}, facts, final=not unreachable)


def _list_wanted(bucket: Bucket, rows: Path, partial: Path) -> None:
    """Deals the wanted files out to tasks, article by article; those of unknown articles are done with."""
    wanted = _distinct(rows)
    numbers = wanted["number"].to_numpy()
    articles = ArticleList(np.unique(numbers).tolist())
    handles = list(articles.choose(bucket.handles())) if len(articles) else []

    def files(handle: str) -> list[str]:
        start, stop = np.searchsorted(numbers, [(number := number_of(handle)), number + 1])
        return wanted["file"].slice(start, stop - start).to_pylist()  # type: ignore[no-any-return]

    gone = Drop(Reason.NOT_IN_SOURCE, "the article is withdrawn")
    lost = (_lost(pmcid, file, gone) for pmcid in articles.missing() for file in files(pmcid))
    write_rows(partial / "located-missing.parquet", LOCATED, lost)
    tasks = tasks_for(len(handles), least=LEAST_ARTICLES, most=MOST_ARTICLES) if handles else 0
    for rank in range(tasks):
        part = (handles[place] for place in share(len(handles), rank, tasks))
        of_task = ({"handle": handle, "files": files(handle)} for handle in part)
        write_rows(partial / f"wanted-{rank:05d}.parquet", _WANTED, of_task)
    with atomic_path(partial / _LISTED) as aside:
        aside.touch()


def _distinct(rows: Path) -> pa.Table:
    """Each wanted file once, with the number of its article, in the order of both."""
    named = pq.read_table(rows, columns=["pmcid", "file"])
    named = named.filter(pc.is_valid(named["file"])).group_by(["pmcid", "file"]).aggregate([])
    numbers = pc.cast(pc.utf8_slice_codeunits(named["pmcid"], 3), pa.int64())
    table = pa.table({"number": numbers, "file": named["file"]})
    return table.sort_by([("number", "ascending"), ("file", "ascending")]).combine_chunks()


class ReadArticleFiles(PipelineStep):  # type: ignore[misc]
    """Reads this task's articles and which of their files are wanted."""

    name = "read wanted files"
    type = "reader"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Yields one document an article."""
        for row in read_rows([Path(self.folder) / f"wanted-{rank:05d}.parquet"]):
            yield Document(text="", id=row["handle"], metadata={"files": row["files"]})


class LocateFiles(PipelineStep):  # type: ignore[misc]
    """Reads the articles' metadata and looks the files up in them."""

    name = "find today's images"
    type = "fetcher"

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self.bucket = bucket

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Adds `rows` to each document."""
        documents = list(data)
        described = self.bucket.describe([document.id for document in documents])
        for document, got in zip(documents, described, strict=True):
            pmcid = document.id.partition(".")[0]
            rows = [_row(pmcid, file, got) for file in document.metadata["files"]]
            document.metadata.update(rows=rows)
            yield document


class WriteLocated(PipelineStep):  # type: ignore[misc]
    """Writes a task's rows in one go."""

    name = "write located files"
    type = "writer"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:  # noqa: ARG002
        """Consumes the documents of one task."""
        rows = (row for document in data for row in document.metadata["rows"])
        write_rows(Path(self.folder) / f"located-{rank:05d}.parquet", LOCATED, rows)


def _row(pmcid: str, file: str, got: SourceArticle | tuple[str, Drop]) -> dict[str, str | None]:
    if not isinstance(got, SourceArticle):
        return _lost(pmcid, file, got[1])
    locator = got.media.get(file) or resolve_graphic(file, got.media)
    if locator is None:
        return _lost(pmcid, file, Drop(Reason.IMAGE_MISSING, f"{got.handle} has no such file"))
    return {"pmcid": pmcid, "file": file, "locator": locator, "pmid": got.pmid, "license": got.license}


def _lost(pmcid: str, file: str, drop: Drop) -> dict[str, str | None]:
    return {"pmcid": pmcid, "file": file, "reason": drop.reason.value, "detail": drop.detail}


def _tally(paths: list[Path]) -> Tally:
    tally = Tally()
    for path in paths:
        reasons = pq.read_table(path, columns=["reason"])["reason"]
        for count in pc.value_counts(reasons).to_pylist():
            if count["values"] is None:
                tally.keep(count["counts"])
            else:
                tally.drop(Reason(count["values"]), count["counts"])
    return tally
