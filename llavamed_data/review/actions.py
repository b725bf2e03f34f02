"""What people can do on the review page; each action returns what the page shows after it."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from llavamed_data.console.printable import counted, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.review.decisions import DecisionKind
from llavamed_data.review.filters import ReviewFilter
from llavamed_data.review.pictures import Pictures
from llavamed_data.review.rendering import (
    filled,
    progress_text,
    render_comparison,
    render_row,
)
from llavamed_data.review.review_set import ReviewSet, RowChangedError
from llavamed_data.review.row_view import RowView

ANY = "any"
"""The choice of every domain, or every flag."""


class Place(NamedTuple):
    """Where a reader is.

    Attributes:
        wanted: which rows are gone through.
        numbers: the numbers of these rows.
        generation: of the dataset that the numbers are of.
        at: the place in the numbers.
        view: the row that is shown.
        swapped: whether the other dataset's conversation is shown first.
    """

    wanted: ReviewFilter = ReviewFilter()
    numbers: Sequence[int] = ()
    generation: int = 0
    at: int = 0
    view: RowView | None = None
    swapped: bool = False


class OpenEdit(NamedTuple):
    """An edit that is being written.

    Attributes:
        turn: number of the turn.
        digest: of its row.
    """

    turn: int
    digest: str


class ReviewActions:
    """What the buttons and keys do; each call returns the new place, the row, and a line that says what was done.

    The reviewer's name is the first argument of each. Of the others, `seen` is the mark of the row that the browser
    shows, and `edit` the edit that is being written, during which nothing else is done.
    """

    def __init__(self, review: ReviewSet, pictures: Pictures, gradio_module: Any) -> None:
        self._review, self._pictures, self._gr = review, pictures, gradio_module
        self._answers = itertools.count()

    def open(self, who: str, *, is_login: bool) -> list[Any]:
        """Begins at the first row that has no verdict, or that the reviewer has not compared."""
        self._review.refresh()
        place = self._chosen(ReviewFilter())
        if self._review.compares:
            start = self._review.first_to_compare(place.numbers, who)
        else:
            start = self._review.first_undecided(place.numbers)
        locked = self._gr.Textbox(value=who, interactive=not is_login)
        return [*self._show(place._replace(at=start), who), locked]

    def choose(
        self,
        who: str,
        place: Place,
        edit: OpenEdit | None,
        domain: str,
        state: str,
        flag: str,
        words: str,
        sample: float,
        seed: float,
    ) -> list[Any]:
        """Shows other rows."""
        if edit:
            return self._editing(place, who, edit)
        wanted = ReviewFilter(
            "" if domain == ANY else domain or "",
            state or "all",
            "" if flag == ANY else flag or "",
            (words or "")[:500],
            _whole_number(sample),
            _whole_number(seed),
            who,
        )
        try:
            self._review.refresh()
            return self._show(self._chosen(wanted), who)
        except (LlavaMedError, OSError) as error:
            return self._same(place, who, str(error), fault=True)

    def go_to(self, who: str, place: Place, edit: OpenEdit | None, row_id: str) -> list[Any]:
        """Shows the row of an id, among all rows if it is not among the chosen ones."""
        if edit:
            return self._editing(place, who, edit)
        try:
            self._review.refresh()
            number = self._review.number_of((row_id or "").strip())
            place = self._renewed(place)
        except (LlavaMedError, OSError) as error:
            return self._same(place, who, str(error), fault=True)
        there = self._at(place, number)
        if there is None:
            return self._same(place, who, f"{row_id} is in only one of the two datasets", fault=True)
        return self._show(there, who)

    def moving(self, step: int) -> Callable[[str, Place, OpenEdit | None], list[Any]]:
        """Shows the next row, or the one before."""

        def move(who: str, place: Place, edit: OpenEdit | None) -> list[Any]:
            if edit:
                return self._editing(place, who, edit)
            if not 0 <= place.at + step < len(place.numbers):
                return self._same(place, who, "this is the last row" if step > 0 else "this is the first row")
            return self._show(place, who, step=step)

        return move

    def accept(self, who: str, place: Place, seen: str, edit: OpenEdit | None) -> list[Any]:
        """Accepts the row and shows the next one."""
        return self._decide(who, place, seen, edit, DecisionKind.ACCEPT, "accepted", move=True)

    def reject(self, who: str, place: Place, seen: str, edit: OpenEdit | None, reason: str) -> list[Any]:
        """Rejects the row and shows the next one; the reason is put back if the row could not be rejected."""
        reason = (reason or "").strip()
        made, done = self._try_to_decide(
            who, place, seen, edit, DecisionKind.REJECT, "rejected", move=True, reason=reason
        )
        return done if made else self._with_text_put_back(place, done, "reason", reason)

    def on_turn(
        self, who: str, place: Place, seen: str, edit: OpenEdit | None, action: object, turn: object
    ) -> list[Any]:
        """Opens the editor for a turn, or deletes its round."""
        same = [self._gr.skip(), self._gr.skip(), edit]
        if edit:
            if action == "edit" and turn == edit.turn:
                return [*self._same(place, who, f"turn {edit.turn + 1} is being edited"), *same]
            return [*self._editing(place, who, edit), *same]
        if place.view is None or not isinstance(turn, int) or isinstance(turn, bool):
            return [*self._same(place, who, ""), *same]
        if action == "delete":
            made = self._decide(who, place, seen, edit, DecisionKind.DELETE, "round deleted", turn=turn)
            return [*made, *same]
        if seen != place.view.mark:
            return [*self._not_seen(place, who), *same]
        turns = turns_of(place.view.row.get("messages"))
        if not 0 <= turn < len(turns):
            return [*self._same(place, who, f"there is no turn {turn + 1}", fault=True), *same]
        text = place.view.reviewed.review.texts.get(turn, turns[turn][1])
        editor = [
            self._gr.Column(visible=True),
            self._gr.Textbox(value=text, label=f"New text of turn {turn + 1}"),
            OpenEdit(turn, place.view.digest),
        ]
        return [*self._same(place, who, f"turn {turn + 1} is being edited"), *editor]

    def save(self, who: str, place: Place, seen: str, edit: OpenEdit | None, text: str) -> list[Any]:
        """Keeps an edit of the row that it was begun for; the editor stays open if it cannot be kept."""
        if edit is None:
            return [*self._same(place, who, "no turn is being edited"), self._gr.Column(visible=False), None]
        if place.view is None or place.view.digest != edit.digest:
            said = "the row of this edit is not shown any more: copy the text if you need it, then cancel"
            return [*self._same(place, who, said, fault=True), self._gr.skip(), edit]
        said = f"turn {edit.turn + 1} edited"
        made, done = self._try_to_decide(
            who, place, seen, None, DecisionKind.EDIT, said, turn=edit.turn, text=text or ""
        )
        if made:
            return [*done, self._gr.Column(visible=False), None]
        return [*done, self._gr.skip(), edit]

    def cancel(self, who: str, place: Place) -> list[Any]:
        """Closes the editor."""
        return [*self._same(place, who, ""), self._gr.Column(visible=False), None]

    def set_domain(
        self, who: str, place: Place, seen: str, edit: OpenEdit | None, domain: str | None
    ) -> list[Any]:
        """Corrects the domain."""
        if not domain:
            return [*self._same(place, who, ""), None]
        said = f"domain: {domain}"
        return [*self._decide(who, place, seen, edit, DecisionKind.DOMAIN, said, domain=domain), None]

    def add_note(self, who: str, place: Place, seen: str, edit: OpenEdit | None, note: str) -> list[Any]:
        """Keeps a note; it is put back if it could not be kept."""
        note = (note or "").strip()
        made, done = self._try_to_decide(who, place, seen, edit, DecisionKind.NOTE, "note kept", text=note)
        return done if made else self._with_text_put_back(place, done, "note", note)

    def undo(self, who: str, place: Place, edit: OpenEdit | None) -> list[Any]:
        """Takes back what the reviewer decided last, and shows its row."""
        if edit:
            return self._editing(place, who, edit)
        try:
            self._review.refresh()
            undone, number = self._review.undo(who)
            there = self._at(self._renewed(place), number)
        except (LlavaMedError, OSError) as error:
            return self._same(place, who, str(error), fault=True)
        said = f"{printable_line(undone.id, 80)}: {undone.kind} undone"
        return self._show(there or place, who, said)

    def preferring(self, choice: str) -> Callable[..., list[Any]]:
        """Keeps a preference and shows the next row."""

        def prefer(who: str, place: Place, seen: str, edit: OpenEdit | None) -> list[Any]:
            if place.view is None or place.view.other is None:
                return self._same(place, who, "there is nothing to compare", fault=True)
            first, second = ("other", "this") if place.swapped else ("this", "other")
            return self._decide(
                who,
                place,
                seen,
                edit,
                DecisionKind.PREFER,
                "preference kept",
                move=True,
                choice={"left": first, "right": second}.get(choice, "tie"),
                other=place.view.other.digest,
                other_dataset=self._review.other_name,
            )

        return prefer

    def _decide(self, *given: Any, **fields: Any) -> list[Any]:
        """As `_try_to_decide`, without whether it was done."""
        return self._try_to_decide(*given, **fields)[1]

    def _try_to_decide(
        self,
        who: str,
        place: Place,
        seen: str,
        edit: OpenEdit | None,
        kind: DecisionKind,
        said: str,
        *,
        move: bool = False,
        **fields: Any,
    ) -> tuple[bool, list[Any]]:
        """Adds a decision, if the browser shows the row that it is about; returns whether it did, and the page."""
        if edit:
            return False, self._editing(place, who, edit)
        if place.view is None:
            return False, self._same(place, who, "there is no row to decide about", fault=True)
        if seen != place.view.mark:
            return False, self._not_seen(place, who)
        try:
            self._review.refresh()
            if place.generation != self._review.generation:
                return False, self._show(place, who)
            made = self._review.decide(place.view, kind, who, **fields)
            if made is None and kind is DecisionKind.EDIT:
                said = "the text is as it was"
        except RowChangedError as error:
            return False, self._show(place, who, str(error), fault=True)
        except (LlavaMedError, OSError) as error:
            return False, self._same(place, who, str(error), fault=True)
        last = place.at + 1 >= len(place.numbers)
        row_id = printable_line(str(place.view.row.get("id")), 80)
        said = f"{row_id}: {said}" + ("; this was the last row" if move and last else "")
        return True, self._show(place, who, said, step=int(move and not last))

    def _chosen(self, wanted: ReviewFilter) -> Place:
        """The first of the rows that are wanted."""
        generation = self._review.generation
        return Place(wanted, self._review.find(wanted), generation)

    def _renewed(self, place: Place) -> Place:
        """The place among the same choice of rows, at the same row if it is there, after the dataset was read anew."""
        if place.generation == self._review.generation:
            return place
        chosen = self._chosen(place.wanted)
        at = min(place.at, max(0, len(chosen.numbers) - 1))
        if place.view:
            with suppress(UsageError, ValueError):  # it is not among them any more
                at = chosen.numbers.index(self._review.number_of(str(place.view.row.get("id") or "")))
        return chosen._replace(at=at)

    def _at(self, place: Place, number: int) -> Place | None:
        """The place of a row, among all rows if it is not among the chosen ones; None if it cannot be compared."""
        if number not in place.numbers:
            place = self._chosen(ReviewFilter())
        return place._replace(at=place.numbers.index(number)) if number in place.numbers else None

    def _show(
        self, place: Place, who: str, said: str = "", *, step: int = 0, fault: bool = False
    ) -> list[Any]:
        """The row so many steps from a place, read anew; the row of the place itself if the dataset has changed."""
        try:
            self._review.refresh()
            if place.generation != self._review.generation:
                place, step, fault = self._renewed(place), 0, True
                said = "the dataset has changed meanwhile and was read again: look at the row again"
            if not place.numbers:
                shown = '<p class="none">No row is like this: choose others below.</p>'
                place = place._replace(at=0, view=None)
                return self._answer(place, shown, who, said, fault=fault)
            place = place._replace(at=place.at + step)
            view = self._review.view(place.numbers[place.at])
        except (LlavaMedError, OSError) as error:
            return self._same(place, who, str(error), fault=True)
        swapped = view.is_swapped(who)
        place = place._replace(view=view.without_images(), swapped=swapped)  # every session keeps its place
        pictures = self._pictures.addresses(view)
        if self._review.compares:
            chosen = self._review.preference(view, who.strip())
            shown = render_comparison(view, pictures, swapped=swapped, chosen=chosen)
        else:
            shown = render_row(view, pictures)
        return self._answer(place, shown, who, said, fault=fault)

    def _same(self, place: Place, who: str, said: str, *, fault: bool = False) -> list[Any]:
        """The place and the row as they are, and what there is to say."""
        return self._answer(place, None, who, said, fault=fault)

    def _answer(self, place: Place, shown: str | None, who: str, said: str, *, fault: bool) -> list[Any]:
        """What the page shows: the row, unless it stays as it is, and the line; both have the number of the answer."""
        number = next(self._answers)
        row = self._gr.skip() if shown is None else f'<div data-answer="{number}">{shown}</div>'
        return [place, row, self._status(place, who, said, fault=fault, answer=number)]

    def _editing(self, place: Place, who: str, edit: OpenEdit) -> list[Any]:
        return self._same(
            place, who, f"turn {edit.turn + 1} is being edited: save or cancel it first", fault=True
        )

    def _not_seen(self, place: Place, who: str) -> list[Any]:
        """The row anew, if the browser shows another one than the last that it was sent."""
        return self._show(place, who, "another row was shown meanwhile: look at this one first", fault=True)

    def _with_text_put_back(self, before: Place, done: list[Any], field: str, text: str) -> list[Any]:
        """An answer after which the page puts a text back into its field, if the row that it is of is still shown.

        The field is no output of the call, as an output loses what is typed while the answer is on its way.
        """
        from markupsafe import Markup

        place, shown, status = done
        if before.view and place.view and before.view.digest == place.view.digest:
            kept = Markup('<span hidden data-field="{}" data-text="{}"></span>').format(field, text)
            status = f"{status}{kept}"  # the status is HTML already: `+` would escape it
        return [place, shown, status]

    def _status(self, place: Place, who: str, said: str, *, fault: bool, answer: int) -> str:
        review = self._review
        at = f"row {place.at + 1:,} of {len(place.numbers):,} chosen" if place.numbers else "no row"
        if review.compares:
            rows, done = review.compared(who.strip())
            progress = f"{done:,} of {counted(rows, 'row')} compared by {printable_line(who, 40)}"
        else:
            parts = [("all", "")]
            domain = place.view.row.get("domain") if place.view else None
            if isinstance(domain, str) and domain:
                parts.append((domain, domain))
            progress = "; ".join(progress_text(name, *review.progress(of)) for name, of in parts)
        problems = [*review.problems()]
        kind = "alert" if fault else "status"
        return filled(
            "status.html.j2",
            at=at,
            progress=progress,
            said=printable_line(said, 400),
            kind=kind,
            answer=answer,
            problems=map(printable_line, problems),
        )


def _whole_number(value: object) -> int:
    """The number in a field, which a program may have sent; 0 for none, or one that is not finite."""
    try:
        return max(0, int(float(str(value or 0))))
    except (ValueError, OverflowError):
        return 0
