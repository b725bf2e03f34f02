"""Cleans conversations in a file, and shows which rule did what."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from llavamed_data.errors import UsageError
from llavamed_data.instruct.cleaning import Cleaned, Touch, clean
from llavamed_data.instruct.conversation import Turn

_MARK = "<image>"
_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


@dataclass(slots=True)
class CleanSummary:
    """What cleaning a file did; `read` = `kept` + `dropped`, in conversations.

    Attributes:
        read, kept, dropped: conversations; dropped are those of which nothing was left.
        turns_read, turns_kept: rounds.
        rules: rule → how many times it touched a round.
    """

    read: int = 0
    kept: int = 0
    dropped: int = 0
    turns_read: int = 0
    turns_kept: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def count(self, before: int, cleaned: Cleaned) -> None:
        """Counts one conversation that had `before` rounds."""
        self.read += 1
        self.kept += bool(cleaned.turns)
        self.dropped += not cleaned.turns
        self.turns_read += before
        self.turns_kept += len(cleaned.turns)
        self.rules.update(cleaned.rules)

    def table(self) -> Table:
        """For people."""
        table = Table(
            title=f"{self.read:,} conversations: {self.kept:,} kept, {self.dropped:,} dropped; "
            f"{self.turns_kept:,} of {self.turns_read:,} rounds"
        )
        table.add_column("rule")
        table.add_column("touched", justify="right")
        for rule, count in self.rules.most_common():
            table.add_row(rule, f"{count:,}")
        return table


def clean_file(source: Path, out: Path | None = None) -> CleanSummary:
    """Cleans every conversation of `source` into `out`.

    Args:
        source: JSON Lines. A row holds its rounds as `turns` (`[[question, answer], …]`), as `messages`
            (`role`, `content`) or as `conversations` (`from`, `value`), and anything else, which stays.
        out: where rows go in the same form, without those of which nothing is left; None only counts.

    Raises:
        UsageError: the file cannot be read or written, or a row is none.
    """
    summary = CleanSummary()
    if out and out.is_dir():
        raise UsageError(f"{out} is a folder: name the file to write")
    aside = out.with_name(out.name + ".part") if out else None
    try:
        sink = aside.open("w", encoding="utf-8") if aside else None
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    try:
        for row, turns in _rows(source):
            cleaned = clean(turns)
            summary.count(len(turns), cleaned)
            if sink and cleaned.turns:
                sink.write(json.dumps(_with_turns(row, cleaned.turns), ensure_ascii=False) + "\n")
    finally:
        if sink:
            sink.close()
    if aside and out:
        aside.replace(out)
    return summary


def explain(source: Path) -> Iterator[tuple[str, Touch]]:
    """(id of the conversation, what a rule did to one of its rounds), in the order of the file.

    Raises:
        UsageError: the file cannot be read, or a row is none.
    """
    for number, (row, turns) in enumerate(_rows(source), start=1):
        name = str(row.get("pair_id") or row.get("id") or f"line {number}")
        for touch in clean(turns).touches:
            yield name, touch


def show(name: str, touch: Touch) -> Group:
    """One touch for people: where, which rule, before and after."""
    return Group(
        Text(f"{name}, round {touch.turn + 1}, {touch.side}: {touch.rule}", style="bold"),
        Text(f"  - {touch.before}", style="red"),
        Text(f"  + {touch.after}" if touch.after else "  (the round goes)", style="green"),
    )


def _rows(source: Path) -> Iterator[tuple[dict[str, Any], list[Turn]]]:
    try:
        lines: IO[str] = source.open(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    with lines:
        number = 0
        try:
            for line in lines:
                number += 1
                if line.strip():
                    row = json.loads(line)
                    yield row, _turns(row)
        except UnicodeDecodeError as error:
            raise UsageError(f"{source} is no text in UTF-8: give JSON Lines") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{source}, line {number}: no conversation in JSON ({error})") from error


def _turns(row: Mapping[str, Any]) -> list[Turn]:
    if "turns" in row:
        return [(str(question), str(answer)) for question, answer in row["turns"]]
    if "messages" in row:
        said = [(message["role"], _text(message["content"])) for message in row["messages"]]
    else:
        said = [(message["from"], _unmarked(message["value"])) for message in row["conversations"]]
    speakers = [_SPEAKERS[speaker] for speaker, _ in said]
    if speakers != ["user", "assistant"] * (len(said) // 2):
        raise ValueError("user and assistant do not take turns")
    texts = [text for _, text in said]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _unmarked(value: str) -> str:
    return value.removeprefix(_MARK).removesuffix(_MARK).strip()


def _with_turns(row: dict[str, Any], turns: tuple[Turn, ...]) -> dict[str, Any]:
    """`row` with other rounds; the image stays in the first of them, wherever it stood there."""
    if "turns" in row:
        return {**row, "turns": turns}
    said = [text for turn in turns for text in turn]
    if "conversations" in row:
        first = row["conversations"][0]["value"]
        opens, closes = (f"{_MARK}\n" * first.startswith(_MARK), f"\n{_MARK}" * first.endswith(_MARK))
        said[0] = f"{opens}{said[0]}{closes}"
        names = ("human", "gpt")
        return {
            **row,
            "conversations": [{"from": names[n % 2], "value": text} for n, text in enumerate(said)],
        }
    contents: list[Any] = list(said)
    if isinstance(row["messages"][0]["content"], list):
        contents = [[{"type": "text", "text": text}] for text in said]
        contents[0] = [part for part in row["messages"][0]["content"] if part["type"] != "text"] + contents[0]
    names = ("user", "assistant")
    return {
        **row,
        "messages": [{"role": names[n % 2], "content": content} for n, content in enumerate(contents)],
    }
