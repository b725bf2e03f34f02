"""Files of JSON Lines that are added to: a line is on the disk when the call returns, or it is not in the file."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.regular_files import open_file

BOM = b"\xef\xbb\xbf"


def json_line(entry: Mapping[str, Any]) -> bytes:
    """The line of an entry, with its line end; half of a surrogate pair, which UTF-8 has no form for, is escaped."""
    try:
        return json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(entry).encode() + b"\n"


def add_durably(file: BinaryIO, data: bytes) -> int:
    """Adds bytes to the end of an unbuffered file and flushes them to the disk; returns where they begin.

    Raises:
        OSError: they cannot be written; what was written of them is cut off, if that can be done.
    """
    start = file.seek(0, os.SEEK_END)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(start)
        raise
    return start


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yields the number of each line of a file of JSON Lines, from 1, and its object; None where it holds none.

    Blank lines are passed over; a last line without a line end counts.

    Raises:
        OSError: the file cannot be read.
    """
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(BOM) if number == 1 else line).strip()
            if text:
                yield number, parse_object(text)


def parse_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None where it holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a number of too many digits, too many brackets
        return None
    return found if isinstance(found, dict) else None


def write_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> int:
    """Writes a new file of JSON Lines that appears whole or not at all; returns how many lines it has."""
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for count, entry in enumerate(entries, 1):  # noqa: B007  (the last number is the count)
            file.write(json_line(entry))
    return count
