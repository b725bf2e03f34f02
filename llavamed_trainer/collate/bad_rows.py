"""Rows that cannot be trained on: the reasons, and their record over all data workers and processes of a run.

| row | what happens |
| --- | --- |
| `messages` is not a list of `{role, content}`, or has a part other than text and image | left out, *malformed* |
| an image part in an assistant turn | left out, *malformed* |
| the chat template raises on it, as for roles in an order that it does not know | left out, *malformed* |
| a system turn | its text replaces the system sentence of the template |
| no image, and no image part | trained on as text; with `text="answers"` left out, *no image* |
| an image part and no image (`images: []`, as in the evaluation set) | left out, *no image* |
| more or fewer images than image parts | left out, *image count* |
| two images and two image parts | trained on, images in the order of their parts |
| image part after the text, or in a later turn | trained on, the image stays where it is |
| messages of plain strings only, with images | trained on, images before the first user text (as TRL does) |
| `<image>` (the model's image token) written in a text | left out, *image token in text*: no image is there for it |
| no assistant turn, or only empty ones | left out, *no answer* |
| one empty answer among others | trained on; the empty answer and its end token have no label |
| longer than `max_length` (a text of 100,000 characters) | text is cut at the end, an image never |
| … so that no answer is left | left out, *answer cut off* |
| … so that an image would be cut | left out, *image cut off* |
| corrupt, truncated or empty bytes; over 178 million pixels (Pillow's limit) | left out, *image unreadable* |
| an image with a side under 8 pixels (1 × 1) | left out, *image too small* |
| an image that the model's processor refuses (Qwen: 200 times as wide as high) | left out, *image unreadable* |
| CMYK, palette, black and white, grey | trained on, as RGB |
| transparent areas | trained on, over white (as transformers does) |
| 16 or 32 bits, floating point | trained on, scaled so that the brightest value is white and 12-bit scans are visible |
| an EXIF orientation | trained on, turned upright (as `datasets` decodes it) |
| an animation | trained on, its first frame |
"""

import json
import logging
import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from llavamed_data.console.printable import counted
from llavamed_data.errors import LlavaMedError, one_line

_log = logging.getLogger(__name__)

_DETAIL_LENGTH = 300
"""The number of characters that are kept of the detail of a row."""


class BadRowReason(StrEnum):
    """Why a row cannot be trained on."""

    MALFORMED = "malformed"
    NO_IMAGE = "no image"
    IMAGE_COUNT = "image count"
    IMAGE_TOKEN_IN_TEXT = "image token in text"  # noqa: S105  (no password)
    NO_ANSWER = "no answer"
    ANSWER_CUT_OFF = "answer cut off"
    IMAGE_CUT_OFF = "image cut off"
    IMAGE_UNREADABLE = "image unreadable"
    IMAGE_TOO_SMALL = "image too small"


class BadRowError(Exception):
    """Raised for one row that cannot be trained on; the collator counts it and leaves it out.

    Attributes:
        reason: why.
        detail: what exactly is wrong with this row.
    """

    def __init__(self, reason: BadRowReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class TooManyBadRowsError(LlavaMedError):
    """More rows than allowed could not be trained on.

    A `DataLoader` raises a worker's error again with the worker's traceback as its message; only the last line of that,
    which is the message itself, is kept.
    """

    def __init__(self, message: str) -> None:
        if "\n" in message:
            message = message.strip().splitlines()[-1].split(f"{type(self).__name__}: ", 1)[-1]
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out.

    Attributes:
        id: the row's own id, or `unnamed-` and a digest of its content.
        reason: why it was left out.
        detail: what exactly is wrong with it, at most 300 characters.
    """

    id: str
    reason: BadRowReason
    detail: str


class BadRows:
    """The rows that a run left out, each counted once however often it is met.

    The record is a JSON Lines file of `{"id", "reason", "detail"}`. A line is appended in one write, and every process
    reads what the others appended, so all data workers, forked or spawned, and all processes that were given the same
    path share one count. Rows that the file lists beforehand count too: a resumed run continues its count, a new run
    takes a new path.

        bad_rows = BadRows(limit=100, path=Path("run/bad_rows.jsonl"))
        collator = ConversationCollator(processor, bad_rows=bad_rows)
        ...
        bad_rows.counts          # {<BadRowReason.IMAGE_UNREADABLE>: 2}

    Args:
        limit: how many rows may be left out; None for any number, 0 to end a run at the first.
        path: the file of the record; without one a temporary file is used, which is deleted with this object.
    """

    def __init__(self, limit: int | None = None, path: Path | None = None) -> None:
        self.limit = limit
        self.path = Path(path) if path is not None else self._temporary_file()
        self._bytes_read = 0
        self._rows: dict[str, BadRow] = {}

    def _temporary_file(self) -> Path:
        handle, name = tempfile.mkstemp(prefix="bad-rows-", suffix=".jsonl")
        os.close(handle)
        weakref.finalize(self, _remove, Path(name), os.getpid())
        return Path(name)

    @property
    def counts(self) -> dict[BadRowReason, int]:
        """The number of rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self).most_common())

    def __len__(self) -> int:
        self._read_appended()
        return len(self._rows)

    def __iter__(self) -> Iterator[BadRow]:
        self._read_appended()
        return iter(list(self._rows.values()))

    def add(self, row: BadRow) -> None:
        """Records a row, unless it is recorded already.

        Raises:
            TooManyBadRowsError: the row exceeds the limit; the message names it.
        """
        self._read_appended()
        detail = one_line(row.detail, _DETAIL_LENGTH) if row.detail else ""
        if row.id not in self._rows:
            self._append(BadRow(row.id, row.reason, detail))
            _log.warning("row %s is left out: %s, %s", row.id, row.reason, detail)
        if self.limit is not None and len(self) > self.limit:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.counts.items())
            allowed = f"{self.limit:,} {'is' if self.limit == 1 else 'are'} allowed"
            raise TooManyBadRowsError(
                f"{counted(len(self), 'row')} could not be trained on, {allowed} ({reasons}); the last is row "
                f"{row.id}: {row.reason}, {detail} (raise --max_bad_rows to allow more)"
            )

    def _append(self, row: BadRow) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(row), ensure_ascii=False) + "\n"
        with self.path.open("ab", buffering=0) as file:  # one write, which no other process can break into
            file.write(line.encode("utf-8", "replace"))

    def _read_appended(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._bytes_read:  # a new record was begun
            self._bytes_read, self._rows = 0, {}
        if size == self._bytes_read:
            return
        with self.path.open("rb") as file:
            file.seek(self._bytes_read)
            appended = file.read()
        whole_lines = appended[: appended.rfind(b"\n") + 1]
        self._bytes_read += len(whole_lines)
        for line in whole_lines.splitlines():
            try:
                row = json.loads(line)
                bad = BadRow(row["id"], BadRowReason(row["reason"]), row["detail"])
            except (ValueError, KeyError, TypeError):  # cut off when the disk was full; the row is met again
                continue
            self._rows.setdefault(bad.id, bad)


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:  # a forked worker has a copy of the object and must leave the file
        path.unlink(missing_ok=True)
