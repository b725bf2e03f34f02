"""Flags: what a rule, a check or a judge has to say of a row or of one of its turns, one line of JSON each.

    {"id": "99000010_f1", "turn": 3, "source": "cleaning", "verdict": "changed", "reason": "opening: …"}

`turn` counts from 0 and is null for a flag on the whole row. The commands `clean`, `validate` and `build --judge` write
such files with `--flags`, the review page shows them, and any program may write its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_data.instruct.cleaning import CleaningEdit
from llavamed_data.instruct.judge import GroundednessScore
from llavamed_data.io.jsonl import read_objects, write_lines
from llavamed_data.validation.report import DatasetFault

_MOST_CHARACTERS = 2_000
"""Of a reason; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One line of the file.

    Attributes:
        id: of the row.
        turn: number of the turn, from 0; None for the whole row.
        source: what raised it: `cleaning`, `validate`, `judge`, or another program's name.
        verdict: in one word: the rule, the check, `accept` or `reject`, a score.
        reason: in words.
    """

    id: str
    turn: int | None
    source: str
    verdict: str
    reason: str

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> "Flag":
        """The flag that an object states; a number as its id or verdict counts as text.

        Raises:
            ValueError: a field is missing or wrong.
        """
        texts = {}
        for name in ("id", "source", "verdict", "reason"):
            value = stated.get(name, "" if name in ("verdict", "reason") else None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, str) or (not value and name in ("id", "source")):
                raise ValueError(f"its field {name} is missing or no text")
            texts[name] = value[:_MOST_CHARACTERS]
        turn = stated.get("turn")
        if turn is not None and (not isinstance(turn, int) or isinstance(turn, bool) or turn < 0):
            raise ValueError("its field turn is no number from 0, and not null")
        return cls(turn=turn, **texts)


def read_flags(paths: Iterable[Path]) -> dict[str, list[Flag]]:
    """id of a row → its flags, in the order of the files; the same flag twice counts once.

    Raises:
        UsageError: a file cannot be read, or a line states something else than a flag.
    """
    found: dict[str, dict[Flag, None]] = {}
    for path in paths:
        for flag in _read(path):
            found.setdefault(flag.id, {})[flag] = None
    return {name: list(flags) for name, flags in found.items()}


def write_flags(path: Path, flags: Iterable[Flag]) -> int:
    """Writes a file of flags, which appears whole or not at all; returns how many there are.

    Raises:
        UsageError: it cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the file to write with --flags")
    try:
        return write_lines(path, (asdict(flag) for flag in flags))
    except OSError as error:
        raise UsageError(f"the flags {path} cannot be written: {error.strerror}") from error


def flags_of_row(flags: Sequence[Flag], row: Mapping[str, Any]) -> list[Flag]:
    """The flags on a row; one on a turn that the row does not have becomes a flag on the whole row that says so."""
    turns = len(row.get("messages") or ())
    return [
        flag
        if flag.turn is None or flag.turn < turns
        else replace(flag, turn=None, reason=f"on turn {flag.turn + 1} of {turns}: {flag.reason}")
        for flag in flags
    ]


def cleaning_flag(row_id: str, edit: CleaningEdit) -> Flag:
    """What a cleaning rule did to a turn."""
    turn = 2 * edit.round_index + (edit.side == "answer")
    after = (
        f"“{edit.before}” became “{edit.after}”" if edit.after is not None else f"“{edit.before}” was dropped"
    )
    return Flag(row_id, turn, "cleaning", edit.rule, after[:_MOST_CHARACTERS])


def fault_flag(row_id: str, fault: DatasetFault) -> Flag:
    """A fault that `validate` found in a row."""
    turn = None
    if fault.field and fault.field.startswith("messages["):
        number = fault.field[len("messages[") :].partition("]")[0]
        turn = int(number) if number.isdigit() else None
    where = f"{fault.field}: " if fault.field else ""
    return Flag(row_id, turn, "validate", str(fault.check), f"{where}{fault.message}"[:_MOST_CHARACTERS])


def score_flag(score: GroundednessScore) -> Flag:
    """The score that a judge gave a conversation."""
    verdict = "no score" if score.score is None else str(score.score)
    return Flag(score.pair_id, None, "judge", verdict, score.answer[:_MOST_CHARACTERS])


def _read(path: Path) -> Iterator[Flag]:
    try:
        for number, stated in read_objects(path):
            try:
                if stated is None:
                    raise ValueError("it is no JSON object")
                yield Flag.from_json(stated)
            except ValueError as error:
                raise UsageError(
                    f"{path}, line {number} is no flag: {error}; correct or remove this line"
                ) from error
    except OSError as error:
        raise UsageError(f"the flags {path} cannot be read: {error.strerror}") from error
