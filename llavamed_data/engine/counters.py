"""What worker processes have fetched so far, left in small files for who watches."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from llavamed_data.console.progress import FetchCounts
from llavamed_data.io.atomic import atomic_path

FOLDER = ".fetched"
_SECONDS = 0.5


@dataclass(slots=True)
class Counter:
    """The counts of one task; a task that runs again begins again.

    Attributes:
        folder: of the station or wave, where all tasks leave their counts.
        rank: the task.
    """

    folder: Path
    rank: int
    _objects: int = 0
    _bytes: int = 0
    _retries: int = 0
    _told: float = 0.0

    def took(self, size: int) -> None:
        """An object has ended, after `size` bytes."""
        self._objects += 1
        self._bytes += size
        self._tell()

    def repeated(self, progress: FetchCounts) -> None:
        """A source tells of its requests."""
        self._retries = progress.retries
        self._tell()

    def close(self) -> None:
        """Leaves the last counts."""
        self._told = 0.0
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._told and now - self._told < _SECONDS:
            return
        self._told = now
        path = self.folder / FOLDER / f"{self.rank:05d}.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as aside:
            aside.write_text(json.dumps(asdict(FetchCounts(self._objects, self._bytes, self._retries))))


def counted(folder: Path) -> FetchCounts:
    """The sum of what all tasks of a station or wave have told."""
    told = [_read(path) for path in (folder / FOLDER).glob("*.json")]
    return FetchCounts(*(sum(counts[name] for counts in told) for name in ("objects", "bytes", "retries")))


def _read(path: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads(path.read_text())
    return counts
