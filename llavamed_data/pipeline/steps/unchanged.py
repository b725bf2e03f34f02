"""What an earlier extraction left of articles that have not changed since, so that they are not read again."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.io.parquet import read_rows
from llavamed_data.pipeline.steps.step import MANIFEST, read_manifest
from llavamed_data.reasons import Dropped, Reason
from llavamed_data.sources.article_lists import number_of
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
"""One row an article, in the order of its task: its ETag, why it was dropped, how many pairs and drops are its own."""

_TRANSIENT = Reason.ARTICLE_UNREACHABLE.value


@dataclass(frozen=True, slots=True)
class EarlierArticle:
    """What became of an article: its rows and drops, or the reason why it was dropped whole."""

    handle: str
    reason: str | None
    rows: Sequence[dict[str, Any]]
    dropped: Sequence[Dropped]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The outputs of an earlier extraction of the same source in the same way.

    Attributes:
        folder: of that station.
    """

    folder: str

    @classmethod
    def at(cls, folder: Path) -> "Earlier | None":
        """The extraction in `folder`, where it can be used: whole, with ETags, by this version of the toolkit."""
        try:
            manifest = read_manifest(folder / MANIFEST)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = all((folder / name).is_file() for name in manifest.outputs)
        return cls(str(folder)) if whole and manifest.facts.get("etags_by") == __version__ else None

    def unchanged(self, etags: dict[str, str]) -> set[str]:
        """Those of `etags` (handle → ETag) whose outcome still holds."""
        found = set[str]()
        for path in self._files(etags):
            for row in read_rows([path], ["handle", "etag", "reason"]):
                if etags.get(row["handle"]) == row["etag"] and row["reason"] != _TRANSIENT:
                    found.add(row["handle"])
        return found

    def articles(self, handles: set[str]) -> Iterator[EarlierArticle]:
        """The outcome of each of `handles`, by number, one in memory at a time."""
        for path in self._files(handles):
            rank = path.name.removeprefix("etags-")
            rows = read_rows([path.with_name(f"pairs-{rank}")])
            drops = (Dropped(**row) for row in read_rows([path.with_name(f"dropped-{rank}")]))
            for row in read_rows([path]):
                own = list(itertools.islice(rows, row["pairs"]))
                dropped = list(itertools.islice(drops, row["dropped"]))
                if row["handle"] in handles:
                    yield EarlierArticle(row["handle"], row["reason"], own, dropped)

    def _files(self, handles: "set[str] | dict[str, str]") -> Iterator[Path]:
        """The files in which any of `handles` may stand, in order."""
        numbers = list(map(number_of, handles))
        first, last = min(numbers, default=0), max(numbers, default=-1)
        for path in sorted(Path(self.folder).glob("etags-*.parquet")):
            groups = pq.read_metadata(path)
            spans = [groups.row_group(i).column(1).statistics for i in range(groups.num_row_groups)]
            if any(span.min <= last and span.max >= first for span in spans):
                yield path
