"""What a run has answered so far, kept on disk batch by batch, so that a run that was stopped goes on."""

import contextlib
import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError, explain


class AnswerParts:
    """Answers in `OUT.part-N` beside the file of answers that they will become: one file for each process.

    A batch is written in one piece and flushed to the disk; a line that a kill left unfinished is cut off at the next
    start, and its batch is answered again.

    Args:
        out: the file of answers.
        run_key: hash of everything that decides the answers; parts of another run are refused.
        process: number of this process.

    Attributes:
        answers: question id → answer.
        truncated: ids of answers that were cut off at the longest answer allowed.
    """

    def __init__(self, out: Path, run_key: str, process: int = 0) -> None:
        self._out, self._run_key = out, run_key
        self._path = out.with_name(f"{out.name}.part-{process}")
        self.answers: dict[str, str] = {}
        self.truncated: set[str] = set()

    def read(self) -> None:
        """Reads what all processes of this run and of earlier starts have answered.

        Raises:
            UsageError: the parts belong to another run.
        """
        for path in self._paths():
            for entry in _whole_lines(path):
                if "run" in entry and entry["run"] != self._run_key:
                    raise UsageError(
                        f"{path} belongs to another run (another model, benchmark or setting): name another --out, "
                        "or start anew with --replace"
                    )
                self._take(entry)

    def open(self) -> None:
        """Makes this process's file ready to be added to."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)
        if not self._path.exists() or not self._path.stat().st_size:
            self._append({"run": self._run_key})

    def add(self, answers: Mapping[str, str], truncated: Iterable[str] = ()) -> None:
        """Writes the answers of a batch.

        Args:
            answers: question id → answer.
            truncated: ids of those that were cut off at the longest answer allowed.

        Raises:
            LlavaMedError: the disk is full, or cannot be written.
        """
        entry = {"answers": dict(answers), "truncated": sorted(truncated)}
        self._append(entry)
        self._take(entry)

    def remove(self) -> None:
        """Removes the parts of all processes: the file of answers is complete, or the run starts anew."""
        for path in self._paths():
            path.unlink()

    def _take(self, entry: Mapping[str, Any]) -> None:
        self.answers.update(entry.get("answers", {}))
        self.truncated.update(entry.get("truncated", ()))

    def _paths(self) -> list[Path]:
        return sorted(self._out.parent.glob(f"{glob.escape(self._out.name)}.part-*"))

    def _append(self, entry: Mapping[str, Any]) -> None:
        data = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LlavaMedError(explain(error, self._path)) from error


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(
                ValueError
            ):  # an unfinished or damaged line: its batch is answered again
                if line.endswith(b"\n"):
                    lines.append(json.loads(line))
    return lines
