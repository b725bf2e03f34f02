"""The journal: a file of all answers so far, so that no request is paid twice, however a run ends."""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

from llavamed_data.errors import LlavaMedError, UsageError, explain
from llavamed_data.io.atomic import sync
from llavamed_data.io.jsonl import add_durably, json_line
from llavamed_data.io.locks import exclusive_lock
from llavamed_data.llm.answer import Answer
from llavamed_data.llm.reasoning import opened_by_prompt


class Journal:
    """An append-only file of JSON lines: answers by the key of their request, and notes on batches.

    A line counts once it is flushed to the disk with its line end. A line that a kill left unfinished is cut off when
    the journal is next opened; a line that cannot be read is counted in `damaged`, and its request is sent again. If
    two lines have the same key, the first counts. Memory holds the offset of each line, about 150 bytes a key; the
    texts stay on the disk.

    Only one process at a time may open a journal: it locks a file beside it.

    Args:
        path: the file; it and its folder are made if missing.

    Attributes:
        damaged: lines that could not be read.
        thinking_models: models, as the server names them, that wrote the closing mark of their reasoning alone.
        plain_models: models that gave a whole answer without reasoning.

    Raises:
        LlavaMedError: another process has opened the journal.
        UsageError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.thinking_models: set[str] = set()
        self.plain_models: set[str] = set()
        self._offsets: dict[bytes, int] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._held = contextlib.ExitStack()
        busy = f"the journal {path} is in use by another run: wait for it, or choose another --work"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(exclusive_lock(path.with_name(f"{path.name}.lock"), busy=busy))
            self._file: BinaryIO = self._held.enter_context(path.open("a+b", buffering=0))
            sync(path.parent)
        except OSError as error:
            self.close()
            raise UsageError(f"the journal cannot be opened: {explain(error, path)}") from error
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and releases the lock."""
        self._held.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._offsets

    def answer(self, key: str) -> Answer | None:
        """The recorded answer to the request with this key; None if there is none."""
        offset = self._offsets.get(bytes.fromhex(key))
        if offset is None:
            return None
        with self.path.open("rb") as file:
            file.seek(offset)
            return Answer.from_json(json.loads(file.readline()))

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._file.seek(0, os.SEEK_END)

    def recorded_since(self, key: str, size: int) -> bool:
        """Whether the answer to the request with this key was recorded when the file already had `size` bytes."""
        return self._offsets.get(bytes.fromhex(key), -1) >= size

    def record(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Writes answers with the keys of their requests; they are on the disk when this returns.

        Raises:
            LlavaMedError: they cannot be written; none of them counts.
        """
        self._append({"key": key, **answer.to_json()} for key, answer in answers)

    def note_batch(self, name: str, **facts: Any) -> None:
        """Writes what is newly known of the batch that this toolkit calls `name`."""
        self._append([{"batch": name, **facts}])

    def batches(self) -> Mapping[str, Mapping[str, Any]]:
        """All that was noted of each batch, by its name; later notes replace earlier ones."""
        return self._batches

    def _append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        lines = [json_line(entry) for entry in entries]
        if not lines:
            return
        try:
            start = add_durably(self._file, b"".join(lines))
        except OSError as error:  # what could not be cut off is cut off when next opened
            raise LlavaMedError(f"the journal cannot be written: {explain(error, self.path)}") from error
        for line in lines:
            self._index(json.loads(line), start)
            start += len(line)

    def _index(self, entry: Mapping[str, Any], offset: int) -> None:
        if "batch" in entry:
            facts = {name: value for name, value in entry.items() if name != "batch"}
            self._batches.setdefault(str(entry["batch"]), {}).update(facts)
            return
        key = bytes.fromhex(entry["key"])
        answer = Answer.from_json(entry)
        self._offsets.setdefault(key, offset)
        if opened_by_prompt(answer.reasoning):
            self.thinking_models.add(answer.model)
        elif answer.finish_reason == "stop" and not answer.reasoning:
            self.plain_models.add(answer.model)

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


class SharedJournalWriter:
    """Records answers for many tasks of one event loop: answers that arrive during a write share the next one.

    Args:
        journal: the journal to write to.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[str, Answer, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, key: str, answer: Answer) -> None:
        """Returns once the answer is on the disk.

        Raises:
            LlavaMedError: it cannot be written.
        """
        recorded = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer, recorded))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await recorded

    async def finish(self) -> None:
        """Waits until all answers are written, also those whose tasks were cancelled."""
        if self._writing:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            failure: LlavaMedError | None = None
            try:
                await asyncio.to_thread(self._journal.record, [entry[:2] for entry in entries])
            except LlavaMedError as error:
                failure = error
            for _, _, recorded in entries:
                if recorded.cancelled():
                    continue
                if failure:
                    recorded.set_exception(failure)
                else:
                    recorded.set_result(None)
