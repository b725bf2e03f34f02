"""Cleans the conversations in a JSON Lines file, in any of three forms."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.console.printable import printable_line
from llavamed_data.errors import UsageError
from llavamed_data.instruct.cleaning import CleaningEdit, CleaningRules, clean
from llavamed_data.instruct.conversation import Round
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.regular_files import require_settings_file

_IMAGE_MARK = "<image>"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


@dataclass(slots=True)
class CleanSummary:
    """What cleaning a file did; `read` is always `kept` + `dropped`.

    Attributes:
        read, kept, dropped: conversations; those of which no round is left are dropped.
        rounds_read, rounds_kept: rounds.
        rules: rule → how many changes it made.
        edits: the id of a conversation and a change to it, for all changes; empty unless they were asked for.
    """

    read: int = 0
    kept: int = 0
    dropped: int = 0
    rounds_read: int = 0
    rounds_kept: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    edits: list[tuple[str, CleaningEdit]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain values, and the changes where they were asked for."""
        stated = {
            name: getattr(self, name) for name in ("read", "kept", "dropped", "rounds_read", "rounds_kept")
        }
        edits = [{"id": name, **asdict(edit)} for name, edit in self.edits]
        return {**stated, "rules": dict(self.rules.most_common()), **({"edits": edits} if edits else {})}


def clean_file(
    source: Path,
    out: Path | None = None,
    *,
    rules: CleaningRules | None = None,
    on_edit: Callable[[str, CleaningEdit], None] | None = None,
) -> CleanSummary:
    """Cleans every conversation of a file.

    Args:
        source: JSON Lines. A row holds its rounds as `turns` (`[[question, answer], …]`), as `messages` (`role`,
            `content`) or as `conversations` (`from`, `value`); whatever else it holds is kept.
        out: the file for the cleaned rows, in the same form, without those of which no round is left. It appears when
            all rows are cleaned. None only counts.
        rules: what `load_cleaning_rules` returns; the packaged rules by default.
        on_edit: called with each change, and the id of its conversation.

    Raises:
        UsageError: a file cannot be read or written, `out` is `source`, or a row holds no conversation.
    """
    if out and out.is_dir():
        raise UsageError(f"{out} is a folder: name the file to write")
    if out and out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out} is the file that is read, which --out would replace: name another file")
    summary = CleanSummary()
    with contextlib.ExitStack() as opened:
        try:
            file = (
                opened.enter_context(opened.enter_context(atomic_path(out)).open("w", encoding="utf-8"))
                if out
                else None
            )
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}") from error
        for name, row, rounds in _rows(source):
            cleaned = clean(rounds, rules)
            summary.read += 1
            summary.kept += bool(cleaned.rounds)
            summary.dropped += not cleaned.rounds
            summary.rounds_read += len(rounds)
            summary.rounds_kept += len(cleaned.rounds)
            summary.rules.update(cleaned.rule_counts)
            if on_edit:
                for edit in cleaned.edits:
                    on_edit(name, edit)
            if file and cleaned.rounds:
                file.write(json.dumps(_with_rounds(row, cleaned.rounds), ensure_ascii=False) + "\n")
    return summary


def _rows(source: Path) -> Iterator[tuple[str, dict[str, Any], list[Round]]]:
    """Yields the id of each conversation, its row, and its rounds."""
    try:
        require_settings_file(source)
        lines = source.open(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    with lines:
        number = 0
        try:
            for line in lines:
                number += 1
                if line.strip():
                    row = _record(line)
                    name = str(row.get("pair_id") or row.get("id") or f"line {number}")
                    try:
                        rounds = _rounds(row)
                    except _MalformedRowError as error:
                        known = f" ({printable_line(name, 80)})" if name != f"line {number}" else ""
                        raise _MalformedRowError(f"{error}{known}") from error
                    yield name, row, rounds
        except UnicodeDecodeError as error:
            raise UsageError(f"{source} is no text in UTF-8: give JSON Lines") from error
        except _MalformedRowError as error:
            raise UsageError(f"{source}, line {number}: {error}") from error


class _MalformedRowError(Exception):
    """A row holds no conversation; the text says which field is wrong."""


def _record(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise _MalformedRowError(
            f"no JSON ({error.msg}): give JSON Lines, one conversation a line"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of too many digits; too many brackets
        raise _MalformedRowError(f"JSON that cannot be read: {error}") from error
    if not isinstance(row, dict):
        raise _MalformedRowError("no JSON object: give JSON Lines, one conversation a line")
    return row


def _rounds(row: Mapping[str, Any]) -> list[Round]:
    field = next((name for name in ("turns", "messages", "conversations") if name in row), None)
    if field is None:
        raise _MalformedRowError("no conversation: it has none of the fields turns, messages, conversations")
    if not isinstance(row[field], list):
        raise _MalformedRowError(f"the field {field} is not a list")
    sides = list[str]()
    for number, entry in enumerate(row[field]):
        where = f"{field}[{number}]"
        if field == "turns":
            if (
                not isinstance(entry, list)
                or len(entry) != 2
                or not all(isinstance(text, str) for text in entry)
            ):
                raise _MalformedRowError(f"{where} is not [question, answer], two texts")
            sides += entry
        elif field == "messages":
            sides.append(_text(entry, "role", "content", where, of_user=number % 2 == 0))
        else:
            sides.append(_without_mark(_text(entry, "from", "value", where, of_user=number % 2 == 0)))
    if len(sides) % 2:
        raise _MalformedRowError(f"the last of {field} is a question without an answer")
    return list(zip(sides[::2], sides[1::2], strict=True))


def _text(turn: Any, role_field: str, text_field: str, where: str, *, of_user: bool) -> str:
    """The text of a turn, which must be of the side whose turn it is."""
    if not isinstance(turn, dict):
        raise _MalformedRowError(f"{where} is not an object of {role_field} and {text_field}")
    role, content = turn.get(role_field), turn.get(text_field)
    if not isinstance(role, str) or _ROLES.get(role) != ("user" if of_user else "assistant"):
        names = [name for name, side in _ROLES.items() if (side == "user") == of_user]
        raise _MalformedRowError(
            f"{where}.{role_field} is {printable_line(repr(role), 40)}, not {' or '.join(names)}: the two take turns"
        )
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or text_field == "value":
        raise _MalformedRowError(f"{where}.{text_field} is not a text")
    parts = [part for part in content if isinstance(part, dict) and isinstance(part.get("type"), str)]
    texts = [part.get("text") for part in parts if part["type"] == "text"]
    if len(parts) < len(content) or not all(isinstance(text, str) for text in texts):
        raise _MalformedRowError(f"{where}.{text_field} is neither a text nor a list of parts {{type, text}}")
    return "".join(map(str, texts))


def _without_mark(value: str) -> str:
    return value.removeprefix(_IMAGE_MARK).removesuffix(_IMAGE_MARK).strip()


def _with_rounds(row: dict[str, Any], rounds: tuple[Round, ...]) -> dict[str, Any]:
    """The row with other rounds; the image stays in the first one, before or after its text as it was."""
    if "turns" in row:
        return {**row, "turns": rounds}
    texts = [text for sides in rounds for text in sides]
    if "conversations" in row:
        first = row["conversations"][0]["value"]
        before = f"{_IMAGE_MARK}\n" if first.startswith(_IMAGE_MARK) else ""
        after = f"\n{_IMAGE_MARK}" if first.endswith(_IMAGE_MARK) else ""
        texts[0] = f"{before}{texts[0]}{after}"
        turns = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]
        return {**row, "conversations": turns}
    contents: list[Any] = list(texts)
    first_content = row["messages"][0]["content"]
    if isinstance(first_content, list):
        contents = [[{"type": "text", "text": text}] for text in texts]
        contents[0] = [part for part in first_content if part["type"] != "text"] + contents[0]
    messages = [
        {"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)
    ]
    return {**row, "messages": messages}
