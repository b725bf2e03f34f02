"""Conversations about an image with one model or with several."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_trainer.collate.bad_rows import BadRowError
from llavamed_trainer.collate.pixels import read_image

MOST_IMAGE_BYTES = 20_000_000
"""The bytes of an image at most."""


class Ending(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"
    CUT_OFF = "cut off"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A question and its answer.

    Attributes:
        question: as it was asked.
        answer: as far as it was given.
        ended: `cut off` at the longest answer allowed, `stopped` by the user, `failed` with the model or its server.
    """

    question: str
    answer: str
    ended: Ending = Ending.COMPLETE


@dataclass(frozen=True, slots=True)
class ChatImage:
    """An image that is talked about.

    Attributes:
        name: of its file.
        data: the bytes of its file.
    """

    name: str
    data: bytes

    @classmethod
    def read(cls, path: Path) -> "ChatImage":
        """Reads an image from a file.

        Raises:
            UsageError: there is no such file, or it is too large or no image.
        """
        try:
            if path.stat().st_size > MOST_IMAGE_BYTES:
                raise UsageError(
                    f"{path} has more than {MOST_IMAGE_BYTES // 1_000_000} MB: give a smaller image"
                )
            return cls.of(path.name, path.read_bytes())
        except OSError as error:
            raise UsageError(f"the image {path} cannot be read: {error.strerror or error}") from error

    @classmethod
    def of(cls, name: str, data: bytes) -> "ChatImage":
        """Checks the bytes of an image.

        Raises:
            UsageError: they are none.
        """
        try:
            read_image({"bytes": data})
        except BadRowError as error:
            raise UsageError(f"{name} is no image that can be shown to a model: {error.detail}") from error
        return cls(name, data)

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was asked of one model, and what it answered.

    Attributes:
        model: its name.
        turns: in order; those that failed are no part of what the model is shown.
    """

    model: str
    turns: Sequence[ChatTurn] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(self.turns))

    @property
    def answered(self) -> list[ChatTurn]:
        """The turns that the next question follows."""
        return [turn for turn in self.turns if turn.answer and turn.ended is not Ending.FAILED]

    def with_turn(self, turn: ChatTurn) -> "Conversation":
        """The conversation and one turn more."""
        return replace(self, turns=(*self.turns, turn))

    def without_last(self) -> "Conversation":
        """The conversation without its last turn, so that the question can be asked again."""
        return replace(self, turns=self.turns[:-1])


@dataclass(frozen=True, slots=True)
class Chat:
    """Conversations about the same image with one or several models.

    Attributes:
        image: that is talked about; None for a conversation without one.
        conversations: one for each model.
        references: the answers that are right, question by question; "" where none is known, and fewer than questions
            where the last ones have none.
    """

    image: ChatImage | None
    conversations: Sequence[Conversation]
    references: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "conversations", tuple(self.conversations))
        object.__setattr__(self, "references", tuple(self.references))

    def reference(self, number: int) -> str:
        """The right answer to the question of this number, counted from 0; "" where none is known."""
        return self.references[number] if number < len(self.references) else ""

    def with_turns(self, turns: Sequence[ChatTurn], reference: str = "") -> "Chat":
        """The chat and one turn more in each conversation.

        Args:
            turns: one for each conversation, with the same question.
            reference: the right answer to it, "" where none is known.
        """
        grown = [each.with_turn(turn) for each, turn in zip(self.conversations, turns, strict=True)]
        before = [self.reference(number) for number in range(self._asked)]
        return Chat(self.image, grown, [*before, reference] if reference or self.references else ())

    def without_last(self) -> "Chat":
        """The chat without its last question, so that it can be asked again."""
        return Chat(
            self.image,
            [each.without_last() for each in self.conversations],
            self.references[: max(0, self._asked - 1)],
        )

    @property
    def last_question(self) -> str | None:
        """What was asked last; None before the first question."""
        return next((each.turns[-1].question for each in self.conversations if each.turns), None)

    @property
    def _asked(self) -> int:
        return max((len(each.turns) for each in self.conversations), default=0)
