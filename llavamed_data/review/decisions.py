"""What reviewers decide about the rows of a dataset: one line of JSON each, in a file that is only added to.

    {"decision": "0c5e…", "kind": "edit", "id": "99000010_f1", "row": "8a41…", "after": "51d0…", "turn": 1,
     "text": "This is a chest X-ray.", "reviewer": "anna", "time": "2026-01-31T09:05:12Z", "dataset": "60k-im"}

`row` is the digest of the row that the reviewer saw: the first half of its texts, the second half of its images. A
decision about a row counts for a row of the same id and digest and for no other. `after` is the digest of the row once
this decision and those before it are followed, so that a set that was built with them is known. Decisions count in the
order of the file, whatever the clocks say.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError, UsageError, explain, one_line
from llavamed_data.io.jsonl import add_durably, json_line, lines_from, parse_object
from llavamed_data.io.locks import locked_for_adding
from llavamed_data.io.regular_files import open_file, require_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS

SEEN_COLUMNS = ("id", "domain", "caption", "inline_mentions", "figure_label", "license", "messages")
"""The columns, beside the images, of which a digest is made: what a reviewer judges."""

_HALF = 32
"""Hexadecimal digits of the digest of the texts, and of that of the images."""

_MOST_CHARACTERS = 100_000
_MARKER = "<image>"


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

_SHARED = ("decision", "kind", "id", "row", "after", "reviewer", "time", "dataset")

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
    return digest + (images_digest(_image_bytes(row)) if images is None else images)


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


@dataclass(frozen=True, slots=True)
class RowReview:
    """What the decisions about one row come to.

    Attributes:
        verdict: `accept`, `reject`, or "" where there is none.
        reason: why it is rejected.
        texts: number of a turn → its new text.
        deleted: numbers of the turns whose round is taken out.
        domain: the new domain, or None.
        notes: (reviewer, text) of each note.
        verdicts: reviewer → this reviewer's own last verdict.
        decisions: those that hold, in order.
    """

    verdict: str = ""
    reason: str = ""
    texts: Mapping[int, str] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    domain: str | None = None
    notes: Sequence[tuple[str, str]] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()

    @property
    def changes(self) -> bool:
        """Whether the row's texts or domain are changed."""
        return bool(self.texts or self.deleted or self.domain)

    @property
    def disagree(self) -> bool:
        """Whether reviewers have come to different verdicts."""
        return len(set(self.verdicts.values())) > 1

    def edit(self, row: Row) -> Row:
        """The row with the edits, without the rounds that are taken out, and of the new domain.

        Raises:
            Drop: NO_CONVERSATION if no round is left.
        """
        if not self.changes:
            return row
        messages = [
            _with_text(turn, self.texts[number]) if number in self.texts else turn
            for number, turn in enumerate(row["messages"])
        ]
        deleted = {number - number % 2 for number in self.deleted}
        kept = [turn for number, turn in enumerate(messages) if number - number % 2 not in deleted]
        if not kept:
            raise Drop(Reason.NO_CONVERSATION, "all rounds were deleted in review")
        if kept[0] is not messages[0]:
            images = [part for part in messages[0]["content"] if part["type"] == "image"]
            kept[0] = {**kept[0], "content": [*images, *kept[0]["content"]]}
        return {**row, "messages": kept, "domain": self.domain or row.get("domain")}


def fold(decisions: Iterable[Decision]) -> RowReview:
    """What decisions about the same row come to: of several about the same thing, the last one counts.

    An undo takes back one decision of the same reviewer, and is not undone itself. Preferences say nothing of a row.
    """
    given = list(decisions)
    undone = {
        (decision.reviewer, decision.fields["undoes"])
        for decision in given
        if decision.kind is DecisionKind.UNDO
    }
    holding = tuple(
        decision
        for decision in given
        if decision.kind is not DecisionKind.UNDO and (decision.reviewer, decision.key) not in undone
    )
    verdict = reason = ""
    domain = None
    texts, deleted, notes, verdicts = dict[int, str](), set[int](), list[tuple[str, str]](), dict[str, str]()
    for decision in holding:
        fields = decision.fields
        match decision.kind:
            case DecisionKind.ACCEPT | DecisionKind.REJECT:
                verdict, reason = str(decision.kind), fields.get("reason", "")
                verdicts[decision.reviewer] = verdict
            case DecisionKind.EDIT:
                texts[fields["turn"]] = fields["text"]
                deleted -= {fields["turn"], fields["turn"] ^ 1}
            case DecisionKind.DELETE:
                deleted.add(fields["turn"])
            case DecisionKind.DOMAIN:
                domain = fields["domain"]
            case DecisionKind.NOTE:
                notes.append((decision.reviewer, fields["text"]))
    return RowReview(verdict, reason, texts, frozenset(deleted), domain, tuple(notes), verdicts, holding)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A row after review, and which decisions led there.

    Attributes:
        row: the row after all decisions that count; None if it is rejected or nothing is left of it.
        drop: why there is no row.
        review: what the decisions about the row as it stands come to; its verdicts and notes are also those about
            the forms that the row had before, and gets by the decisions.
        applied: keys of the decisions that were followed, also of those that the row follows already.
    """

    row: Row | None
    drop: Drop | None
    review: RowReview
    applied: frozenset[str]


class DecisionFile:
    """The decisions in a file, which other programs may be adding to.

    A line counts once it is on the disk with its line end. A last line that a crash left unfinished, and any other
    line that is no JSON, is passed over and said in `problems`.

    Args:
        path: the file.
        must_exist: whether it has to be there; else there are no decisions yet.

    Attributes:
        problems: a sentence for each line that is passed over.
        decisions: all decisions, in order.

    Raises:
        UsageError: the file cannot be read or is missing, or a line states something else than a decision.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.exists():
            raise UsageError(f"there is no file of decisions {path}: name the one that `review` wrote")
        self.path = path
        self.problems: list[str] = []
        self.decisions: list[Decision] = []
        self._by_id: dict[str, list[Decision]] = {}
        self._keys: set[str] = set()
        self._offset, self._lines = 0, 0
        self._identity: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> list[Decision]:
        """Reads what was added since the last time, and returns it.

        Raises:
            UsageError: as the class.
        """
        try:
            require_file(self.path)
            with open_file(self.path) as file:
                return self._read(file)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(f"the decisions {self.path} cannot be read: {error.strerror}") from error

    def of(self, row_id: str) -> Sequence[Decision]:
        """The decisions about rows of this id, in order."""
        return self._by_id.get(row_id, ())

    def preferences(self, row_id: str) -> list[Decision]:
        """The preferences about rows of this id that are not taken back, in order."""
        return [each for each in fold(self.of(row_id)).decisions if each.kind is DecisionKind.PREFER]

    @property
    def ids(self) -> Iterable[str]:
        """The ids that there are decisions about."""
        return self._by_id.keys()

    @property
    def reviewers(self) -> list[str]:
        """Who has decided, in the order of their first decisions."""
        return list(dict.fromkeys(decision.reviewer for decision in self.decisions))

    def review(self, row: Row, images: str | None = None, digest: str | None = None) -> Reviewed:
        """Follows the decisions about a row.

        Decisions may be about the row as it is, and about what came of it: a set may have been built with decisions,
        reviewed again, and be built from its source again.

        Args:
            row: as `row_digest` takes it.
            images: what `images_digest` returns, if it is known.
            digest: what `row_digest` returns, if it is known.
        """
        groups: dict[str, list[Decision]] = {}
        for decision in self.of(row["id"]) if isinstance(row.get("id"), str) else ():
            if decision.kind is not DecisionKind.PREFER:
                groups.setdefault(decision.row, []).append(decision)
        if not groups:
            return Reviewed(row, None, RowReview(), frozenset())
        digest = seen = digest or row_digest(row, images)
        images = images_part(digest)
        review, used = fold(groups.get(digest, ())), set[str]()
        drop: Drop | None = None
        while digest in groups:
            group = groups.pop(digest)
            used |= {decision.key for decision in group}
            try:
                edited = fold(group).edit(row)
            except Drop as nothing_left:
                drop = nothing_left
                break
            if edited is not row:
                row, digest = edited, row_digest(edited, images)
        used |= _led_to(groups, seen)
        whole = fold(decision for decision in self.of(row["id"]) if decision.key in used)
        review = replace(
            review, verdict=whole.verdict, reason=whole.reason, verdicts=whole.verdicts, notes=whole.notes
        )
        if whole.verdict == DecisionKind.REJECT:
            drop = Drop(Reason.REJECTED, whole.reason)
        return Reviewed(None if drop else row, drop, review, frozenset(used))

    def decide(
        self,
        row: Row,
        kind: DecisionKind,
        *,
        reviewer: str,
        dataset: str,
        images: str | None = None,
        key: str = "",
        check: Callable[[Row], None] = lambda _: None,
        **fields: Any,
    ) -> Decision:
        """Adds a decision about a row to the file; it is on the disk when this returns.

        Args:
            row: the row that the reviewer sees, as it stands in its dataset.
            kind: what the decision does.
            reviewer: who decides.
            dataset: name of the dataset.
            images: what `images_digest` returns, if it is known.
            key: the decision's own id, of the caller's making: a decision of this id that is in the file already is
                not added again. A new one by default.
            check: raises Drop for a row that the dataset may not hold; it is called with the row as it would become.
            **fields: the fields of the kind.

        Raises:
            UsageError: the decision cannot be made: a text is empty or not allowed, there is no such turn or domain, or
                nothing to undo.
            LlavaMedError: it cannot be written; it does not count then.
        """
        _check(row, kind, reviewer, fields)
        images = images_digest(_image_bytes(row)) if images is None else images
        digest = row_digest(row, images)
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = Decision(
            key or uuid.uuid4().hex, kind, row["id"], digest, digest, reviewer.strip(), time, dataset, fields
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            require_file(self.path)
            with locked_for_adding(self.path) as file:
                self._read(file)
                if made.key in self._keys:
                    return next(each for each in self.decisions if each.key == made.key)
                made = self._finished(made, row, images, check)
                end = file.seek(0, os.SEEK_END)
                torn = end > self._offset  # what a crash left of a line, which stays and is passed over
                add_durably(file, (b"\n" if torn else b"") + json_line(made.to_json()))
                self._read(file)
        except UsageError:
            raise
        except OSError as error:
            raise LlavaMedError(f"the decision was not kept: {explain(error, self.path)}") from error
        return made

    def last_of(self, reviewer: str, row_id: str, digest: str) -> Decision | None:
        """The reviewer's last decision about a row that is not taken back."""
        own = [each for each in self.of(row_id) if each.row == digest and each.reviewer == reviewer]
        return next(iter(reversed(fold(own).decisions)), None)

    def _finished(self, made: Decision, row: Row, images: str, check: Callable[[Row], None]) -> Decision:
        """The decision with its `after`, and of an undo what it takes back."""
        if made.kind is DecisionKind.UNDO and not made.fields.get("undoes"):
            last = self.last_of(made.reviewer, made.id, made.row)
            if last is None:
                raise UsageError(f"{made.reviewer} has decided nothing about {made.id} that could be undone")
            made = replace(made, fields={"undoes": last.key})
        if made.kind is DecisionKind.PREFER:
            return made
        review = fold([*(each for each in self.of(made.id) if each.row == made.row), made])
        try:
            after = review.edit(row)
            if made.kind in (DecisionKind.EDIT, DecisionKind.DELETE, DecisionKind.DOMAIN):
                check(after)
        except Drop as drop:
            if drop.reason is not Reason.NO_CONVERSATION:
                raise UsageError(f"this is not possible: {one_line(drop)}") from drop
            return made  # no round is left: the row is dropped
        return replace(made, after=row_digest(after, images))

    def _read(self, file: Any) -> list[Decision]:
        """Reads the lines behind those that are known."""
        state = os.fstat(file.fileno())
        identity = (state.st_dev, state.st_ino)
        if identity != self._identity or state.st_size < self._offset:  # another file has this name now
            self.problems, self.decisions, self._by_id, self._keys = [], [], {}, set()
            self._offset, self._lines, self._identity = 0, 0, identity
        new = []
        for end, line in lines_from(file, self._offset):
            self._lines += 1
            if line.strip():
                new += self._take(line)
            self._offset = end
        return new

    def _take(self, line: bytes) -> list[Decision]:
        stated = parse_object(line)
        if stated is None:
            self.problems.append(
                f"{self.path}, line {self._lines}: an unfinished or damaged line was passed over"
            )
            return []
        try:
            decision = Decision.from_json(stated)
        except ValueError as error:
            raise UsageError(
                f"{self.path}, line {self._lines} is no decision: {error}; correct or remove this line"
            ) from error
        if decision.key in self._keys:
            return []
        self._keys.add(decision.key)
        self.decisions.append(decision)
        self._by_id.setdefault(decision.id, []).append(decision)
        return [decision]


def decided_rows(
    dataset: Dataset, file: DecisionFile, columns: Sequence[str] = ()
) -> Iterator[tuple[int, Row]]:
    """Yields number and row of each row of a dataset whose id there are decisions about.

    Args:
        dataset: the dataset.
        file: the decisions.
        columns: those that are read; what a digest is made of, with the images, by default.
    """
    names = list(columns) or [*SEEN_COLUMNS, "images"]
    ids = set(file.ids)
    numbers = (number for number, row in enumerate(dataset.rows(["id"])) if row.get("id") in ids)
    for number in numbers:
        yield number, dataset.row(number, names)


def _check(row: Row, kind: DecisionKind, reviewer: str, fields: Mapping[str, Any]) -> None:
    """Raises UsageError for what cannot be decided about a row."""
    if not isinstance(row.get("id"), str):
        raise UsageError("a row without an id cannot be decided about: run validate")
    if not reviewer.strip():
        raise UsageError("say who decides: give --reviewer NAME")
    for name in ("text", "reason"):
        if name in fields:
            _check_text(fields[name], "new text" if kind is DecisionKind.EDIT else name)
    if kind is DecisionKind.EDIT and _MARKER in fields["text"]:
        raise UsageError(f"no text may hold {_MARKER}, which trainers take for an image")
    if "turn" in fields and not 0 <= fields["turn"] < len(row.get("messages") or ()):
        raise UsageError(f"{row['id']} has no turn {fields['turn'] + 1}")
    if "domain" in fields and fields["domain"] not in DOMAINS:
        raise UsageError(f"no domain is called {fields['domain']!r}: choose from {', '.join(DOMAINS)}")


def _check_text(text: str, name: str) -> None:
    if not text.strip():
        raise UsageError(f"the {name} is empty: write it first")
    if len(text) > _MOST_CHARACTERS:
        raise UsageError(f"a text has {_MOST_CHARACTERS:,} characters at most")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError("the text holds half a character, which no file can hold: write it again")


def _led_to(groups: Mapping[str, list[Decision]], digest: str) -> set[str]:
    """Keys of the decisions that led to the row of this digest: those about the forms that it had before."""
    led, seen = set[str](), {digest}
    while True:
        found = next(
            (of for of, group in groups.items() if group[-1].after == digest and of not in seen), None
        )
        if found is None:
            return led
        led |= {decision.key for decision in groups[found]}
        digest = found
        seen.add(digest)


def _with_text(turn: dict[str, Any], text: str) -> dict[str, Any]:
    """The turn with one part of text, behind its image."""
    images = [part for part in turn["content"] if part["type"] == "image"]
    return {**turn, "content": [*images, {"type": "text", "text": text}]}


def _image_bytes(row: Row) -> Iterator[bytes | None]:
    for image in row.get("images") or ():
        yield image.get("bytes") if image else None
