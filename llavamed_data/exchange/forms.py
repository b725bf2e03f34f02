"""How each format writes one row.

The chat formats hold what their trainers read, and all other columns in one more field, `llavamed`: a JSON text, so
that readers that derive column types from the first rows are not led astray. What the chat form says wins over that
field: a conversation that somebody edits after the export comes back as edited.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.exchange.values import from_json, restored, to_json
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.domains import first_flagged

Record = dict[str, Any]

SIDE = "llavamed"
MARKER = "<image>"

_INERT_MARKER = "< image >"
"""Stands where a text itself holds the marker: a trainer would look for an image there."""

_ROLES = {"user": "human", "assistant": "gpt"}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a row.

    Attributes:
        file: its name in the export; None where the row states an image without its bytes.
        path: the name that the dataset has for it.
    """

    file: str | None
    path: str | None = None


Pictures = list[Picture | None] | None
"""A row's images; null where the row has null."""


class Form(Protocol):
    """One format: a row without its images' bytes to a record, and back."""

    def record(self, row: Row, pictures: Pictures) -> Record:
        """What is written for `row`, whose column `images` stands in `pictures`."""
        ...

    def row(self, record: Record) -> tuple[Row, Pictures]:
        """The columns, those that the record does not state left out, and the images.

        Raises:
            Drop: MALFORMED_ROW.
        """
        ...


class FullForm:
    """Every column as it is; an image as `{file, path}`."""

    def record(self, row: Row, pictures: Pictures) -> Record:
        """Columns in their order, `images` first where it was."""
        return {name: _listed(pictures) if name == "images" else value for name, value in row.items()}

    def row(self, record: Record) -> tuple[Row, Pictures]:
        """As `record` had it."""
        try:
            row = restored({name: value for name, value in record.items() if name != "images"})
        except (TypeError, ValueError) as error:
            raise Drop(Reason.MALFORMED_ROW, f"a value cannot be read: {error}"[:200]) from error
        return row, _pictures(record.get("images"))


class ChatForm:
    """What LLaVA and those who follow it read: turns of plain text with a marker where the image goes.

    Args:
        turns: field of the turns.
        speaker, said: fields of a turn.
        roles: role → what the format calls it.
        marker: what stands before the first turn's text.
        many: images are a list under `images`; else the one image's name stands under `image`.
        flags: the domain stands as an object of booleans, as in the released files.
    """

    def __init__(
        self,
        turns: str,
        speaker: str,
        said: str,
        roles: Mapping[str, str],
        marker: str,
        *,
        many: bool,
        flags: bool,
    ) -> None:
        self._turns, self._speaker, self._said = turns, speaker, said
        self._roles, self._back = roles, {name: role for role, name in roles.items()}
        self._marker, self._many, self._flags = marker, many, flags

    def record(self, row: Row, pictures: Pictures) -> Record:
        """The chat form first, then the side field."""
        files = [picture.file for picture in pictures or () if picture and picture.file]
        record: Record = {"id": row["id"]} if isinstance(row.get("id"), str) else {}
        record |= self._images(files)
        if self._flags and row.get("domain") in DOMAINS:
            record["domain"] = {domain: domain == row["domain"] for domain in DOMAINS}
        said = self._spoken(turns_of(row.get("messages")), len(files))
        record[self._turns] = said
        read, shown = self._plain(record)
        columns = {
            name: value
            for name, value in row.items()
            if name not in ("images", "messages") and (name not in read or read[name] != value)
        }
        side: Record = {"columns": columns, "images": _listed(pictures), "files": shown}
        if "messages" in row and ("messages" not in read or read["messages"] != row["messages"]):
            side["messages"] = {"of": _digest(said), "are": row["messages"]}
        return {**record, SIDE: to_json(side)}

    def row(self, record: Record) -> tuple[Row, Pictures]:
        """The chat form, and from the side field what it does not say."""
        row, files = self._plain(record)
        side = _side(record)
        columns, stated = side.get("columns"), side.get("messages")
        if isinstance(columns, dict):
            row |= columns
        if isinstance(stated, dict) and stated.get("of") == _digest(record.get(self._turns)):
            row["messages"] = stated.get("are")
        if "messages" not in row:
            raise Drop(Reason.NO_CONVERSATION, f"no {self._turns}")
        kept = side.get("files") == files
        return row, _pictures(side["images"]) if kept and "images" in side else [
            Picture(file, file) for file in files
        ]

    def _images(self, files: Sequence[str]) -> Record:
        if self._many:
            return {"images": list(files)}
        return {"image": files[0]} if files else {}

    def _spoken(self, turns: Sequence[tuple[str, str]], images: int) -> list[Record]:
        made = []
        for number, (role, text) in enumerate(turns):
            text = text.replace(MARKER, _INERT_MARKER)
            marked = self._marker * (images if self._many else min(images, 1)) + text if number == 0 else text
            made.append({self._speaker: self._roles.get(role, role), self._said: marked})
        return made

    def _plain(self, record: Record) -> tuple[Row, list[str]]:
        """What the chat form by itself says of a row; its images by file name."""
        said = record.get(self._turns, record.get("conversatons"))
        if not isinstance(said, list):
            raise Drop(Reason.NO_CONVERSATION, f"no {self._turns}")
        files = record.get("images") if self._many else [record["image"]] if record.get("image") else []
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise Drop(Reason.MALFORMED_ROW, "images are not file names")
        row: Row = {"messages": [self._turn(turn) for turn in said]} if said else {}
        if isinstance(record.get("id"), str | int):
            row["id"] = str(record["id"])
        if "domain" in record:
            row["domain"] = first_flagged(record["domain"])
        return row, files

    def _turn(self, turn: object) -> Row:
        if not isinstance(turn, dict) or not isinstance(turn.get(self._said), str):
            raise Drop(Reason.MALFORMED_ROW, f"a turn is not {{{self._speaker}, {self._said}}}")
        text, name = turn[self._said], str(turn.get(self._speaker))
        parts: list[Row] = [{"type": "image", "text": None}] * text.count(MARKER)
        if parts:
            text = text.replace(self._marker, "").replace(MARKER, "").strip("\n")
        return {"role": self._back.get(name, name), "content": [*parts, {"type": "text", "text": text}]}


LLAVA = ChatForm("conversations", "from", "value", _ROLES, f"{MARKER}\n", many=False, flags=True)
SHAREGPT = ChatForm("messages", "role", "content", {}, MARKER, many=True, flags=False)
FULL = FullForm()


def axolotl_record(row: Row, pictures: Pictures) -> Record:
    """Turns whose parts name their image's path: axolotl loads it from there, and knows no marker."""
    waiting = [picture.file for picture in pictures or () if picture and picture.file]
    turns = []
    for number, (role, text) in enumerate(turns_of(row.get("messages"))):
        images = [{"type": "image", "path": file} for file in waiting] if number == 0 else []
        turns.append({"role": role, "content": [*images, {"type": "text", "text": text}]})
    return {"messages": turns}


def _listed(pictures: Pictures) -> list[Record | None] | None:
    return None if pictures is None else [asdict(picture) if picture else None for picture in pictures]


def _pictures(value: object) -> Pictures:
    if value is None:
        return None
    if not isinstance(value, list):
        raise Drop(Reason.MALFORMED_ROW, "images are not a list")
    return [_picture(each) for each in value]


def _picture(value: object) -> Picture | None:
    if value is None:
        return None
    if isinstance(value, dict):
        file, path = value.get("file"), value.get("path")
        if all(isinstance(each, str | None) for each in (file, path)):
            return Picture(file, path)
    raise Drop(Reason.MALFORMED_ROW, "an image is not {file, path}")


def _side(record: Record) -> Record:
    text = record.get(SIDE)
    if text is None:
        return {}
    try:
        side = from_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise Drop(Reason.MALFORMED_ROW, f"the field {SIDE} cannot be read") from error
    return side if isinstance(side, dict) else {}


def _digest(turns: object) -> str:
    return hashlib.sha256(to_json(turns).encode()).hexdigest()
