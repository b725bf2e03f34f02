"""The address that answers, and how requests to it are made."""

import json
import os
from dataclasses import dataclass
from typing import Any

import openai

from llavamed_data.errors import UsageError
from llavamed_data.llm.request import Answer, JsonObject, Message, Request, Usage
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class Model:
    """A model and how it is sampled; all of it goes into every request and so into its key.

    Attributes:
        name: as the server knows it.
        temperature: None leaves it to the server (some models take no other).
        seed: likewise.
        max_tokens: the longest answer.
        length_parameter: what the server calls `max_tokens`; newer OpenAI models want
            `max_completion_tokens`.
    """

    name: str
    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int = 1024
    length_parameter: str = "max_tokens"

    def request(self, messages: list[Message]) -> Request:
        """The request that asks this model with `messages`."""
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


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go. The key comes from the environment (`OPENAI_API_KEY`) and is kept nowhere else.

    Attributes:
        base_url: any OpenAI-compatible address (`http://127.0.0.1:11434/v1`); None is OpenAI's own, or what
            `OPENAI_BASE_URL` names.
        timeout: seconds that one request may take.
    """

    base_url: str | None = None
    timeout: float = 120.0

    def check(self) -> None:
        """Tells at once what `connect` would.

        Raises:
            UsageError: OpenAI's own address and no key, or an address that is none.
        """
        self._arguments()

    def connect(self) -> openai.AsyncOpenAI:
        """A client without retries of its own: ours count and obey the rate limits.

        Raises:
            UsageError: OpenAI's own address and no key.
        """
        return openai.AsyncOpenAI(**self._arguments())

    def connect_blocking(self) -> openai.OpenAI:
        """The same for code that waits anyway (Files and Batches)."""
        return openai.OpenAI(**self._arguments())

    def _arguments(self) -> dict[str, Any]:
        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL") or None
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise UsageError("no key for OpenAI: set OPENAI_API_KEY, or name another server with --base-url")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise UsageError(f"--base-url {base_url} is no http address: write it as http://HOST:PORT/v1")
        return {"api_key": key, "base_url": base_url, "timeout": self.timeout, "max_retries": 0}


class UnusableAnswer(Exception):  # noqa: N818  (a fault of the server that may pass, never seen by a user)
    """The server said 200 and sent no answer."""


def read_answer(response: bytes | JsonObject, *, model: str) -> Answer:
    """The answer in a Chat Completions response, as bytes or decoded.

    Raises:
        UnusableAnswer: no JSON, no choice, no message, or an error with status 200.
    """
    try:
        value = json.loads(response) if isinstance(response, bytes) else response
    except ValueError as error:
        raise UnusableAnswer("a response that is no JSON") from error
    try:
        choice = value["choices"][0]
        text = choice["message"].get("content") or ""
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise UnusableAnswer("a response without an answer in it") from error
    usage = value.get("usage") or {}
    return Answer(
        text=str(text),
        model=str(value.get("model") or model),
        finish_reason=str(choice.get("finish_reason") or "stop"),
        usage=Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)),
    )


def outcome_of(answer: Answer) -> Answer | Drop:
    """The answer, or the drop that its finish reason calls for."""
    if answer.finish_reason == "content_filter":
        return Drop(Reason.CONTENT_FILTER, answer.text)
    return answer


Outcome = Answer | Drop
"""What became of one request."""
