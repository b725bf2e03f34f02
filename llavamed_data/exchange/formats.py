"""The exchange formats: how each writes a row of a dataset as a record, and how it reads one.

The chat formats hold what their trainers read, and all other columns in one more field, `llavamed`. It is a JSON text,
because readers that derive column types from the first rows would go wrong on anything else. What the chat turns say
overrides that field: a conversation that somebody edits after the export is imported as edited.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.errors import UsageError
from llavamed_data.exchange.values import from_json, restore, to_json
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.fields import first_flagged

JsonRecord = dict[str, Any]

IMAGE_FOLDER = "images"
"""Folder of the image files, in the folder of an export."""

OTHER_COLUMNS = "llavamed"
"""Field of a chat record for what its trainer does not read."""

_TURNS_FIELDS = ("conversations", "conversatons", "messages")
"""Fields that list the turns; some released rows spell it so."""

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
}
"""Name of a speaker in such files → role; other names stay as they are."""

_IMAGE_PARTS = ("image", "image_url")
"""Types of the parts of a turn that are images."""

_MARKER = "<image>"

_HARMLESS_MARKER = "< image >"
"""Written where a text itself holds the marker: a trainer would look for an image there."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image of a row, named instead of held.

    Attributes:
        file: name of its file in the export; None if the row has the image without its bytes.
        path: the name that the dataset has for it.
    """

    file: str | None
    path: str | None = None


ImageReferences = list[ImageReference | None] | None
"""The column `images` of a row, with references in place of the images."""


@dataclass(frozen=True, kw_only=True)
class ExchangeFormat(ABC):
    """One format.

    Attributes:
        name: its name on the command line.
        suffix: suffix of the file that holds a split's records.
        usage: how trainers read it, for the README of an export; `{split}` stands for a split.
        image_prefix: what a record puts before the names of image files, where its reader looks from another folder.
    """

    name: str
    suffix: str
    usage: str
    image_prefix: str = ""

    @property
    def in_tar_files(self) -> bool:
        """Whether records and images are in tar files."""
        return self.suffix == ".tar"

    @abstractmethod
    def to_record(self, row: Row, images: ImageReferences) -> JsonRecord:
        """The record of a row, whose images are given as `images`."""

    @abstractmethod
    def from_record(self, record: JsonRecord) -> tuple[Row, ImageReferences]:
        """The columns that a record states, without `images`, and its images.

        Raises:
            Drop: MALFORMED_ROW or NO_CONVERSATION.
        """


@dataclass(frozen=True, kw_only=True)
class AllColumnsFormat(ExchangeFormat):
    """Records with every column as it is; an image is `{file, path}`."""

    def to_record(self, row: Row, images: ImageReferences) -> JsonRecord:
        """The columns in their order."""
        return {name: _listed(images) if name == "images" else value for name, value in row.items()}

    def from_record(self, record: JsonRecord) -> tuple[Row, ImageReferences]:
        """The columns as `to_record` wrote them."""
        try:
            row = restore({name: value for name, value in record.items() if name != "images"})
        except (TypeError, ValueError) as error:
            raise Drop(Reason.MALFORMED_ROW, f"a value cannot be read: {error}"[:200]) from error
        return row, _references(record.get("images"))


@dataclass(frozen=True, kw_only=True)
class ChatFormat(ExchangeFormat):
    """Records as LLaVA and its followers read them: turns of plain text, with a marker in place of the image.

    Attributes:
        turns_field: name of the field that lists the turns.
        role_field, text_field: names of the fields of a turn.
        marker: what stands before the first turn's text, once for each image.
        role_names: role → the format's name for it; roles that are not listed keep their name.
        image_list: whether images are a list in `images`; if not, the one image's name is in `image`.
        domain_flags: whether the domain is an object of booleans, as in the released files.
    """

    turns_field: str
    role_field: str
    text_field: str
    marker: str
    role_names: Mapping[str, str] = field(default_factory=dict)
    image_list: bool = False
    domain_flags: bool = False

    def to_record(self, row: Row, images: ImageReferences) -> JsonRecord:
        """The chat fields, then the field of all other columns."""
        files = [image.file for image in images or () if image and image.file]
        record: JsonRecord = {"id": row["id"]} if isinstance(row.get("id"), str) else {}
        if self.image_list:
            record["images"] = files
        elif files:
            record["image"] = files[0]
        if self.domain_flags and row.get("domain") in DOMAINS:
            record["domain"] = {domain: domain == row["domain"] for domain in DOMAINS}
        turns = self._chat_turns(row, len(files))
        record[self.turns_field] = turns
        stated, stated_files = self._read_columns(record)
        # A conversation that the chat fields do not give back is kept whole in the other field.
        with suppress(Drop):
            stated["messages"] = self._read_messages(record, stated_files)
        columns = {
            name: value
            for name, value in row.items()
            if name not in ("images", "messages") and (name not in stated or stated[name] != value)
        }
        others: JsonRecord = {"columns": columns, "images": _listed(images), "files": stated_files}
        if "messages" in row and ("messages" not in stated or stated["messages"] != row["messages"]):
            others["messages"] = {"of": _digest(turns), "are": row["messages"]}
        return {**record, OTHER_COLUMNS: to_json(others)}

    def from_record(self, record: JsonRecord) -> tuple[Row, ImageReferences]:
        """What the chat fields state, and the other columns, unless the chat fields were edited since.

        Both forms in which such files come are read, whatever the format is called: `conversations` of `from` and
        `value`, and `messages` of `role` and `content`.
        """
        row, files = self._read_columns(record)
        others = _read_other_columns(record)
        columns, messages = others.get("columns"), others.get("messages")
        if isinstance(columns, dict):
            row |= columns
        if isinstance(messages, dict) and messages.get("of") == _digest(record.get(self.turns_field)):
            row["messages"] = messages.get("are")
        else:
            row["messages"] = self._read_messages(record, files)
        if "images" in others and others.get("files") == files:
            return row, _references(others["images"])
        return row, [ImageReference(file, file) for file in files]

    def _chat_turns(self, row: Row, images: int) -> list[JsonRecord]:
        turns = []
        for number, (role, text) in enumerate(turns_of(row.get("messages"))):
            marked = text.replace(_MARKER, _HARMLESS_MARKER)
            if number == 0:
                marked = self.marker * (images if self.image_list else min(images, 1)) + marked
            turns.append({self.role_field: self.role_names.get(role, role), self.text_field: marked})
        return turns

    def _read_columns(self, record: JsonRecord) -> tuple[Row, list[str]]:
        """The columns other than the conversation that the chat fields state, and the names of the image files."""
        row: Row = {}
        if isinstance(record.get("id"), str | int):
            row["id"] = str(record["id"])
        if "domain" in record:
            row["domain"] = first_flagged(record["domain"])
        return row, _image_files(record)

    def _read_messages(self, record: JsonRecord, files: list[str]) -> list[Row]:
        """The conversation: every marker that stands for an image becomes an image part in its place.

        A marker before or after the first question is the image that the conversation is about, which comes first. A
        system text comes before the first question, as datasets have turns of user and assistant alone.

        Raises:
            Drop: there is no conversation, or markers and images do not match.
        """
        turns = _turns(record)
        if not turns:
            raise Drop(Reason.NO_CONVERSATION, f"no {self.turns_field}")
        said = [_speaker_and_text(turn) for turn in turns]
        system = system_text(record)
        if system is not None and said[0][0] == "system":
            said = said[1:]
        markers = sum(text.count(_MARKER) for _, text in said) + (system or "").count(_MARKER)
        of_user = sum(text.count(_MARKER) for role, text in said if role == "user")
        if markers and not files:
            raise Drop(Reason.NO_IMAGE, f"{markers} times {_MARKER}, and no image")
        if markers > min(of_user, len(files)):
            detail = f"{markers} times {_MARKER}, {of_user} of them in questions, and {len(files)} images"
            raise Drop(Reason.IMAGE_MARKER, detail)
        if markers and markers < len(files):
            raise Drop(Reason.MALFORMED_ROW, f"{markers} times {_MARKER}, and {len(files)} images")
        messages: list[Row] = [
            {"role": role, "content": _parts(text, first=number == 0)}
            for number, (role, text) in enumerate(said)
        ]
        if messages and not markers:
            messages[0]["content"][:0] = [{"type": "image", "text": None}] * len(files)
        if system and messages:
            first = next(part for part in messages[0]["content"] if part["type"] == "text")
            first["text"] = f"{system}\n\n{first['text']}"
        return messages


def system_text(record: JsonRecord) -> str | None:
    """The system text of a chat record: its field `system`, or a first turn of that role; None if it has none."""
    turns = _turns(record)
    if turns and isinstance(turns[0], dict):
        role, text = _speaker_and_text(turns[0])
        if role == "system":
            return text
    stated = record.get("system")
    return stated if isinstance(stated, str) and stated else None


def _turns(record: JsonRecord) -> list[Any]:
    """The turns of a chat record; [] if it has none."""
    turns = next((record[name] for name in _TURNS_FIELDS if record.get(name) is not None), None)
    return turns if isinstance(turns, list) else []


def _speaker_and_text(turn: object) -> tuple[str, str]:
    """Role and text of a turn in either form; a list of parts becomes the text of all, with markers for images."""
    if isinstance(turn, dict):
        for role_field, text_field in (("from", "value"), ("role", "content")):
            content = turn.get(text_field)
            if isinstance(content, list):
                content = "\n".join(map(_text_of_part, content))
            if isinstance(content, str):
                name = str(turn.get(role_field))
                return _ROLES.get(name.lower(), name), content
    raise Drop(Reason.MALFORMED_ROW, "a turn is neither {from, value} nor {role, content}")


def _text_of_part(part: object) -> str:
    """The text of a part of a turn; the marker for an image."""
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in _IMAGE_PARTS:
        return _MARKER
    raise Drop(Reason.MALFORMED_ROW, f"a part of a turn is neither text nor image: {str(kind)[:40]!a}")


def _parts(text: str, *, first: bool) -> list[Row]:
    """The parts of a turn, each marker an image part in its place; a marker after the first question comes first."""
    image: Row = {"type": "image", "text": None}
    if not (count := text.count(_MARKER)):
        return [{"type": "text", "text": text}]
    bare = text.strip()
    if first and count == 1 and bare.endswith(_MARKER) and not bare.startswith(_MARKER):
        return [image, {"type": "text", "text": bare.removesuffix(_MARKER).rstrip()}]
    parts: list[Row] = []
    for number, piece in enumerate(text.split(_MARKER)):
        if number:
            parts.append(image)
        if piece := piece.strip("\r\n"):
            parts.append({"type": "text", "text": piece})
    return parts if any(part["type"] == "text" for part in parts) else [*parts, {"type": "text", "text": ""}]


def _image_files(record: JsonRecord) -> list[str]:
    """The names of the image files in the field `images` or `image`, or else in the parts of the turns.

    The field holds a name, a list of names, or of `{path}`.
    """
    stated = record.get("images") or record.get("image")
    listed = stated if isinstance(stated, list) else [stated] if stated else _images_of_parts(record)
    files = [each.get("path") if isinstance(each, dict) else each for each in listed]
    if not all(isinstance(file, str) for file in files):
        raise Drop(Reason.MALFORMED_ROW, "images are not file names")
    return [str(file) for file in files]


def _images_of_parts(record: JsonRecord) -> list[Any]:
    """The names that the image parts of a chat record give: `{type: image, image|path: …}`, or `{image_url: {url}}`."""
    contents = [turn.get("content", turn.get("value")) for turn in _turns(record) if isinstance(turn, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    found = []
    for part in parts:
        if isinstance(part, dict) and part.get("type") in _IMAGE_PARTS:
            named = part.get("image") or part.get("path") or part.get("image_url")
            found.append(named.get("url") if isinstance(named, dict) and "url" in named else named)
    return [name for name in found if name]


def axolotl_record(row: Row, images: ImageReferences) -> JsonRecord:
    """The record that axolotl reads: turns whose parts name the image's file; it knows no marker."""
    files = [image.file for image in images or () if image and image.file]
    turns = []
    for number, (role, text) in enumerate(turns_of(row.get("messages"))):
        parts = [{"type": "image", "path": file} for file in files] if number == 0 else []
        turns.append({"role": role, "content": [*parts, {"type": "text", "text": text}]})
    return {"messages": turns}


def _listed(images: ImageReferences) -> list[JsonRecord | None] | None:
    return None if images is None else [asdict(image) if image else None for image in images]


def _references(value: object) -> ImageReferences:
    """The references that `_listed` gave; raises Drop if they are malformed."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise Drop(Reason.MALFORMED_ROW, "images are not a list")
    return [None if image is None else _reference(image) for image in value]


def _reference(value: object) -> ImageReference:
    if isinstance(value, dict):
        file, path = value.get("file"), value.get("path")
        if isinstance(file, str | None) and isinstance(path, str | None):
            return ImageReference(file, path)
    raise Drop(Reason.MALFORMED_ROW, "an image is not {file, path}")


def _read_other_columns(record: JsonRecord) -> JsonRecord:
    text = record.get(OTHER_COLUMNS)
    if text is None:
        return {}
    try:
        others = from_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise Drop(Reason.MALFORMED_ROW, f"the field {OTHER_COLUMNS} cannot be read") from error
    return others if isinstance(others, dict) else {}


def _digest(turns: object) -> str:
    return hashlib.sha256(to_json(turns).encode()).hexdigest()


LLAVA = ChatFormat(
    name="llava",
    suffix=".json",
    turns_field="conversations",
    role_field="from",
    text_field="value",
    marker=f"{_MARKER}\n",
    role_names={"user": "human", "assistant": "gpt"},
    domain_flags=True,
    usage="LLaVA: `--data_path {split}.json --image_folder images`.",
)

SHAREGPT = ChatFormat(
    name="sharegpt",
    suffix=".jsonl",
    turns_field="messages",
    role_field="role",
    text_field="content",
    marker=_MARKER,
    image_list=True,
    image_prefix=f"{IMAGE_FOLDER}/",
    usage="""LLaMA-Factory: `--dataset_dir . --dataset {split}`, in this folder (`dataset_info.json` describes it).

ms-swift: `swift sft --dataset {split}.jsonl`, in this folder.

axolotl: `{split}.axolotl.jsonl`, in this folder:

```yaml
datasets:
  - path: {split}.axolotl.jsonl
    ds_type: json
    type: chat_template
```""",
)

WEBDATASET = AllColumnsFormat(
    name="webdataset",
    suffix=".tar",
    usage="""One sample a row: `KEY.jpg` (or `.png`, …; more images as `KEY.1.jpg`) and `KEY.json` with all columns.

```python
samples = webdataset.WebDataset(sorted(glob.glob("{split}-*.tar"))).decode("pil")
```""",
)

JSONL = AllColumnsFormat(
    name="jsonl",
    suffix=".jsonl",
    image_prefix=f"{IMAGE_FOLDER}/",
    usage="""One row a line with all its columns; `images[].file` names the image file.

```python
rows = [json.loads(line) for line in open("{split}.jsonl", encoding="utf-8")]
```""",
)

FORMATS: dict[str, ExchangeFormat] = {each.name: each for each in (LLAVA, SHAREGPT, WEBDATASET, JSONL)}


def format_named(name: str) -> ExchangeFormat:
    """The format of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"no format is called {name!r}: choose from {', '.join(FORMATS)}")
    return FORMATS[name]
