"""Files that list what was dropped, one row each, so that nothing is lost silently."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from llavamed_data.io.parquet import write_rows
from llavamed_data.reasons import Dropped

DROPPED = pa.schema(
    [pa.field("id", pa.string()), pa.field("reason", pa.string()), pa.field("detail", pa.string())]
)
"""The columns of a `dropped` file: the id of the article, figure or row, the reason, and a detail."""


def write_dropped(path: Path, dropped: Iterable[Dropped]) -> int:
    """Writes a `dropped` file and returns how many rows it has."""
    return write_rows(path, DROPPED, (asdict(line) for line in dropped))
