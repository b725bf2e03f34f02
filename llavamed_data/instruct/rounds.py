"""Rounds of question and answer out of what a model wrote as free text."""

import re
from collections.abc import Iterator
from itertools import pairwise

from llavamed_data.instruct.conversation import Turn

_USER = ("user", "human", "person", "questioner", "question")
_ASSISTANT = ("ai assistant", "assistant", "answer", "chatbot", "bot", "ai")

_MARKS = r"[ \t>#*_`\-•–—\d.()\[\]]*"


def _label(user: str, assistant: str) -> re.Pattern[str]:
    # A label stands at the start of a line, maybe numbered, quoted or in bold, and ends in a colon;
    # as a heading or in bold it may stand alone on its line without one.
    name = rf"(?:(?P<user>{user})|(?P<assistant>{assistant}))(?:[ \t]*#?\d+)?"
    end = r"(?:[ \t*_`\])]*[:：][ \t*_`]*|(?<=\w)[ \t]*[*_]+[ \t]*$|(?(heading)[ \t]*$|(?!)))"
    return re.compile(
        rf"^(?:(?P<heading>[ \t]*#+[ \t]*)|{_MARKS})\b{name}{end}", re.IGNORECASE | re.MULTILINE
    )


_LABEL = _label("|".join(_USER), "|".join(_ASSISTANT))
# One letter names a speaker only in a text without longer labels: "A:" also stands for a panel of a figure.
_LETTER_LABEL = _label("q", "a")
_INLINE_LABEL = re.compile(r"(?<!\w)[*_]*(?:(?P<user>User|Human)|(?P<assistant>Assistant))[*_]*:[*_]*\s")
_RULE = re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_IMAGE_TOKEN = re.compile(r"\s*<image>\s*", re.IGNORECASE)


def parse_rounds(text: str, *, truncated: bool = False) -> tuple[Turn, ...]:
    r"""The rounds of a conversation.

    Left out are what stands before the first question or after a ruled line, a question without an answer and
    an answer without a question; two utterances of one speaker in a row become one.

    Args:
        text: what the model wrote.
        truncated: the model was cut off (`finish_reason` is `length`): the round it was in is left out.

    Returns:
        (question, answer) rounds; empty where none can be found.

    >>> parse_rounds("Here it is:\n\n**User:** What is it?\n\n**Assistant:** A lung.")
    (('What is it?', 'A lung.'),)
    """
    utterances = list(_utterances(text))
    if truncated and utterances:
        utterances.pop()
    rounds = []
    for (speaker, question), (next_speaker, answer) in pairwise(utterances):
        if (speaker, next_speaker) == ("user", "assistant"):
            rounds.append((question, answer))
    return tuple(rounds)


def _utterances(text: str) -> Iterator[tuple[str, str]]:
    """Alternating (speaker, text) utterances."""
    last: tuple[str, str] | None = None
    for speaker, said in _labelled(text):
        if not said:
            continue
        if last and last[0] == speaker:
            last = speaker, f"{last[1]} {said}"
            continue
        if last:
            yield last
        last = speaker, said
    if last:
        yield last


def _labelled(text: str) -> Iterator[tuple[str, str]]:
    for label in (_LABEL, _LETTER_LABEL, _INLINE_LABEL):
        marks = list(label.finditer(text))
        speakers = [_speaker(mark) for mark in marks]
        if {"user", "assistant"} <= set(speakers):
            break
    else:
        return
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for speaker, mark, end in zip(speakers, marks, ends, strict=True):
        yield speaker, _tidy(text[mark.end() : end])


def _speaker(mark: re.Match[str]) -> str:
    return "user" if mark["user"] else "assistant"


def _tidy(said: str) -> str:
    said = _RULE.split(said, maxsplit=1)[0]
    said = _IMAGE_TOKEN.sub(" ", said)
    said = _EMPHASIS.sub(r"\2", said)
    paragraphs = re.split(r"\n\s*\n", said.strip())
    return "\n\n".join(re.sub(r"[ \t]*\n[ \t]*", "\n", part.strip()) for part in paragraphs if part.strip())
