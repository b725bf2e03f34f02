"""Rows to train on: loaded by name or folder, images left as bytes, each with its length in tokens."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from datasets import Dataset, Image, IterableDataset, List, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard import RepoCard

from hub_cards import TrainingData
from llavamed_data.errors import LlavaMedError, UsageError

Rows: TypeAlias = Dataset | IterableDataset

_COLUMNS = ("messages", "images")
_KEPT = ("id", *_COLUMNS)
_TAIL_BYTES = 65536
"""Of each data file, for its mark: a Parquet file's footer, which changes with the rows."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long rows are, in tokens with those of their images.

    Attributes:
        rows, tokens: how many.
        refused: rows whose messages cannot be trained on; images are looked at when their turn comes.
        median, high, longest: of a row; `high` is the 95th percentile.
        full: rows that reach the greatest length, whose text is cut.
    """

    rows: int
    refused: int
    tokens: int
    median: int
    high: int
    longest: int
    full: int


def load_rows(
    name: str,
    split: str,
    *,
    revision: str | None = None,
    streaming: bool = False,
    max_rows: int | None = None,
) -> Rows:
    """The rows of a dataset in the published form, with images as bytes.

    Args:
        name: what `load_dataset` takes: `llava-med/60k-im` (a folder here, or on the Hub), a path.
        split: of the dataset.
        revision: branch, tag or commit on the Hub.
        streaming: read as they come.
        max_rows: the first ones only.

    Raises:
        UsageError: there is no such dataset or split, or its columns are others.
    """
    local = Path(name).is_dir()
    if local and revision is not None:
        raise UsageError(f"{name} is a folder here: --dataset_revision is for datasets on the Hub")
    try:
        rows = load_dataset(name, split=split, revision=revision, streaming=streaming)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, HfHubHTTPError) as error:
        raise UsageError(
            f"there is no dataset {name!r}{f' at {revision}' if revision else ''}, neither as a folder here nor on "
            f"the Hub: build it with python -m llavamed_data build, or give --dataset ({_line(error)})"
        ) from error
    except ValueError as error:
        raise UsageError(f"the dataset {name} cannot be read as {split!r}: {_line(error)}") from error
    rows = _with_bytes(rows, name)
    return rows.take(max_rows) if max_rows is not None else rows


def _with_bytes(rows: Rows, name: str) -> Rows:
    if rows.features is None:
        rows = rows._resolve_features()
    missing = [column for column in _COLUMNS if column not in rows.features]
    if missing:
        raise UsageError(
            f"{name} has no column {' and '.join(missing)} (it has {', '.join(rows.features)}): datasets of this "
            "toolkit have them; python -m llavamed_data import reads other trainers' files"
        )
    rows = rows.select_columns([column for column in _KEPT if column in rows.features])
    return rows.cast_column("images", List(Image(decode=False)))


def count_rows(name: str, split: str, revision: str | None = None) -> int | None:
    """Rows of a split as its card states them, without reading it; None where it does not say."""
    stated = load_dataset_builder(name, revision=revision).info.splits or {}
    return stated[split].num_examples if split in stated else None


def steps_of_stream(rows: int | None, epochs: float, batch: int, name: str) -> int:
    """Optimizer steps for a stream, which has no length of its own.

    Raises:
        UsageError: nobody says how many rows there are.
    """
    if rows is None:
        raise UsageError(f"{name} does not say how many rows it has: a stream of it takes --max_steps")
    return ceil(rows * epochs / batch)


def with_lengths(
    rows: Dataset, count: Callable[[list[dict[str, Any]]], Sequence[int]], mark: str, processes: int | None
) -> Dataset:
    """The rows with a column `length`; what was counted once is read from the cache of `datasets`.

    Args:
        rows: the dataset.
        count: rows → tokens of each.
        mark: of all that the lengths depend on beside the rows.
        processes: how many count.
    """

    def counted(batch: dict[str, list[Any]]) -> dict[str, Sequence[int]]:
        return {"length": count([{"messages": messages} for messages in batch["messages"]])}

    fingerprint = hashlib.sha256(f"{rows._fingerprint} {mark}".encode()).hexdigest()[:16]
    lengths = rows.select_columns(["messages"]).map(
        counted,
        batched=True,
        remove_columns=["messages"],
        num_proc=processes,
        new_fingerprint=fingerprint,
        desc="Counting tokens",
    )
    return rows.add_column("length", lengths.with_format("numpy")["length"][:])


def summarise_lengths(lengths: Sequence[int], max_length: int | None) -> Lengths:
    """Their number, sum and quantiles; a length of 0 is a refused row.

    Raises:
        LlavaMedError: all rows are refused.
    """
    given = np.asarray(lengths)
    counts = given[given > 0]
    if not len(counts):
        raise LlavaMedError(
            f"none of the {len(given):,} rows can be trained on: is this a dataset of conversations?"
        )
    median, high = np.quantile(counts, [0.5, 0.95])
    return Lengths(
        rows=len(given),
        refused=len(given) - len(counts),
        tokens=int(counts.sum()),
        median=int(median),
        high=int(high),
        longest=int(counts.max()),
        full=int((counts >= max_length).sum()) if max_length else 0,
    )


def describe_data(name: str, revision: str | None) -> TrainingData:
    """What a model card says of a dataset: its version and its licence, as its own card states it.

    The version is a commit on the Hub, or a mark of the files of a folder.
    """
    folder = Path(name)
    if folder.is_dir():
        shown = "/".join(folder.resolve().parts[-2:])
        return TrainingData(shown, f"files {_mark(folder)}", _license(folder / "README.md"))
    api = HfApi()
    try:
        commit = api.dataset_info(name, revision=revision).sha
        card = api.hf_hub_download(name, "README.md", repo_type="dataset", revision=commit)
    except (HfHubHTTPError, OSError):  # its rows may come from the cache all the same
        return TrainingData(name, revision, "not stated")
    return TrainingData(name, commit, _license(Path(card)))


def _mark(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"):
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            digest.update(f"{path.relative_to(folder)} {size} ".encode() + file.read())
    return digest.hexdigest()[:12]


def _license(card: Path) -> str:
    if not card.is_file():
        return "not stated"
    return _joined(RepoCard.load(card, ignore_metadata_errors=True).data.get("license"))


def _joined(stated: object) -> str:
    if isinstance(stated, list):
        return ", ".join(map(str, stated))
    return str(stated) if stated else "not stated"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
