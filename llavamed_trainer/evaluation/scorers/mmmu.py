"""How MMMU's own evaluation code reads answers; MedEvalKit and lmms-eval hold copies of it that differ in places."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llavamed_trainer.evaluation.questions import Question
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore

_MARKS = (",", ".", "!", "?", ";", ":", "'")
_MIN_WORDS = 5
"""An answer is searched for the texts of the choices only if it has more words than this."""

_KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
"""What stands before the end of a sentence that may be the answer to an open question."""

_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


class FoundLetter(NamedTuple):
    """The letter that an answer names, None if the code draws one at random, and how it was found."""

    letter: str | None
    how: str


def score_mmmu_choice(question: Question, answer: str, forms: Sequence[str]) -> AnswerScore:
    """Scores a multiple-choice question as MMMU's code does; where that draws a letter, its chance of being right."""
    letters = letters_of(question)
    read = find_letter(answer, letters, question.choices, forms)
    if read.letter is None:
        right = (question.reference in letters) / len(letters)
        why = f"{read.how.capitalize()}: the kit draws a letter, which is right once in {len(letters)} times."
    else:
        right = float(read.letter == question.reference)
        why = f"The answer names {read.letter!r} ({read.how}), and {question.reference!r} is right."
    return AnswerScore("choice", {"accuracy": right}, answer, why)


def letters_of(question: Question) -> list[str]:
    """The letters of a question's choices, from A."""
    return [chr(ord("A") + place) for place in range(len(question.choices))]


def find_letter(
    answer: str, letters: Sequence[str], choices: Sequence[str], forms: Sequence[str]
) -> FoundLetter:
    """The letter that an answer names: in brackets, in one of the other forms, or by the text of its choice.

    Args:
        answer: the answer.
        letters: the letters of the choices.
        choices: the texts of the choices.
        forms: how a letter may stand without brackets, in order, such as `" {} "`.
    """
    for mark in _MARKS:
        answer = answer.strip(mark)
    answer = f" {answer} "
    searched, looked_for = answer, "({})"
    found = [letter for letter in letters if f"({letter})" in answer]
    for form in forms if not found else ():
        found = [letter for letter in letters if form.format(letter) in answer]
        if found:
            looked_for = " {} "
            break
    names = dict(zip(letters, letters, strict=True))
    how = "by its letter"
    if not found and len(answer.split()) > _MIN_WORDS:
        searched, looked_for, how = answer.lower(), "{}", "by its text"
        names = {letter: choice.lower() for letter, choice in zip(letters, choices, strict=True)}
        found = [letter for letter in letters if names[letter] in searched]
    if not found:
        return FoundLetter(None, "no letter and no text of a choice was found")
    last = max(found, key=lambda letter: searched.rfind(looked_for.replace("{}", names[letter])))
    return FoundLetter(last, how if len(found) == 1 else f"{how}, the last of {len(found)}")


def open_candidates(answer: str) -> set[str | float]:
    """The texts and numbers in an answer to an open question that may be meant, normalised."""
    text = answer.strip().strip(".").lower()
    lines = re.split(r"\.\s(?=[A-Z])|\n", text)
    keys = list[str]()
    for number, line in enumerate(lines, 1):
        shortest = ""
        for mark in (*_KEYS, "=") if number == len(lines) else _KEYS:
            tail = line.rpartition(mark)[2].strip() if mark in line else None
            if tail is not None and (not shortest or len(tail) < len(shortest)):
                shortest = tail
        if shortest and shortest not in _MARKS:
            keys.append(shortest)
    keys = keys or [text]
    numbers = (found for key in keys for pattern in _NUMBERS for found in pattern.findall(key))
    return {value for each in (*keys, *numbers) for value in _normalised(each)}


def is_among(candidates: Iterable[str | float], reference: str) -> bool:
    """Whether a text contains the reference or a number equals it."""
    wanted = _normalised(reference)
    texts = [each for each in wanted if isinstance(each, str)]
    return any(
        any(text in candidate for text in texts) if isinstance(candidate, str) else candidate in wanted
        for candidate in candidates
    )


def _normalised(text: str) -> list[str | float]:
    """A number rounded to two digits, or the text in lower case; a single character with a blank at either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]
