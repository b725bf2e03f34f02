"""One decision of a reviewer about a row of a dataset: its kinds, its line of JSON, and what may be decided.

    {"decision": "0c5e…", "kind": "edit", "id": "99000010_f1", "row": "8a41…", "after": "51d0…", "turn": 1,
     "text": "This is a chest X-ray.", "reviewer": "anna", "time": "2026-01-31T09:05:12Z", "dataset": "60k-im"}

`row` is the digest of the row that the reviewer saw: the first half of its texts, the second half of its images. A
decision about a row counts for a row of the same id and digest and for no other. `after` is the digest of the row once
this decision and those before it are followed, so that a set that was built with them is known.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.errors import UsageError
from llavamed_data.recipes import DOMAINS

SEEN_COLUMNS = ("id", "domain", "caption", "inline_mentions", "figure_label", "license", "messages")
"""The columns, beside the images, of which a digest is made: what a reviewer judges."""

_HALF = 32
"""Hexadecimal digits of the digest of the texts, and of that of the images."""

_MOST_CHARACTERS = 100_000
"""Of a new text, a note or a reason."""

_MARKERS = re.compile(r"<\s*image\s*>|<\|[^|<>\s]{1,40}\|>", re.IGNORECASE)
"""What trainers and chat templates take for something else than text."""


class DecisionKind(StrEnum):
    """What a decision does."""

    ACCEPT = "accept"
    REJECT = "reject"
    EDIT = "edit"
    DELETE = "delete"
    DOMAIN = "domain"
    NOTE = "note"
    PREFER = "prefer"
    UNDO = "undo"


_FIELDS: Mapping[DecisionKind, Mapping[str, type[int] | type[str]]] = {
    DecisionKind.ACCEPT: {},
    DecisionKind.REJECT: {"reason": str},
    DecisionKind.EDIT: {"turn": int, "text": str},
    DecisionKind.DELETE: {"turn": int},
    DecisionKind.DOMAIN: {"domain": str},
    DecisionKind.NOTE: {"text": str},
    DecisionKind.PREFER: {"choice": str, "other": str, "other_dataset": str},
    DecisionKind.UNDO: {"undoes": str},
}
"""Kind → the fields that it has beside those of every decision."""

CHANGING = (DecisionKind.EDIT, DecisionKind.DELETE, DecisionKind.DOMAIN, DecisionKind.UNDO)
"""The kinds of decisions that may change what comes of a row."""

_SHARED = ("decision", "kind", "id", "row", "after", "reviewer", "time", "dataset")
"""The fields of every decision."""

CHOICES = ("this", "other", "tie")
"""What a preference chooses: the row that it is about, the row of the other set, or neither."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the file.

    Attributes:
        key: its own id.
        kind: what it does.
        id: of the row.
        row: digest of the row that was seen; see `row_digest`.
        after: digest of the row once this decision and those before it are followed.
        reviewer: who decided.
        time: when, in UTC by the reviewer's clock.
        dataset: name of the dataset that was looked at.
        fields: the fields of its kind: `reason` of reject; `turn` (from 0) and `text` of edit; `turn` of delete, which
            takes the whole round of that turn out; `domain`; `text` of note; `undoes`, the key of the decision that an
            undo takes back; `choice`, and `other` and `other_dataset`, digest and name of the row that a
            preference compares with.
    """

    key: str
    kind: DecisionKind
    id: str
    row: str
    after: str
    reviewer: str
    time: str
    dataset: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of its line."""
        about = {
            "decision": self.key,
            "kind": str(self.kind),
            "id": self.id,
            "row": self.row,
            "after": self.after,
        }
        by = {"reviewer": self.reviewer, "time": self.time, "dataset": self.dataset}
        return {**about, **self.fields, **by}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> "Decision":
        """The decision that an object states; fields that are not known are passed over.

        Raises:
            ValueError: a field is missing or wrong.
        """
        for name in _SHARED:
            if not isinstance(stated.get(name), str):
                raise ValueError(f"its field {name} is missing or no text")
        try:
            kind = DecisionKind(stated["kind"])
        except ValueError as error:
            raise ValueError(f"no decision is called {stated['kind'][:40]!r}") from error
        fields = dict[str, Any]()
        for name, of in _FIELDS[kind].items():
            value: Any = stated.get(name)
            if not isinstance(value, of) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
                raise ValueError(f"its field {name} is missing or wrong")
            fields[name] = value
        if kind is DecisionKind.PREFER and fields["choice"] not in CHOICES:
            raise ValueError(f"its choice is none of {', '.join(CHOICES)}")
        shared = {name: stated[name] for name in _SHARED if name not in ("decision", "kind")}
        return cls(key=stated["decision"], kind=kind, fields=fields, **shared)


def row_digest(row: Row, images: str | None = None) -> str:
    """The digest of what a reviewer sees of a row: 32 digits of its texts, then 32 of its images.

    Args:
        row: with the columns `SEEN_COLUMNS` that its dataset has, and `images`, unless `images` is given.
        images: what `images_digest` returns.
    """
    seen = {name: row.get(name) for name in SEEN_COLUMNS}
    seen["messages"] = turns_of(row.get("messages"))
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HALF]
    if images is None:
        images = images_digest(image.get("bytes") if image else None for image in row.get("images") or ())
    return digest + images


def images_digest(images: Iterable[bytes | None]) -> str:
    """The half of `row_digest` that is of the images' bytes."""
    return hashlib.sha256(b"".join(hashlib.sha256(data or b"").digest() for data in images)).hexdigest()[
        :_HALF
    ]


def texts_part(digest: str) -> str:
    """The half of a `row_digest` that is of the texts."""
    return digest[:_HALF]


def images_part(digest: str) -> str:
    """The half of a `row_digest` that is of the images."""
    return digest[_HALF:]


def check_decision(row: Row, kind: DecisionKind, reviewer: str, fields: Mapping[str, Any]) -> None:
    """Checks what is to be decided about a row.

    Raises:
        UsageError: it cannot be decided: a text is empty or not allowed, or there is no such turn or domain.
    """
    if not isinstance(row.get("id"), str):
        raise UsageError("a row without an id cannot be decided about: run validate")
    if not reviewer.strip():
        raise UsageError("say who decides: give --reviewer NAME")
    for name in ("text", "reason"):
        if name in fields:
            _check_text(fields[name], "new text" if kind is DecisionKind.EDIT else name)
    if kind is DecisionKind.EDIT and (found := _MARKERS.search(fields["text"])):
        raise UsageError(
            f"no text may hold {found[0]}, which trainers take for an image or for the end of a turn"
        )
    if "turn" in fields and not 0 <= fields["turn"] < len(row.get("messages") or ()):
        raise UsageError(f"{row['id']} has no turn {fields['turn'] + 1}")
    if "domain" in fields and fields["domain"] not in DOMAINS:
        raise UsageError(f"no domain is called {fields['domain']!r}: choose from {', '.join(DOMAINS)}")


def _check_text(text: str, name: str) -> None:
    if not text.strip():
        raise UsageError(f"the {name} is empty: write it first")
    if len(text) > _MOST_CHARACTERS:
        raise UsageError(f"a text has {_MOST_CHARACTERS:,} characters at most")
    if "\0" in text:
        raise UsageError("the text holds a NUL character: remove it")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError("the text holds half a character, which no file can hold: write it again")
