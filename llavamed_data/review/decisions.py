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
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError, UsageError, explain, one_line
from llavamed_data.io.jsonl import BOM, add_durably, json_line, parse_object
from llavamed_data.io.locks import locked_for_adding
from llavamed_data.io.regular_files import open_file, require_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS

SEEN_COLUMNS = ("id", "domain", "caption", "inline_mentions", "figure_label", "license", "messages")
"""The columns, beside the images, of which a digest is made: what a reviewer judges."""

_HALF = 32
"""Hexadecimal digits of the digest of the texts, and of that of the images."""

_MOST_CHARACTERS = 100_000

_MARKERS = re.compile(r"<\s*image\s*>|<\|[^|<>\s]{1,40}\|>", re.IGNORECASE)
"""What trainers and chat templates take for something else than text."""

_MOST_NAMED = 5
"""Lines of a file that are named one by one, if they are passed over."""

_BEGINS = b'{"decision":'
"""How a line of the file begins, also one that a crash left unfinished."""


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

_CHANGING = (DecisionKind.EDIT, DecisionKind.DELETE, DecisionKind.DOMAIN, DecisionKind.UNDO)
"""The kinds that may change what comes of a row."""

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
        outdated: whether the row is what decisions made of it that were undone or changed since.
    """

    row: Row | None
    drop: Drop | None
    review: RowReview
    applied: frozenset[str]
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of a row that there are decisions about: as it stands, or as decisions about the form before made it."""

    row: Row
    digest: str
    decisions: list[Decision] = field(default_factory=list)


class DecisionFile:
    """The decisions in a file, which other programs may be adding to.

    A line counts if it is whole JSON, also a last one without its line end. A last line that a crash left unfinished,
    and any other line that is no JSON, is passed over and said in `problems`.

    Args:
        path: the file.
        must_exist: whether it has to be there; else there are no decisions yet.

    Attributes:
        decisions: all decisions, in order.
        replaced: how often another file took the place of the one that had been read, or its lines were changed:
            `decisions` then holds those of the new one alone.

    Raises:
        UsageError: the file cannot be read or is missing, a line states something else than a decision, or no line of
            it is a decision.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.exists():
            raise UsageError(f"there is no file of decisions {path}: name the one that `review` wrote")
        self.path = path
        self.replaced = -1
        self._added: list[Decision] = []
        self._identity: tuple[int, int] | None = None
        self._forget()
        self.refresh()

    @property
    def problems(self) -> list[str]:
        """Sentences on lines that are passed over, and on a file that took the place of this one."""
        passed = "an unfinished or damaged line was passed over"
        said = [f"{self.path}, line {number}: {passed}" for number in self._damaged[:_MOST_NAMED]]
        if more := len(self._damaged) - len(said):
            said.append(
                f"{self.path}: {more:,} more damaged line{'s were' if more > 1 else ' was'} passed over"
            )
        if self._unfinished:
            said.append(f"{self.path}, line {self._lines + 1}: {passed}")
        if self.replaced:
            said.append(
                f"{self.path} was changed by hand, replaced or removed while it was open: what it holds now counts"
            )
        return said

    def refresh(self) -> list[Decision]:
        """Reads what was added, and returns what was read since the last time, by `decide` too.

        Raises:
            UsageError: as the class.
        """
        try:
            require_file(self.path)
            with open_file(self.path) as file:
                self._read(file)
        except FileNotFoundError:
            if self._identity is not None:
                self._forget()
        except OSError as error:
            raise UsageError(f"the decisions {self.path} cannot be read: {error.strerror}") from error
        added, self._added = self._added, []
        return added

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
        row_id = row.get("id")
        about = [
            each
            for each in (self.of(row_id) if isinstance(row_id, str) else ())
            if each.kind is not DecisionKind.PREFER
        ]
        if not about:
            return Reviewed(row, None, RowReview(), frozenset())
        digest = digest or row_digest(row, images)
        forms = _forms(about, row, digest)
        used = {decision.key for form in forms for decision in form.decisions}
        holding = {decision.key for decision in fold(about).decisions}
        digests = {form.digest for form in forms}
        used |= {each.key for each in about if each.key not in holding and each.row in digests}
        others: dict[str, list[Decision]] = {}
        for decision in about:
            if decision.key not in used:
                others.setdefault(decision.row, []).append(decision)
        used |= _led_to(others, digest)
        outdated = any(
            each.after == digest != each.row and each.key not in used and each.kind in _CHANGING
            for each in about
        )
        whole = fold(decision for decision in about if decision.key in used)
        review = replace(
            _together(forms),
            verdict=whole.verdict,
            reason=whole.reason,
            verdicts=whole.verdicts,
            notes=whole.notes,
        )
        last, drop = forms[-1], None
        try:
            final = fold(last.decisions).edit(last.row)
        except Drop as nothing_left:
            final, drop = last.row, nothing_left
        if whole.verdict == DecisionKind.REJECT:
            drop = Drop(Reason.REJECTED, whole.reason)
        return Reviewed(None if drop else final, drop, review, frozenset(used), outdated)

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
                file.seek(max(end - 1, 0))
                unended = file.read(1) not in (
                    b"",
                    b"\n",
                )  # what a crash left of a line stays, with a line end
                add_durably(file, (b"\n" if unended else b"") + json_line(made.to_json()))
                self._read(file)
        except UsageError:
            raise
        except OSError as error:
            raise LlavaMedError(f"the decision was not kept: {explain(error, self.path)}") from error
        return made

    def _finished(self, made: Decision, row: Row, images: str, check: Callable[[Row], None]) -> Decision:
        """The decision with its `after`, and of an undo what it takes back: it is about the same form of the row."""
        about = [each for each in self.of(made.id) if each.kind is not DecisionKind.PREFER]
        shown, undone = made.row, None
        if made.kind is DecisionKind.UNDO:
            undone = self._undone(made, row)
            made = replace(made, row=undone.row, after=undone.row, fields={"undoes": undone.key})
        if DecisionKind.PREFER in (made.kind, undone and undone.kind):
            return made
        forms = _forms([*about, made], row, shown)
        form = next((each for each in reversed(forms) if each.digest == made.row), None)
        if form is None:  # about the row before the dataset was built
            if undone is None or undone.kind in _CHANGING:
                raise UsageError(
                    f"{made.id} was built with this change, which cannot be undone here: undo it where it was made"
                )
            return replace(made, after=[each.after for each in about if each.row == made.row][-1])
        try:
            after = fold(form.decisions).edit(form.row)
            if made.kind in (DecisionKind.EDIT, DecisionKind.DELETE, DecisionKind.DOMAIN):
                check(after)
        except Drop as drop:
            if drop.reason is not Reason.NO_CONVERSATION:
                raise UsageError(f"this is not possible: {one_line(drop)}") from drop
            return made  # no round is left: the row is dropped
        return replace(made, after=row_digest(after, images))

    def _undone(self, made: Decision, row: Row) -> Decision:
        """The decision that an undo takes back: the one that it names, or the reviewer's last one about the row."""
        if key := made.fields.get("undoes"):
            found = [each for each in self.of(made.id) if each.key == key]
        else:
            applied = self.review(row, digest=made.row).applied
            about = (each for each in self.of(made.id) if each.row == made.row or each.key in applied)
            found = list(fold(each for each in about if each.reviewer == made.reviewer).decisions)
        if not found:
            raise UsageError(f"{made.reviewer} has decided nothing about {made.id} that could be undone")
        return found[-1]

    def _forget(self) -> None:
        """Begins anew, as another file, or none, has this name now."""
        self.replaced += 1
        self.decisions: list[Decision] = []
        self._by_id: dict[str, list[Decision]] = {}
        self._keys: set[str] = set()
        self._added = []
        self._damaged: list[int] = []
        self._unfinished, self._foreign = False, False
        self._offset, self._lines = 0, 0
        self._digest = xxhash.xxh3_64()
        self._identity = None
        self._state = (0, 0)

    def _read(self, file: BinaryIO) -> None:
        """Reads the lines behind those that are known."""
        status = os.fstat(file.fileno())
        identity, state = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_size)
        if self._identity is not None and (
            identity != self._identity or (state != self._state and not self._begins_as_before(file))
        ):
            self._forget()
        self._identity, self._state = identity, state
        self._unfinished = False
        file.seek(self._offset)
        for line in file:
            text = (line.removeprefix(BOM) if self._offset == 0 else line).strip()
            ended = line.endswith(b"\n")
            if text and (stated := parse_object(text)) is not None:
                self._take(stated)
            elif text:
                self._foreign |= not text.startswith(_BEGINS[: len(text)])
                if not ended:
                    self._unfinished = True
                    break
                self._damaged.append(self._lines + 1)
            self._digest.update(line)
            self._offset += len(line)
            self._lines += ended
        if self._foreign and not self.decisions:
            raise UsageError(
                f"{self.path} holds no decision: give the file that `review` wrote, or a new one"
            )

    def _begins_as_before(self, file: BinaryIO) -> bool:
        """Whether the lines that were read are still there."""
        digest, left = xxhash.xxh3_64(), self._offset
        file.seek(0)
        while left and (data := file.read(min(left, 1 << 20))):
            digest.update(data)
            left -= len(data)
        return not left and digest.digest() == self._digest.digest()

    def _take(self, stated: Mapping[str, Any]) -> None:
        try:
            decision = Decision.from_json(stated)
        except ValueError as error:
            raise UsageError(
                f"{self.path}, line {self._lines + 1} is no decision: {error}; correct or remove this line"
            ) from error
        if decision.key in self._keys:
            return
        self._keys.add(decision.key)
        self.decisions.append(decision)
        self._added.append(decision)
        self._by_id.setdefault(decision.id, []).append(decision)


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


def _forms(decisions: Iterable[Decision], row: Row, digest: str) -> list[_Form]:
    """The forms that a row takes by the decisions in their order: as it stands, and what they make of it.

    A decision is about the last form of its digest. If it changes that form, those behind it are gone, and the
    decisions about them count no more.
    """
    forms = [_Form(row, digest)]
    for decision in fold(decisions).decisions:
        place = next((n for n in reversed(range(len(forms))) if forms[n].digest == decision.row), None)
        if place is None:
            if (
                decision.kind in _CHANGING and decision.after == digest
            ):  # made before the row was built, and again since
                forms = [_Form(row, digest)]
            continue
        form = forms[place]
        form.decisions.append(decision)
        if decision.kind not in _CHANGING:
            continue
        del forms[place + 1 :]
        try:
            edited = fold(form.decisions).edit(form.row)
        except Drop:  # no round is left
            continue
        after = form.digest if edited is form.row else row_digest(edited, images_part(digest))
        if after != form.digest:
            forms.append(_Form(edited, after))
    return forms


def _together(forms: Sequence[_Form]) -> RowReview:
    """What the decisions about all forms of a row come to, by the turns of the first one."""
    first = forms[0].row
    numbers = list(range(len(first.get("messages") or ())))
    texts, deleted, domain = dict[int, str](), set[int](), None
    for form in forms:
        review = fold(form.decisions)
        texts.update((numbers[turn], text) for turn, text in review.texts.items())
        gone = {
            turn
            for turn in range(len(numbers))
            if turn - turn % 2 in {each - each % 2 for each in review.deleted}
        }
        deleted |= {numbers[turn] for turn in (review.deleted if len(forms) == 1 else gone)}
        numbers = [number for turn, number in enumerate(numbers) if turn not in gone]
        domain = review.domain or domain
    if len(forms) > 1:
        before = turns_of(first.get("messages"))
        texts = {number: text for number, text in texts.items() if text != before[number][1]}
        domain = None if domain == first.get("domain") else domain
    decisions = fold(each for form in forms for each in form.decisions).decisions
    return RowReview(texts=texts, deleted=frozenset(deleted), domain=domain, decisions=decisions)


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
