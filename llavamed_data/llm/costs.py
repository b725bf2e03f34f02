"""What requests cost: the prices of models, and the budget of a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.io.regular_files import read_settings
from llavamed_data.llm.answer import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """The price of tokens, in US dollars per million."""

    prompt: float
    completion: float

    def of(self, usage: Usage) -> float:
        """Dollars for `usage`."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


class Budget:
    """The US dollars that a run may spend; the clients of one run may share it.

    The most that a request can cost is reserved before it is sent, so that the limit is never passed.

    Args:
        limit: dollars; None sets no limit.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self.spent = 0.0
        self.reserved = 0.0

    def covers(self, dollars: float) -> bool:
        """Whether `dollars` can be reserved without passing the limit."""
        return self.limit is None or self.spent + self.reserved + dollars <= self.limit

    def reserve(self, dollars: float) -> None:
        """Sets `dollars` aside for a request that is about to be sent."""
        self.reserved += dollars

    def release(self, dollars: float) -> None:
        """Takes back what was reserved for a request that has ended."""
        self.reserved = max(0.0, self.reserved - dollars)

    def spend(self, dollars: float) -> None:
        """Counts `dollars` as spent."""
        self.spent += dollars

    def used_up(self) -> LlavaMedError:
        """The error that ends a run whose next request may pass the limit."""
        return LlavaMedError(
            f"stopped at {self.spent:.4f} of --max-cost {self.limit} dollars: rerun the same command with a higher "
            "limit; answers are kept"
        )


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """What the price table says of one model.

    Attributes:
        model: the model as the user named it.
        encoding: tiktoken's name of its encoding.
        price: list price.
        batch_price: price in the Batch API.
        batch_requests: most requests of a batch.
        batch_bytes: most bytes of a batch's file.
        batch_hours: hours that a batch may take.
        reasons: whether it is a reasoning model, which takes neither a temperature nor `max_tokens`.
        as_of: date of the table.
        source: where the table's prices come from.
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


def find_prices(model: str, table: Path | None = None) -> ModelPrices | None:
    """What the price table says of `model`; None if it does not list it.

    A dated name (`gpt-4o-2024-08-06`) has the prices of its model.

    Args:
        model: the model's name on the server.
        table: a price table in the form of `prices.yaml`; the project's own by default.

    Raises:
        UsageError: the table cannot be read.
    """
    prices = _read_table(table)
    models: Mapping[str, Any] = prices["models"]
    listed = models.get(model) or models.get(re.sub(r"-\d{4}-\d\d-\d\d$", "", model))
    if listed is None:
        return None
    batch = prices["batch"]
    prompt, completion = float(listed["prompt"]), float(listed["completion"])
    return ModelPrices(
        model=model,
        encoding=str(listed["encoding"]),
        price=Price(prompt, completion),
        batch_price=Price(prompt * batch["share"], completion * batch["share"]),
        batch_requests=int(batch["requests"]),
        batch_bytes=int(batch["bytes"]),
        batch_hours=float(batch["hours"]),
        reasons=bool(listed.get("reasons", False)),
        as_of=str(prices["as_of"]),
        source=str(prices["source"]),
    )


def require_prices(model: str, table: Path | None = None) -> ModelPrices:
    """What the price table says of `model`, which it must list; the arguments are those of `find_prices`.

    Raises:
        UsageError: the table cannot be read, or does not list the model.
    """
    if found := find_prices(model, table):
        return found
    prices = _read_table(table)
    raise UsageError(
        f"no price known for the model {model} (table of {prices['as_of']}: {', '.join(prices['models'])}): "
        "write its price and encoding into a table of your own and name it with --prices FILE"
    )


def _read_table(path: Path | None) -> Mapping[str, Any]:
    own = resources.files("llavamed_data.llm").joinpath("prices.yaml")
    try:
        table = yaml.safe_load(read_settings(path) if path else own.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"price table {path} cannot be read: {one_line(error)}") from error
    missing = {"as_of", "source", "batch", "models"} - set(table if isinstance(table, dict) else ())
    if missing:
        raise UsageError(
            f"price table {path} lacks {', '.join(sorted(missing))}: write it in the form of prices.yaml"
        )
    checked: Mapping[str, Any] = table
    return checked
