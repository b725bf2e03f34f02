"""A request to a chat model: its messages, the model's settings, and the key of its answer in the journal."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

JsonObject = dict[str, Any]

_ROOM_FOR_REASONING = 4096


class Message(TypedDict):
    """One message of a chat request: its role (`system`, `user` or `assistant`) and its text."""

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

    @property
    def max_tokens(self) -> int:
        """Most tokens of the answer; 0 if the request sets no limit."""
        return int(self.body.get("max_tokens") or self.body.get("max_completion_tokens") or 0)

    def with_more_room(self) -> "Request":
        """The request with room for an answer after long reasoning: four times the tokens, and at least 4,096."""
        parameter = "max_tokens" if "max_tokens" in self.body else "max_completion_tokens"
        return Request({**self.body, parameter: max(4 * self.max_tokens, _ROOM_FOR_REASONING)})

    def continued(self, answer: str, reply: str) -> "Request":
        """The request that goes on with the chat: after its messages, the model's `answer` and the user's `reply`."""
        more = [{"role": "assistant", "content": answer}, {"role": "user", "content": reply}]
        return Request({**self.body, "messages": [*self.body["messages"], *more]})


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A chat model and how it is sampled; all of this is part of every request, and so of its key.

    Attributes:
        name: the model's name on the server.
        temperature: sampling temperature; None leaves it to the server, as some models take no other than their own.
        seed: sampling seed; None leaves it to the server.
        max_tokens: most tokens of an answer.
        length_parameter: the request parameter that holds `max_tokens`; newer OpenAI models take
            `max_completion_tokens`.
    """

    name: str
    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int = 1024
    length_parameter: str = "max_tokens"

    def request(self, messages: list[Message]) -> Request:
        """The request that sends `messages` to this model."""
        body: dict[str, Any] = {
            "model": self.name,
            "messages": messages,
            self.length_parameter: self.max_tokens,
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.seed is not None:
            body["seed"] = self.seed
        return Request(body)
