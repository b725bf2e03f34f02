"""Cleans the conversations in a JSON Lines file, in any of three forms."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
        lines = source.open(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    with lines:
        number = 0
        try:
            for line in lines:
                number += 1
                if line.strip():
                    row = json.loads(line)
                    rounds = _rounds(row)
                    yield str(row.get("pair_id") or row.get("id") or f"line {number}"), row, rounds
        except UnicodeDecodeError as error:
            raise UsageError(f"{source} is no text in UTF-8: give JSON Lines") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{source}, line {number}: no conversation in JSON ({error})") from error


def _rounds(row: Mapping[str, Any]) -> list[Round]:
    if "turns" in row:
        return [(str(question), str(answer)) for question, answer in row["turns"]]
    if "messages" in row:
        turns = [(message["role"], _text(message["content"])) for message in row["messages"]]
    else:
        turns = [(turn["from"], _without_mark(turn["value"])) for turn in row["conversations"]]
    if [_ROLES[role] for role, _ in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise ValueError("user and assistant do not take turns")
    texts = [text for _, text in turns]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


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
