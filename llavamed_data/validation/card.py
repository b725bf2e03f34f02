"""Checks of the card's metadata: the YAML between the two lines of dashes that `README.md` begins with."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.dataset.layout import CARD
from llavamed_data.dataset.schema import features
from llavamed_data.errors import one_line
from llavamed_data.validation.report import Check, DatasetFault
from llavamed_data.validation.rows import shorten

_MAX_BYTES = 1 << 20
_FENCE = "---"


class _UnreadableCardError(Exception):
    """Why there is no metadata to check."""


class _LoaderWithoutAliases(yaml.SafeLoader):
    """The safe loader, which refuses aliases: a few hundred bytes of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds aliases, which cards have no use for")
        return super().compose_node(parent, index)


def card_faults(
    folder: Path, kind: str, rows: Mapping[str, int], shards: Mapping[str, list[str]]
) -> Iterator[DatasetFault]:
    """What is wrong with the card.

    Args:
        folder: the dataset's folder.
        kind: the kind of dataset, whose features the card may state.
        rows: split → number of rows in its shards.
        shards: split → its files, relative to `folder`.
    """
    try:
        metadata = _read_metadata(folder / CARD)
    except _UnreadableCardError as reason:
        yield _fault(Check.CARD, str(reason))
        return
    if not metadata.get("license"):
        yield _fault(Check.LICENCE, "the card's metadata state no licence", "license")
    info = _dataset_info(metadata)
    if "features" in info and info["features"] != features(kind)._to_yaml_list():
        message = "are not those of this kind of set; load_dataset uses them"
        yield _fault(Check.CARD, message, "dataset_info.features")
    yield from _count_faults(info, rows)
    yield from _data_file_faults(metadata, shards)


def _fault(check: Check, message: str, field: str | None = None) -> DatasetFault:
    return DatasetFault(check, message, file=CARD, field=field)


def _read_metadata(card: Path) -> dict[str, Any]:
    """The metadata of a card; raises _UnreadableCardError if there are none that can be read."""
    if not card.is_file():
        raise _UnreadableCardError("there is no card")
    if card.stat().st_size > _MAX_BYTES:
        raise _UnreadableCardError(f"is over {_MAX_BYTES:,} bytes")
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _UnreadableCardError(f"cannot be read: {error}") from error
    first, *lines = (line.rstrip("\r") for line in text.split("\n"))
    if first != _FENCE or _FENCE not in lines:
        raise _UnreadableCardError("does not begin with metadata between two lines of ---")
    try:
        metadata = yaml.load("\n".join(lines[: lines.index(_FENCE)]), Loader=_LoaderWithoutAliases)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _UnreadableCardError(f"its metadata are not YAML: {one_line(error)}") from error
    if not isinstance(metadata, dict):
        raise _UnreadableCardError(f"its metadata are {shorten(metadata)}, not an object")
    return metadata


def _dataset_info(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one `dataset_info`, which the Hub lets stand in a list; empty if there is none."""
    info = metadata.get("dataset_info")
    only = info[0] if isinstance(info, list) and len(info) == 1 else info
    return only if isinstance(only, dict) else {}


def _count_faults(info: Mapping[str, Any], rows: Mapping[str, int]) -> Iterator[DatasetFault]:
    stated = {
        name if isinstance(name := split.get("name"), str) else shorten(name): split.get("num_examples")
        for split in _objects(info.get("splits"))
    }
    if not stated:
        yield _fault(Check.COUNTS, "the card's metadata state no counts", "dataset_info.splits")
        return
    for split in sorted({*stated, *rows}):
        field = f"dataset_info.splits[{split}].num_examples"
        there = rows.get(split, 0)
        if split not in stated:
            yield _fault(Check.COUNTS, f"is not stated, the shards hold {there:,}", field)
        elif type(stated[split]) is not int or stated[split] != there:
            yield _fault(Check.COUNTS, f"is {shorten(stated[split])}, the shards hold {there:,}", field)


def _data_file_faults(metadata: Mapping[str, Any], shards: Mapping[str, list[str]]) -> Iterator[DatasetFault]:
    """Where the card names data files, as the Hub lets it, `load_dataset` reads those and no others."""
    configs = metadata.get("configs")
    if configs is None:
        return
    named = [entry for config in _objects(configs) for entry in _objects(config.get("data_files"))]
    for split, files in shards.items():
        patterns = [
            pattern
            for entry in named
            if entry.get("split") == split
            for pattern in _strings(entry.get("path"))
        ]
        missed = [file for file in files if not any(fnmatch(file, pattern) for pattern in patterns)]
        if missed:
            message = f"leaves out {missed[0]} ({len(missed)} of {len(files)} shards)"
            yield _fault(Check.CARD, message, "configs")


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
