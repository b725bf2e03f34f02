"""How many objects the worker processes have fetched so far, kept in small files for progress reports."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from llavamed_data.console.progress import FetchCounts
from llavamed_data.io.atomic import write_text

FOLDER = ".fetched"
"""Where the tasks of a step leave their counts, in the folder of their outputs."""

_WRITE_SECONDS = 0.5


@dataclass(slots=True)
class FetchCounter:
    """Counts what one task fetches; a task that is run again starts from zero.

    Attributes:
        output: the output file of the task; the counts lie beside it, under its name.
    """

    output: Path
    _objects: int = 0
    _bytes: int = 0
    _retries: int = 0
    _written: float = 0.0

    def add(self, size: int) -> None:
        """Counts one object that has ended after `size` bytes."""
        self._objects += 1
        self._bytes += size
        self._write()

    def update_retries(self, counts: FetchCounts) -> None:
        """Takes the number of repeated requests from the counts of the source itself."""
        self._retries = counts.retries
        self._write()

    def close(self) -> None:
        """Writes the final counts."""
        self._written = 0.0
        self._write()

    def _write(self) -> None:
        now = time.monotonic()
        if self._written and now - self._written < _WRITE_SECONDS:
            return
        self._written = now
        counts = FetchCounts(self._objects, self._bytes, self._retries)
        write_text(self.output.parent / FOLDER / f"{self.output.stem}.json", json.dumps(asdict(counts)))


def read_counts(folder: Path) -> FetchCounts:
    """The sum of what all tasks whose outputs lie in `folder` have counted so far."""
    read = [json.loads(path.read_text()) for path in (folder / FOLDER).glob("*.json")]
    return FetchCounts(*(sum(counts[name] for counts in read) for name in ("objects", "bytes", "retries")))
