"""The records of an export or of somebody else's files, and the images that they name."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.exchange.formats import IMAGES, Format
from llavamed_data.exchange.forms import Record
from llavamed_data.exchange.tars import MEMBER_BYTES, samples
from llavamed_data.exchange.values import parsed
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released.json_stream import (
    BrokenJsonError,
    JsonStream,
    Unreadable,
    end_of_text,
    line_values,
    list_values,
)

Fetch = Callable[[str], bytes]
"""An image's name → its bytes; raises Drop."""

_TAR = re.compile(r"(?P<split>.+?)-?\d*\.tar")
_PIECE = 1 << 20
_SPLIT = re.compile(r"[a-z]+")
"""What a split may be called: the names of shards are made of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The files of one split."""

    split: str
    files: tuple[Path, ...]


def find_rows(path: Path, chosen: Format, stated: tuple[str, ...] | None) -> list[Rows]:
    """The files of rows under `path`, by split.

    Args:
        path: an export's folder, any folder with files of the format, or one such file.
        chosen: the format.
        stated: the splits that an export says it has; None where it says nothing: `train`, `validation` and `test` are
            known by their names, and a single file of any other name is `train`.

    Raises:
        UsageError: there are none.
    """
    if path.is_file():
        return [Rows(_split_of(path), (path,))]
    if not path.is_dir():
        raise UsageError(f"there is no {path}: name a folder or file in the format {chosen.name}")
    if stated is not None:
        splits = tuple(split for split in stated if _SPLIT.fullmatch(split))
    else:
        splits = ("train", "validation", "test")
    pattern = "{}-*.tar" if chosen.packed else "{}" + chosen.suffix
    found = [Rows(split, tuple(sorted(path.glob(pattern.format(split))))) for split in splits]
    if not any(rows.files for rows in found):
        suffixes = (chosen.suffix,) if chosen.packed else (".json", ".jsonl")
        others = sorted(file for file in path.iterdir() if file.suffix in suffixes and not _is_frame(file))
        if len(others) != 1 and not chosen.packed:
            raise UsageError(f"{path} holds no train{chosen.suffix}: name the file of rows itself")
        found = [Rows("train", tuple(others))]
    if missing := [rows.split for rows in found if not rows.files and stated is not None]:
        raise LlavaMedError(
            f"{path} lacks the rows of {', '.join(missing)}, which the export had: export the set again"
        )
    if not any(rows.files for rows in found):
        raise UsageError(f"{path} holds no {chosen.suffix} files: name a folder in the format {chosen.name}")
    return [rows for rows in found if rows.files]


def records(rows: Rows, chosen: Format, images: Path) -> Iterator[tuple[Record | Drop, Fetch]]:
    """Each record, or why it cannot be read, with the way to its images.

    Raises:
        LlavaMedError: a file is broken beyond one record.
    """
    for file in rows.files:
        if chosen.packed:
            yield from _packed(file)
        else:
            fetch = _Folder(images)
            for value in _json(file):
                yield _record(value), fetch


class _Folder:
    """Images in a folder, and nothing outside it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def __call__(self, name: str) -> bytes:
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root) or not path.is_file():
                raise Drop(Reason.IMAGE_MISSING, name[:200])
            if path.stat().st_size > MEMBER_BYTES:
                raise Drop(Reason.IMAGE_TOO_LARGE, name[:200])
            return path.read_bytes()
        except (OSError, ValueError) as error:  # a name too long, or with a null character
            raise Drop(Reason.IMAGE_MISSING, f"{name[:200]}: {error}"[:300]) from error


def _packed(file: Path) -> Iterator[tuple[Record | Drop, Fetch]]:
    for key, members in samples(file):
        text = members.get(f"{key}.json")

        def fetch(name: str, members: dict[str, bytes | None] = members, key: str = key) -> bytes:
            data = members.get(name)
            if data is None:
                raise Drop(
                    Reason.IMAGE_TOO_LARGE if name in members else Reason.IMAGE_MISSING,
                    f"{key}: {name}"[:300],
                )
            return data

        if text is None:
            yield Drop(Reason.MALFORMED_ROW, f"the sample {key[:200]} has no .json"), fetch
        else:
            yield _record(parsed(text)), fetch


def _json(file: Path) -> Iterator[Any]:
    """The values of a JSON list or of JSON Lines, read as a stream."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_PIECE).lstrip()[:1]
            opened.seek(0)
            pieces = iter(lambda: opened.read(_PIECE), b"")
            if head != b"[":
                yield from line_values(pieces)
                return
            stream = JsonStream(pieces)
            yield from list_values(stream)
            end_of_text(stream)
    except BrokenJsonError as error:
        raise LlavaMedError(f"{file} is broken at byte {error.position:,}: {error.what}") from error


def _record(value: object) -> Record | Drop:
    if isinstance(value, Unreadable):
        return Drop(Reason.MALFORMED_ROW, value.why)
    if not isinstance(value, dict):
        return Drop(Reason.MALFORMED_ROW, "a record is not an object")
    return value


def _split_of(path: Path) -> str:
    match = _TAR.fullmatch(path.name)
    stem = match["split"] if match else path.stem
    return stem if stem in ("train", "validation", "test") else "train"


def _is_frame(path: Path) -> bool:
    return path.name in ("dataset_info.json", "llavamed-export.json") or path.name.endswith(".axolotl.jsonl")


def default_images(path: Path, chosen: Format) -> Path:
    """Where a format's images lie by default: what its rows' names are relative to."""
    folder = path if path.is_dir() else path.parent
    beside = folder / IMAGES
    return beside if not chosen.prefix and beside.is_dir() else folder
