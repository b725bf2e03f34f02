"""A model's answer, as it is read from the server's response and kept in the journal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llavamed_data.llm.request import JsonObject
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request and its answer, as the server counted them; 0 if it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens of both."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: the message; empty if the model wrote none.
        model: the model as the server names it, often with a version.
        finish_reason: why the answer ends: `stop`, `length`, `content_filter` or another word of the server.
        usage: tokens of request and answer.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage = Usage()

    def to_json(self) -> JsonObject:
        """The answer as a line of the journal holds it."""
        return {
            "text": self.text,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": [self.usage.prompt_tokens, self.usage.completion_tokens],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Answer":
        """The answer that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: `value` is no answer.
        """
        prompt, completion = value["usage"]
        return cls(
            str(value["text"]),
            str(value["model"]),
            str(value["finish_reason"]),
            Usage(int(prompt), int(completion)),
        )


Outcome = Answer | Drop
"""What became of one request: its answer, or why there is none."""


class UnusableAnswerError(Exception):
    """The server reports success (HTTP 200) but sends no answer; the next attempt may get one."""


def read_answer(response: bytes | JsonObject, *, model: str) -> Answer:
    """The answer in a Chat Completions response.

    Args:
        response: the response, as bytes or decoded.
        model: the model asked for, in case the response names none.

    Raises:
        UnusableAnswerError: the response is not JSON, or holds no message.
    """
    try:
        value = json.loads(response) if isinstance(response, bytes) else response
    except ValueError as error:
        raise UnusableAnswerError("the response is not JSON") from error
    try:
        choice = value["choices"][0]
        usage = value.get("usage") or {}
        return Answer(
            text=str(choice["message"].get("content") or ""),
            model=str(value.get("model") or model),
            finish_reason=str(choice.get("finish_reason") or "stop"),
            usage=Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UnusableAnswerError("the response holds no answer") from error


def outcome_of(answer: Answer) -> Outcome:
    """The answer itself, or a drop if the server's content filter ended it."""
    if answer.finish_reason == "content_filter":
        return Drop(Reason.CONTENT_FILTER, answer.text)
    return answer
