"""Answers on disk: kept batch by batch while a run goes on, one file in the benchmark's order when it ends."""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.answers import PromptForm

FileForm: TypeAlias = Literal["ours", "released"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One line of a file of answers.

    Attributes:
        id: of the row answered.
        question: as it was asked, choices included.
        answer: the model's words.
        prompt_form: `options` where the choices stood in the question.
        model: that answered.
    """

    id: str
    question: str
    answer: str
    prompt_form: PromptForm
    model: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that has no answer, and why."""

    id: str
    reason: str
    detail: str


class Parts:
    """What a run has answered so far, in `OUT.part-N` beside the file to be: one file a process.

    A batch is written in one piece and fsynced; a line that a kill left unfinished is cut off at the next start.

    Args:
        out: the file to be.
        run: what decides the answers: another run's parts are not taken over.
        process: number of this process.

    Attributes:
        answers: id → answer.
        cut: ids of answers that were cut off at the longest answer allowed.
    """

    def __init__(self, out: Path, run: str, process: int = 0) -> None:
        self._out, self._run = out, run
        self._path = out.with_name(f"{out.name}.part-{process}")
        self.answers: dict[str, str] = {}
        self.cut: set[str] = set()

    def read(self) -> None:
        """Takes over what all processes of this run and of earlier ones have answered.

        Raises:
            UsageError: the parts are another run's.
        """
        for path in self._paths():
            for line in _whole_lines(path):
                if "run" in line and line["run"] != self._run:
                    raise UsageError(
                        f"{path} belongs to another run (another model, benchmark or setting): name another --out, "
                        "or start anew with --replace"
                    )
                self._take(line)

    def open(self) -> None:
        """Makes this process's file ready to be added to."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            whole = self._path.read_bytes()
            os.truncate(self._path, whole.rfind(b"\n") + 1)
        if not self._path.exists() or not self._path.stat().st_size:
            self._append({"run": self._run})

    def add(self, answers: Mapping[str, str], cut: Iterable[str] = ()) -> None:
        """Keeps a batch.

        Args:
            answers: id → answer.
            cut: ids of those that were cut off at the longest answer allowed.

        Raises:
            LlavaMedError: the disk is full or gone.
        """
        entry = {"answers": dict(answers), "cut": sorted(cut)}
        self._append(entry)
        self._take(entry)

    def remove(self) -> None:
        """The parts have become a whole file, or are not wanted."""
        for path in self._paths():
            path.unlink()

    def _take(self, entry: Mapping[str, Any]) -> None:
        self.answers.update(entry.get("answers", {}))
        self.cut.update(entry.get("cut", ()))

    def _paths(self) -> list[Path]:
        return sorted(self._out.parent.glob(f"{_escaped(self._out.name)}.part-*"))

    def _append(self, entry: Mapping[str, Any]) -> None:
        data = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LlavaMedError(
                f"{self._path} cannot be written ({error.strerror}): make room and run again, "
                "what was answered so far is kept"
            ) from error


def write_answers(path: Path, predictions: Sequence[Prediction], form: FileForm = "ours") -> None:
    """Writes a file of answers, whole or not at all.

    Args:
        path: the file; its folder is made.
        predictions: in the order of the benchmark.
        form: `ours`, or the released code's, in which lines go by their order.
    """
    rows = (
        (asdict(each) for each in predictions)
        if form == "ours"
        else (_released(place, each) for place, each in enumerate(predictions))
    )
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_unanswered(path: Path, unanswered: Iterable[Unanswered]) -> None:
    """Writes which questions have no answer and why; no file where all have one."""
    text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in unanswered)
    if text:
        write_text(path, text)
    else:
        path.unlink(missing_ok=True)


def _released(place: int, prediction: Prediction) -> dict[str, Any]:
    digest = hashlib.sha256(f"{prediction.id}\n{prediction.question}".encode()).digest()
    return {
        "question_id": place,
        "prompt": prediction.question,
        "text": prediction.answer,
        "answer_id": base64.b32encode(digest).decode()[:22].lower(),
        "model_id": prediction.model,
        "metadata": {"id": prediction.id, "prompt_form": prediction.prompt_form},
    }


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError):  # a torn or damaged line: its batch is answered again
                if line.endswith(b"\n"):
                    lines.append(json.loads(line))
    return lines


def _escaped(name: str) -> str:
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in name)
