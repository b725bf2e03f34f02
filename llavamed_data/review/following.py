"""Follows the decisions about a row: what they come to, and which row comes of it.

Decisions count in the order of their file, whatever the clocks say. They may be about the row as it is and about what
decisions made of it: a set may have been built with decisions, reviewed again, and be built from its source again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.reasons import Drop, Reason
from llavamed_data.review.decisions import CHANGING, Decision, DecisionKind, images_part, row_digest

_JUDGING = (DecisionKind.ACCEPT, DecisionKind.REJECT, DecisionKind.NOTE)
"""The kinds of decisions that leave a row as it is."""


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
    def deleted_rounds(self) -> frozenset[int]:
        """Numbers of the rounds that are taken out: turns 0 and 1 are round 0."""
        return frozenset(turn // 2 for turn in self.deleted)

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
        deleted = self.deleted_rounds
        kept = [turn for number, turn in enumerate(messages) if number // 2 not in deleted]
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
    held = tuple(holding(decisions))
    verdict = reason = ""
    domain = None
    texts, deleted, notes, verdicts = dict[int, str](), set[int](), list[tuple[str, str]](), dict[str, str]()
    for decision in held:
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
    return RowReview(verdict, reason, texts, frozenset(deleted), domain, tuple(notes), verdicts, held)


def holding(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that are no undo and that no undo of the same reviewer takes back."""
    given = list(decisions)
    undone = {(each.reviewer, each.fields["undoes"]) for each in given if each.kind is DecisionKind.UNDO}
    return [
        each
        for each in given
        if each.kind is not DecisionKind.UNDO and (each.reviewer, each.key) not in undone
    ]


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

    @property
    def verdict(self) -> str:
        """`accept`, `reject`, or "" where there is none; a row of which nothing is left counts as rejected."""
        return str(DecisionKind.REJECT) if self.row is None else self.review.verdict


def follow(
    decisions: Sequence[Decision], row: Row, images: str | None = None, digest: str | None = None
) -> Reviewed:
    """Follows the decisions about a row.

    Args:
        decisions: those about rows of its id, without preferences, in the order of their file.
        row: as `row_digest` takes it.
        images: what `images_digest` returns, if it is known.
        digest: what `row_digest` returns, if it is known.
    """
    if not decisions:
        return Reviewed(row, None, RowReview(), frozenset())
    digest = digest or row_digest(row, images)
    if all(each.row == digest and each.kind in _JUDGING for each in decisions):
        review, drop = (
            fold(decisions),
            None,
        )  # as below, and much faster: nothing is changed, undone or outdated
        if review.verdict == DecisionKind.REJECT:
            drop = Drop(Reason.REJECTED, review.reason)
        return Reviewed(None if drop else row, drop, review, frozenset(each.key for each in decisions))
    forms = forms_of(decisions, row, digest)
    used = {decision.key for form in forms for decision in form.decisions}
    held = {decision.key for decision in holding(decisions)}
    digests = {form.digest for form in forms}
    used |= {each.key for each in decisions if each.key not in held and each.row in digests}
    others: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.key not in used:
            others.setdefault(decision.row, []).append(decision)
    used |= _led_to(others, digest)
    outdated = any(
        each.after == digest != each.row and each.key not in used and each.kind in CHANGING
        for each in decisions
    )
    whole = fold(decision for decision in decisions if decision.key in used)
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


@dataclass(frozen=True, slots=True)
class RowForm:
    """A form of a row that there are decisions about: as it stands, or as decisions about the form before made it."""

    row: Row
    digest: str
    decisions: list[Decision] = field(default_factory=list)


def forms_of(decisions: Iterable[Decision], row: Row, digest: str) -> list[RowForm]:
    """The forms that a row takes by the decisions in their order: as it stands, and what they make of it.

    A decision is about the last form of its digest. If it changes that form, those behind it are gone, and the
    decisions about them count no more.
    """
    forms = [RowForm(row, digest)]
    for decision in holding(decisions):
        place = next((n for n in reversed(range(len(forms))) if forms[n].digest == decision.row), None)
        if place is None:
            if decision.kind in CHANGING and decision.after == digest:
                forms = [RowForm(row, digest)]  # it was made before the row was built, and again since
            continue
        form = forms[place]
        form.decisions.append(decision)
        if decision.kind not in CHANGING:
            continue
        del forms[place + 1 :]
        try:
            edited = fold(form.decisions).edit(form.row)
        except Drop:  # no round is left
            continue
        after = form.digest if edited is form.row else row_digest(edited, images_part(digest))
        if after != form.digest:
            forms.append(RowForm(edited, after))
    return forms


def _together(forms: Sequence[RowForm]) -> RowReview:
    """What the decisions about all forms of a row come to, by the turns of the first one."""
    first = forms[0].row
    numbers = list(range(len(first.get("messages") or ())))
    texts, deleted, domain = dict[int, str](), set[int](), None
    for form in forms:
        review = fold(form.decisions)
        texts.update((numbers[turn], text) for turn, text in review.texts.items())
        gone = {turn for turn in range(len(numbers)) if turn // 2 in review.deleted_rounds}
        deleted |= {numbers[turn] for turn in (review.deleted if len(forms) == 1 else gone)}
        numbers = [number for turn, number in enumerate(numbers) if turn not in gone]
        domain = review.domain or domain
    if len(forms) > 1:
        before = turns_of(first.get("messages"))
        texts = {number: text for number, text in texts.items() if text != before[number][1]}
        domain = None if domain == first.get("domain") else domain
    decisions = tuple(each for form in forms for each in form.decisions)
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
