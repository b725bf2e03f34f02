"""What a set will cost and how long it will take, before a cent is spent."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiktoken
from rich.table import Table

from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.prompts import Prompt
from llavamed_data.llm.prices import encoding, tariff
from llavamed_data.llm.request import Message, Usage

# How OpenAI's chat models frame a message list (OpenAI cookbook, "How to count tokens with tiktoken").
_TOKENS_A_MESSAGE = 3
_TOKENS_BEFORE_AN_ANSWER = 3


def count_tokens(messages: Iterable[Message], tokeniser: tiktoken.Encoding) -> int:
    """Tokens of a message list as OpenAI counts them, without those that come before the answer."""
    return sum(
        _TOKENS_A_MESSAGE
        + len(tokeniser.encode_ordinary(message["role"]))
        + len(tokeniser.encode_ordinary(message["content"]))
        for message in messages
    )


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to make the set.

    Attributes:
        generator: `openai` or `openai-batch`.
        dollars: the price of all requests.
        hours: how long it takes at least; None where no rate limit is given.
    """

    generator: str
    dollars: float
    hours: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a set takes.

    Attributes:
        model: the model.
        requests: how many.
        usage: prompt tokens, counted, and completion tokens, expected: a conversation is taken to be as long
            as the few-shot examples are on average. Second requests after unreadable answers are not in it,
            nor is the discount for cached prompts.
        modes: price and time of both ways.
        as_of: date of the price table.
        source: of the price table.
    """

    model: str
    requests: int
    usage: Usage
    modes: tuple[Mode, ...]
    as_of: str
    source: str

    def table(self) -> Table:
        """For people."""
        table = Table(
            title=f"{self.requests:,} requests to {self.model}: {self.usage.prompt_tokens:,} prompt tokens, "
            f"about {self.usage.completion_tokens:,} completion tokens",
            caption=f"Prices of {self.as_of}: {self.source}",
        )
        for column in ("--generator", "US dollars", "time"):
            table.add_column(column, justify="left" if column == "--generator" else "right")
        for mode in self.modes:
            table.add_row(mode.generator, f"{mode.dollars:,.2f}", _duration(mode))
        return table

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "model": self.model,
            "requests": self.requests,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "modes": {
                mode.generator: {"dollars": round(mode.dollars, 4), "hours": mode.hours}
                for mode in self.modes
            },
            "as_of": self.as_of,
            "source": self.source,
        }


def estimate(
    pairs: Iterable[Pair],
    prompt: Prompt,
    model: str,
    *,
    rpm: float | None = None,
    tpm: float | None = None,
    prices: Path | None = None,
) -> Estimate:
    """What it takes to write conversations for `pairs`.

    Args:
        pairs: the pairs of the set.
        prompt: system prompt and few-shot examples.
        model: a model of the price table.
        rpm: requests a minute that the account may make.
        tpm: tokens a minute, likewise.
        prices: a price table other than the project's.

    Raises:
        UsageError: the model or its encoding is not known.
        LlavaMedError: the encoding cannot be had.
    """
    known = tariff(model, prices)
    tokeniser = encoding(known.encoding)
    head = count_tokens(prompt.head, tokeniser)
    answers = [message for message in prompt.head if message["role"] == "assistant"]
    answer = count_tokens(answers, tokeniser) / len(answers) - _TOKENS_A_MESSAGE if answers else 250
    requests = tokens = 0
    for pair in pairs:
        requests += 1
        tokens += head + count_tokens(prompt.messages(pair)[-1:], tokeniser) + _TOKENS_BEFORE_AN_ANSWER
    usage = Usage(tokens, round(requests * answer))
    return Estimate(
        model=model,
        requests=requests,
        usage=usage,
        modes=(
            Mode("openai", known.price.of(usage), _hours(requests, usage, rpm, tpm)),
            Mode("openai-batch", known.batch_price.of(usage), known.batch_hours),
        ),
        as_of=known.as_of,
        source=known.source,
    )


def _hours(requests: int, usage: Usage, rpm: float | None, tpm: float | None) -> float | None:
    tokens = usage.prompt_tokens + usage.completion_tokens
    minutes = [amount / limit for amount, limit in ((requests, rpm), (tokens, tpm)) if limit]
    return max(minutes) / 60 if minutes else None


def _duration(mode: Mode) -> str:
    if mode.hours is None:
        return "as the server's limits allow"
    if mode.generator == "openai-batch":
        return f"up to {mode.hours:g} h"
    return f"{mode.hours * 60:,.1f} min" if mode.hours < 2 else f"{mode.hours:,.1f} h"
