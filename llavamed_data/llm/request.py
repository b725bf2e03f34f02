"""One request to a chat model and its answer, as the journal keeps them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

JsonObject = dict[str, Any]


class Message(TypedDict):
    """One message of a chat request."""

    role: str
    content: str


@dataclass(frozen=True)
class Request:
    """The body of a Chat Completions request.

    Attributes:
        body: model, messages and sampling settings, as they are sent.
    """

    body: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """SHA-256 of the whole body, 64 hex digits: the same request has the same key in every run."""
        canonical = json.dumps(self.body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer as the server counted them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: the message; empty where the model wrote none.
        model: as the server names it.
        finish_reason: `stop`, `length`, `content_filter` or the server's own word.
        usage: tokens.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage = Usage()

    def to_json(self) -> JsonObject:
        """As a line of the journal holds it."""
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
