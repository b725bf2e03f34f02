"""The journal: what was answered stays answered, whatever happens to the process."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import sync
from llavamed_data.io.locks import exclusive_lock
from llavamed_data.llm.request import Answer


class Journal:
    r"""An append-only file of JSON lines: answers by the key of their request, and notes on batches.

    A line counts once it is written and fsynced, newline included. A line that a kill left unfinished is
    cut off when the journal is next opened; a line that cannot be read is counted in `damaged`, and its
    request is as good as never made. Where two lines hold the same key, the first counts. In memory there
    is an offset a key, about 150 bytes; the texts stay on disk.

    One process at a time may hold a journal: a lock file beside it, which the system lets go of when the
    process ends, however it ends.

    Args:
        path: the file; its folder is made.

    Raises:
        LlavaMedError: another process holds the journal.
        UsageError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self._offsets: dict[bytes, int] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._held = contextlib.ExitStack()
        busy = f"the journal {path} is in use by another run: wait for it, or name another --work folder"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(exclusive_lock(path.with_name(f"{path.name}.lock"), busy=busy))
            self._file: BinaryIO = self._held.enter_context(path.open("a+b", buffering=0))
            sync(path.parent)
        except OSError as error:
            self.close()
            raise UsageError(f"the journal {path} cannot be opened: {error}") from error
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and releases the lock."""
        self._held.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._offsets

    def answer(self, key: str) -> Answer | None:
        """The answer on file, or None."""
        offset = self._offsets.get(bytes.fromhex(key))
        if offset is None:
            return None
        with self.path.open("rb") as file:
            file.seek(offset)
            return Answer.from_json(json.loads(file.readline()))

    def record(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Writes answers with their keys; they are on disk when this returns.

        Raises:
            LlavaMedError: the disk is full or gone; none of these answers counts.
        """
        self._append({"key": key, **answer.to_json()} for key, answer in answers)

    def note_batch(self, name: str, **facts: Any) -> None:
        """Writes what is newly known of the batch called `name` (our own name of it)."""
        self._append([{"batch": name, **facts}])

    def batches(self) -> Mapping[str, Mapping[str, Any]]:
        """Every batch by name with all that was noted of it, later notes over earlier ones."""
        return self._batches

    def _append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        lines = [json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries]
        if not lines:
            return
        start = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(b"".join(lines))
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # what cannot be cut off now is cut off at the next opening
                self._file.truncate(start)
            raise LlavaMedError(
                f"the journal {self.path} cannot be written ({error.strerror}): make room and run again, "
                "what was answered so far is kept"
            ) from error
        for line in lines:
            self._index(json.loads(line), start)
            start += len(line)

    def _index(self, entry: Mapping[str, Any], offset: int) -> None:
        if "batch" in entry:
            facts = {name: value for name, value in entry.items() if name != "batch"}
            self._batches.setdefault(str(entry["batch"]), {}).update(facts)
            return
        key = bytes.fromhex(entry["key"])
        Answer.from_json(entry)
        self._offsets.setdefault(key, offset)

    def _load(self) -> None:
        self._file.seek(0)
        offset = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    self._file.truncate(offset)
                    break
                try:
                    self._index(json.loads(line), offset)
                except (ValueError, KeyError, TypeError):
                    self.damaged += 1
                offset += len(line)
