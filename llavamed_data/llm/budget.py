"""How many tokens a request will take, and whether it may still be paid."""

from dataclasses import dataclass
from typing import Any

from llavamed_data.llm.request import Request, Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens."""

    prompt: float
    completion: float

    def of(self, usage: Usage) -> float:
        """Dollars for `usage`."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


_IMAGE = 16_384
"""Bytes of text that an image is taken for until the server has counted: 4,096 tokens, 8,192 at worst."""


def size(request: Request) -> int:
    """Bytes of the request's messages; an image counts as a fixed number, for its bytes say nothing of its tokens."""
    return sum(_bytes(message["content"]) for message in request.body["messages"])


def _bytes(content: str | list[dict[str, Any]]) -> int:
    if isinstance(content, str):
        return len(content.encode())
    return sum(len(part["text"].encode()) if "text" in part else _IMAGE for part in content)


class Gauge:
    """Foretells tokens from bytes, and learns from what the server counts.

    Before the first answer four bytes are a token, two at worst, and an answer takes a quarter of its limit.

    Args:
        max_tokens: the longest answer.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._bytes = 4.0
        self._prompt = 1.0
        self._completion = max_tokens / 4
        self._worst: float | None = None
        self._answers = 1

    def expected(self, request: Request) -> float:
        """Tokens of request and answer, on the average of what was seen."""
        return size(request) * self._prompt / self._bytes + self._completion / self._answers

    def worst(self, request: Request) -> Usage:
        """Tokens that request and answer take at most: a fifth above the densest request seen."""
        ratio = 0.5 if self._worst is None else self._worst * 1.2
        return Usage(round(size(request) * ratio), self._max_tokens)

    def learn(self, request: Request, usage: Usage) -> None:
        """Takes note of what the server counted; a server that does not count teaches nothing."""
        if not usage.prompt_tokens:
            return
        if self._worst is None:
            self._bytes, self._prompt, self._completion, self._answers = 0.0, 0.0, 0.0, 0
        self._worst = max(self._worst or 0.0, usage.prompt_tokens / size(request))
        self._bytes += size(request)
        self._prompt += usage.prompt_tokens
        self._completion += usage.completion_tokens
        self._answers += 1


class Purse:
    """Dollars set aside for requests under way and spent on answered ones.

    What a request costs at most is set aside before it is sent, so the limit is never passed.

    Args:
        price: of the model; None costs nothing.
        limit: dollars that this run may cost; None is no limit.
    """

    def __init__(self, price: Price | None, limit: float | None) -> None:
        self._price = price or Price(0.0, 0.0)
        self.limit = limit
        self.spent = 0.0
        self.aside = 0.0
        self.under_way = 0

    def covers(self, worst: Usage) -> bool:
        """Whether `worst` can be set aside without passing the limit."""
        return self.limit is None or self.spent + self.aside + self._price.of(worst) <= self.limit

    def put_aside(self, worst: Usage) -> None:
        """Sets the price of `worst` aside."""
        self.aside += self._price.of(worst)
        self.under_way += 1

    def settle(self, worst: Usage, used: Usage) -> None:
        """Takes back what was set aside for `worst` and books what was used."""
        self.under_way -= 1
        self.aside = self.aside - self._price.of(worst) if self.under_way else 0.0
        self.book(used)

    def book(self, used: Usage) -> None:
        """Books what was used."""
        self.spent += self._price.of(used)

    def empty_aside(self) -> None:
        """Takes back all that was set aside: nothing is under way."""
        self.aside, self.under_way = 0.0, 0
