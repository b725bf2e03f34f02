"""How many rows a dataset has and how long they are, before or after it is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from llavamed_data.errors import UsageError


@dataclass(frozen=True, slots=True)
class DataFacts:
    """A dataset by the numbers that cost depends on.

    Attributes:
        rows: one image each.
        text_tokens: of a row, prompt included, image not.
        answer_tokens: of a row, those with a loss.
        source: where the numbers are from.
    """

    rows: int
    text_tokens: int
    answer_tokens: int
    source: str


_UNKNOWN_TEXT = 300
_ANSWERS = 0.6


def data_facts(
    dataset: str, split: str, *, rows: int | None = None, text_tokens: int | None = None
) -> DataFacts:
    """What is stated, else what the folder holds, else what is on file for a set of the paper.

    Raises:
        UsageError: nobody knows how many rows there are.
    """
    known = _known().get(Path(dataset).name)
    source = known.source if known else "assumed"
    if rows is None and (counted := _count(Path(dataset), split)) is not None:
        rows, source = counted, f"rows counted in {dataset}; text: {source}"
    if rows is None and known is None:
        raise UsageError(f"how many rows {dataset} has is not known: give --rows")
    text = text_tokens or (known.text_tokens if known else _UNKNOWN_TEXT)
    share = known.answer_tokens / known.text_tokens if known else _ANSWERS
    return DataFacts(rows or (known.rows if known else 0), text, max(1, round(text * share)), source)


def rows_of_paper(dataset: str) -> int | None:
    """Rows of a set of the paper, however many of them are here; None for any other set."""
    known = _known().get(Path(dataset).name)
    return known.rows if known else None


@cache
def _known() -> Mapping[str, DataFacts]:
    return {name: DataFacts(**each) for name, each in table("datasets").items()}


def _count(folder: Path, split: str) -> int | None:
    shards = sorted(folder.glob(f"data/{split}-*.parquet")) if folder.is_dir() else []
    return sum(pq.read_metadata(shard).num_rows for shard in shards) if shards else None


def table(name: str) -> dict[str, Any]:
    """One of the tables of this package, as YAML has it."""
    text = files("llavamed_trainer.planning").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    stated: dict[str, Any] = yaml.safe_load(text)
    return stated
