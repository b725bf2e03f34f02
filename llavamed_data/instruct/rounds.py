"""Finds the rounds of question and answer in the free text that a model writes."""

import re
from collections.abc import Iterator
from itertools import pairwise

from llavamed_data.instruct.conversation import Round

_USER = ("user", "human", "person", "questioner", "question")
_ASSISTANT = ("ai assistant", "assistant", "answer", "chatbot", "bot", "ai")

_BEFORE_LABEL = r"[ \t>#*_`\-•–—\d.()\[\]]*"


def _label(user: str, assistant: str) -> re.Pattern[str]:
    # A label stands at the start of a line, maybe numbered, quoted or in bold, and ends in a colon;
    # as a heading or in bold it may stand alone on its line without one.
    name = rf"(?:(?P<user>{user})|(?P<assistant>{assistant}))(?:[ \t]*#?\d+)?"
    end = r"(?:[ \t*_`\])]*[:：][ \t*_`]*|(?<=\w)[ \t]*[*_]+[ \t]*$|(?(heading)[ \t]*$|(?!)))"
    return re.compile(
        rf"^(?:(?P<heading>[ \t]*#+[ \t]*)|{_BEFORE_LABEL})\b{name}{end}", re.IGNORECASE | re.MULTILINE
    )


_LABELS = (
    _label("|".join(_USER), "|".join(_ASSISTANT)),
    _label("q", "a"),
    re.compile(r"(?<!\w)[*_]*(?:(?P<user>User|Human)|(?P<assistant>Assistant))[*_]*:[*_]*\s"),
)
"""Labels of speakers, in the order in which they are tried: words at the start of a line, single letters there, words
anywhere. Letters come after words, as "A:" may also stand for a panel of a figure."""

_RULED_LINE = re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_IMAGE_TOKEN = re.compile(r"\s*<image>\s*", re.IGNORECASE)


def parse_rounds(text: str, *, truncated: bool = False) -> tuple[Round, ...]:
    r"""The rounds of a conversation that a model wrote.

    What stands before the first question or after a ruled line is left out, and so are a question without an answer and
    an answer without a question. Two utterances of one speaker in a row are joined.

    Args:
        text: what the model wrote.
        truncated: whether the model was cut off (`finish_reason` is `length`); the last round is then left out.

    Returns:
        The rounds; empty if there are none.

    >>> parse_rounds("Here it is:\n\n**User:** What is it?\n\n**Assistant:** A lung.")
    (('What is it?', 'A lung.'),)
    """
    utterances: list[tuple[str, str]] = []
    for speaker, words in _labelled(text):
        if utterances and utterances[-1][0] == speaker:
            utterances[-1] = speaker, f"{utterances[-1][1]} {words}"
        else:
            utterances.append((speaker, words))
    if truncated and utterances:
        utterances.pop()
    return tuple(
        (question, answer) for (speaker, question), (_, answer) in pairwise(utterances) if speaker == "user"
    )


def _labelled(text: str) -> Iterator[tuple[str, str]]:
    """Yields (speaker, words) for each label with words after it, if both speakers have a label of the same kind."""
    for label in _LABELS:
        found = list(label.finditer(text))
        speakers = ["user" if match["user"] else "assistant" for match in found]
        if {"user", "assistant"} <= set(speakers):
            ends = [match.start() for match in found[1:]] + [len(text)]
            for speaker, match, end in zip(speakers, found, ends, strict=True):
                if words := _tidy(text[match.end() : end]):
                    yield speaker, words
            return


def _tidy(words: str) -> str:
    """An utterance without ruled lines, image tokens, emphasis and blanks that do not count."""
    words = _RULED_LINE.split(words, maxsplit=1)[0]
    words = _IMAGE_TOKEN.sub(" ", words)
    words = _EMPHASIS.sub(r"\2", words)
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", words.strip()))
    return "\n\n".join(re.sub(r"[ \t]*\n[ \t]*", "\n", part) for part in paragraphs if part)
