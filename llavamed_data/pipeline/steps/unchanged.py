"""What an earlier extraction left of articles that have not changed since, so that they are not read again."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.io.parquet import read_rows
from llavamed_data.pipeline.steps.step import MANIFEST, read_manifest
from llavamed_data.reasons import Dropped, Reason
from llavamed_data.sources.article_choice import article_number
from llavamed_data.version import __version__

ETAGS = pa.schema(
    [
        pa.field("handle", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("pairs", pa.int32(), nullable=False),
        pa.field("dropped", pa.int32(), nullable=False),
    ]
)
"""One row an article, in the order of its task: its ETag, why it was dropped, how many pairs and drops it has."""


@dataclass(frozen=True, slots=True)
class ArticleResult:
    """What became of an article.

    Attributes:
        handle: the source's name of it.
        reason: why it was dropped whole; None if it was not.
        rows: its pairs.
        dropped: its dropped figures, or the article itself.
        unchanged: the rows are those of an earlier extraction.
    """

    handle: str
    reason: str | None
    rows: Sequence[dict[str, Any]]
    dropped: Sequence[Dropped]
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class EarlierExtraction:
    """The outputs of an earlier extraction of the same source in the same way.

    Attributes:
        files: its files of ETags, each with the numbers of its first and last article.
    """

    files: Sequence[tuple[int, int, Path]]

    @classmethod
    def find(cls, folder: Path) -> "EarlierExtraction | None":
        """The extraction in `folder`, if it can be used: complete, with ETags, by this version of the toolkit."""
        try:
            manifest = read_manifest(folder / MANIFEST)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        complete = all((folder / name).is_file() for name in manifest.outputs)
        if not complete or manifest.facts.get("etags_by") != __version__:
            return None
        paths = sorted(folder.glob("etags-*.parquet"))
        return cls([(*span, path) for path in paths if (span := _first_and_last(path))])

    def unchanged(self, etags: Mapping[str, str]) -> tuple[AbstractSet[str], Iterator[ArticleResult]]:
        """Those of `etags` (handle → ETag) whose result still holds.

        Returns:
            Their handles, and their results in the order of the articles' numbers, one in memory at a time.
        """
        numbers = list(map(article_number, etags))
        first, last = min(numbers, default=0), max(numbers, default=-1)
        paths = [path for low, high, path in self.files if low <= last and high >= first]
        known = {path: list(read_rows([path])) for path in paths}
        handles = {
            row["handle"]
            for rows in known.values()
            for row in rows
            if etags.get(row["handle"]) == row["etag"] and row["reason"] != Reason.ARTICLE_UNREACHABLE.value
        }
        return handles, _results(known, handles)


def _results(
    known: Mapping[Path, Sequence[dict[str, Any]]], handles: AbstractSet[str]
) -> Iterator[ArticleResult]:
    for path, articles in known.items():
        number = path.name.removeprefix("etags-")
        rows = read_rows([path.with_name(f"pairs-{number}")])
        drops = (Dropped(**row) for row in read_rows([path.with_name(f"dropped-{number}")]))
        for article in articles:
            own = list(itertools.islice(rows, article["pairs"]))
            dropped = list(itertools.islice(drops, article["dropped"]))
            if article["handle"] in handles:
                yield ArticleResult(article["handle"], article["reason"], own, dropped, unchanged=True)


def _first_and_last(path: Path) -> tuple[int, int] | None:
    """The lowest and the highest number of the articles in a file of ETags; None if it has no rows."""
    metadata = pq.read_metadata(path)
    number = ETAGS.names.index("number")
    spans = [metadata.row_group(i).column(number).statistics for i in range(metadata.num_row_groups)]
    return (min(span.min for span in spans), max(span.max for span in spans)) if spans else None
