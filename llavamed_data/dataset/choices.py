"""Multiple-choice questions as text: the letters of choices, and the question with its choices below it."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

LETTERS = ascii_uppercase
"""The letters of choices, in their order."""

MULTIPLE_CHOICE = "CHOICE"
"""The `answer_type` of a question of which one of several choices is the right answer."""


def lettered(choices: Sequence[str]) -> str:
    """The choices with their letters, one a line.

    >>> lettered(["MRI", "CT"])
    'A. MRI\\nB. CT'
    """
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def with_choices(question: str, choices: Sequence[str]) -> str:
    """The question with its lettered choices below it; the question alone where there are none.

    >>> with_choices("Which scan is it?", ["MRI", "CT"])
    'Which scan is it?\\nA. MRI\\nB. CT'
    """
    return f"{question}\n{lettered(choices)}" if choices else question


def choice_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the choices and the answer of a row that follows the schema; None if nothing is."""
    choices = row["choices"]
    turns = [part["text"] for turn in row["messages"] for part in turn["content"] if part["type"] == "text"]
    said, answer = "\n".join(turns[:-1]), turns[-1]
    if said != with_choices(row["question"], choices):
        return "the question of the messages is not the question with its lettered choices"
    if row["answer_type"] != MULTIPLE_CHOICE:
        return f"an open question has {len(choices)} choices" if choices else None
    if not 2 <= len(choices) <= len(LETTERS):
        return f"has {len(choices)} choices, not 2 to {len(LETTERS)}"
    if len(set(choices)) < len(choices):
        return "two choices are the same"
    if len(answer) != 1 or answer not in LETTERS[: len(choices)]:
        return f"the answer {answer[:40]!r} is no letter of {LETTERS[0]} to {LETTERS[len(choices) - 1]}"
    return None
