"""The card's metadata: the YAML between the two lines of dashes that `README.md` begins with."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.dataset.schema import features
from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Finding
from llavamed_data.validation.rows import shown

CARD = "README.md"
MAX_BYTES = 1 << 20
FENCE = "---"


class CardUnreadable(Exception):  # noqa: N818  (what it says is the finding)
    """Why there is no metadata to check."""


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without aliases: a few hundred bytes of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds aliases, which cards have no use for")
        return super().compose_node(parent, index)


def card_findings(
    folder: Path, kind: str, rows: Mapping[str, int], shards: Mapping[str, list[str]]
) -> Iterator[Finding]:
    """What is wrong with the card.

    Args:
        folder: of the dataset.
        kind: of the set, whose features the card may state.
        rows: split → rows in its shards.
        shards: split → its files, relative to `folder`.
    """
    try:
        metadata = read_metadata(folder / CARD)
    except CardUnreadable as reason:
        yield Finding(Check.CARD, None, str(reason))
        return
    if not metadata.get("license"):
        yield Finding(Check.LICENCE, "license", "the card's metadata state no licence")
    info = _dataset_info(metadata)
    if "features" in info and info["features"] != features(kind)._to_yaml_list():
        yield Finding(
            Check.CARD, "dataset_info.features", "are not those of this kind of set; load_dataset uses them"
        )
    yield from _count_findings(info, rows)
    yield from _file_findings(metadata, shards)


def read_metadata(card: Path) -> dict[str, Any]:
    """The metadata of a card.

    Raises:
        CardUnreadable: there are none that can be read.
    """
    if not card.is_file():
        raise CardUnreadable("there is no card")
    if card.stat().st_size > MAX_BYTES:
        raise CardUnreadable(f"is over {MAX_BYTES:,} bytes")
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardUnreadable(f"cannot be read: {error}") from error
    first, *lines = (line.rstrip("\r") for line in text.split("\n"))
    if first != FENCE or FENCE not in lines:
        raise CardUnreadable("does not begin with metadata between two lines of ---")
    try:
        metadata = yaml.load("\n".join(lines[: lines.index(FENCE)]), Loader=_PlainLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CardUnreadable(f"its metadata are not YAML: {_first_line(error)}") from error
    if not isinstance(metadata, dict):
        raise CardUnreadable(f"its metadata are {shown(metadata)}, not an object")
    return metadata


def _dataset_info(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one `dataset_info`, which the Hub lets stand in a list; empty if there is none."""
    info = metadata.get("dataset_info")
    only = info[0] if isinstance(info, list) and len(info) == 1 else info
    return only if isinstance(only, dict) else {}


def _count_findings(info: Mapping[str, Any], rows: Mapping[str, int]) -> Iterator[Finding]:
    stated = {
        name if isinstance(name := split.get("name"), str) else shown(name): split.get("num_examples")
        for split in _objects(info.get("splits"))
    }
    if not stated:
        yield Finding(Check.COUNTS, "dataset_info.splits", "the card's metadata state no counts")
        return
    for split in sorted({*stated, *rows}):
        field = f"dataset_info.splits[{split}].num_examples"
        there = rows.get(split, 0)
        if split not in stated:
            yield Finding(Check.COUNTS, field, f"is not stated, the shards hold {there:,}")
        elif type(stated[split]) is not int or stated[split] != there:
            yield Finding(Check.COUNTS, field, f"is {shown(stated[split])}, the shards hold {there:,}")


def _file_findings(metadata: Mapping[str, Any], shards: Mapping[str, list[str]]) -> Iterator[Finding]:
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
            yield Finding(
                Check.CARD, "configs", f"leaves out {missed[0]} ({len(missed)} of {len(files)} shards)"
            )


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
