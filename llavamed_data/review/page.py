"""The page on which people go through a dataset: one conversation at a time, every action by mouse or by one key."""

import getpass
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from llavamed_data.console.printable import counted, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.errors import LlavaMedError
from llavamed_data.pages import (
    LOCAL_HOST,
    RESEARCH_ONLY,
    PageServer,
    check_host,
    import_gradio,
    new_page,
    serve,
)
from llavamed_data.recipes import DOMAINS
from llavamed_data.review.decisions import DecisionKind
from llavamed_data.review.pictures import Pictures
from llavamed_data.review.rendering import (
    filled,
    is_swapped,
    progress_text,
    render_comparison,
    render_row,
    without_images,
)
from llavamed_data.review.session import STATES, ReviewFilter, ReviewSet, RowView

if TYPE_CHECKING:
    import gradio

ANY = "any"

KEYS = (
    "Keys: a accept · r reject with a reason · 1–9 edit a turn · d then 1–9 delete a round · g domain · m note · "
    "u undo · j or → next · k or ← previous · z enlarge the picture, + and - more and less · f which rows · / words · "
    "i go to an id · Esc leave a field · Ctrl+Enter save an edit"
)
COMPARE_KEYS = (
    "Keys: 1 the first is better · 2 neither · 3 the second is better · u undo · j or → next · k or ← previous · "
    "z enlarge the picture, + and - more and less · f which rows · / words · i go to an id · Esc leave a field"
)


class _Place(NamedTuple):
    """Where a reader is: the rows that are gone through, the place in them, and the row that is shown."""

    numbers: Sequence[int]
    at: int
    view: RowView | None


def review_page(review: ReviewSet, pictures: Pictures, reviewer: str = "") -> "gradio.Blocks":
    """The page for a dataset under review.

    Args:
        review: the dataset.
        pictures: its pictures, whose route has to be served beside the page.
        reviewer: the name of who reviews where nobody has to log in; that of the login on this machine by default.
    """
    gr: Any = import_gradio()
    from gradio import EventData, Request

    name = reviewer or _login()
    title = f"Review of {printable_line(review.name, 80)}"
    actions = _Actions(review, pictures, gr)

    def open_page(who: str, request: Request) -> list[Any]:
        return actions.open(who, request.username)

    def on_turn(place: _Place, who: str, event: EventData) -> list[Any]:
        return actions.on_turn(place, who, getattr(event, "action", None), getattr(event, "turn", None))

    page = new_page(title)
    with page:
        place = gr.State(_Place((), 0, None))
        gr.HTML(_markup("<h1>", title, "</h1>", f'<p class="research-only">{RESEARCH_ONLY}</p>'))
        who = gr.Textbox(name, label="Reviewer", elem_id="reviewer", max_lines=1, render=False)
        status = gr.HTML(elem_id="status")
        shown = gr.HTML(elem_id="row", js_on_load=_ON_LOAD)
        if review.compares:
            outputs = [place, shown, status]
            with gr.Row(elem_classes="actions"):
                for choice, label in (
                    ("left", "First is better (1)"),
                    ("tie", "Neither (2)"),
                    ("right", "Second is better (3)"),
                ):
                    button = gr.Button(label, elem_id=choice, min_width=90)
                    _on(button.click, actions.preferring(choice), [place, who], outputs)
                back, undo, forth = _moving_buttons(gr)
        else:
            number = gr.State(-1)
            with gr.Column(visible=False, elem_id="edit") as editor:
                text = gr.Textbox(label="New text of the turn", lines=4, max_lines=20, elem_id="text")
                with gr.Row():
                    save = gr.Button("Save (Ctrl+Enter)", variant="primary", elem_id="save")
                    cancel = gr.Button("Cancel (Esc)", elem_id="cancel")
            with gr.Row(elem_classes="actions"):
                accept = gr.Button("Accept (a)", variant="primary", elem_id="accept", min_width=90)
                reject = gr.Button("Reject (r)", variant="stop", elem_id="reject", min_width=90)
                back, undo, forth = _moving_buttons(gr)
            reason = gr.Textbox(
                label="Reason for a rejection", max_lines=1, elem_id="reason", info="Enter rejects the row"
            )
            outputs = [place, shown, status]
            _on(accept.click, actions.accept, [place, who], outputs)
            for event in (reject.click, reason.submit):
                _on(event, actions.reject, [place, who, reason], [*outputs, reason])
            _on(shown.click, on_turn, [place, who], [*outputs, editor, text, number])
            _on(save.click, actions.save, [place, who, number, text], [*outputs, editor, number])
            _on(cancel.click, actions.cancel, [], [editor, number])
        _on(back.click, actions.moving(-1), [place, who], outputs)
        _on(forth.click, actions.moving(1), [place, who], outputs)
        _on(undo.click, actions.undo, [place, who], outputs)
        if not review.compares:
            with gr.Row():
                domain = gr.Dropdown(list(DOMAINS), label="Correct domain", value=None, elem_id="domain")
                note = gr.Textbox(label="Note", max_lines=1, elem_id="note", info="Enter keeps the note")
            _on(domain.input, actions.set_domain, [place, who, domain], [*outputs, domain])
            _on(note.submit, actions.add_note, [place, who, note], [*outputs, note])
        with gr.Accordion("Which rows", open=False, elem_id="filters"):
            with gr.Row():
                in_domain = gr.Dropdown(
                    [ANY, *review.domains()], value=ANY, label="Domain", elem_id="in-domain"
                )
                state = gr.Dropdown(
                    list(STATES), value="all", label="State", elem_id="state", visible=not review.compares
                )
                flag = gr.Dropdown([ANY, *review.flag_names()], value=ANY, label="Flag", elem_id="flag")
            with gr.Row():
                sample = gr.Number(
                    0, label="Rows at random (0: all)", precision=0, minimum=0, elem_id="sample"
                )
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
            apply = gr.Button("Show these rows", elem_id="apply")
        with gr.Row():
            words = gr.Textbox(
                label="Words", max_lines=1, elem_id="words", info="Enter shows the rows that hold them"
            )
            goto = gr.Textbox(label="Go to an id", max_lines=1, elem_id="goto")
        who.render()
        wanted = [in_domain, state, flag, words, sample, seed]
        for event in (apply.click, words.submit):
            _on(event, actions.choose, [place, who, *wanted], outputs)
        _on(goto.submit, actions.go_to, [place, who, goto], outputs)
        gr.HTML(f'<p class="keys">{COMPARE_KEYS if review.compares else KEYS}</p>')
        _on(page.load, open_page, [who], [*outputs, who])
    return page


def serve_review(
    review: ReviewSet, reviewer: str = "", *, host: str = LOCAL_HOST, port: int = 0
) -> PageServer:
    """Serves the page for a dataset under review.

    Args:
        review: the dataset.
        reviewer: as `review_page` takes it.
        host, port: as `llavamed_data.pages.serve` takes them.

    Raises:
        UsageError: others than this machine could open it and there is no password, or the port is not free.
    """
    check_host(host)
    pictures = Pictures(review)
    server = serve(
        review_page(review, pictures, reviewer),
        host=host,
        port=port,
        script=_file("page.js"),
        style=_file("page.css"),
        routes=[pictures.route()],
    )
    review.check_images_later()
    return server


_ON_LOAD = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) trigger('click', { action: button.dataset.do, turn: Number(button.dataset.turn) });
});
"""


def _moving_buttons(gr: Any) -> list[Any]:
    return [
        gr.Button(label, elem_id=name, min_width=90)
        for name, label in (("previous", "Previous (k)"), ("undo", "Undo (u)"), ("next", "Next (j)"))
    ]


def _on(event: Any, call: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Calls a function at an event, with no queue in between and without a name for programs."""
    event(
        call,
        list(inputs),
        list(outputs),
        queue=False,
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="once",
    )


class _Actions:
    """What the buttons and keys do; each call returns the new place, the row, and a line that says what was done."""

    def __init__(self, review: ReviewSet, pictures: Pictures, gradio_module: Any) -> None:
        self._review, self._pictures, self._gr = review, pictures, gradio_module

    def open(self, who: str, login: str | None) -> list[Any]:
        """Begins at the first row that has no verdict; who has logged in reviews by that name."""
        reviewer = login or who
        self._review.refresh()
        numbers = self._review.find(ReviewFilter())
        start = 0 if self._review.compares else self._review.first_undecided(numbers)
        locked = self._gr.Textbox(value=reviewer, interactive=login is None)
        return [*self._show(_Place(numbers, start, None), reviewer), locked]

    def choose(
        self,
        _: _Place,
        who: str,
        domain: str,
        state: str,
        flag: str,
        words: str,
        sample: float,
        seed: float,
    ) -> list[Any]:
        """Shows other rows."""
        wanted = ReviewFilter(
            "" if domain == ANY else domain,
            state or "all",
            "" if flag == ANY else flag,
            words[:500],
            max(0, int(sample or 0)),
            int(seed or 0),
        )
        self._review.refresh()
        return self._show(_Place(self._review.find(wanted), 0, None), who)

    def go_to(self, place: _Place, who: str, row_id: str) -> list[Any]:
        """Shows the row of an id, among all rows."""
        try:
            number = self._review.number_of(row_id.strip())
        except LlavaMedError as error:
            return self._same(place, who, str(error), fault=True)
        numbers = place.numbers if number in place.numbers else self._review.find(ReviewFilter())
        if number not in numbers:
            return self._same(place, who, f"{row_id} is in one of the two sets alone", fault=True)
        return self._show(_Place(numbers, numbers.index(number), None), who)

    def moving(self, step: int) -> Callable[[_Place, str], list[Any]]:
        """Shows the next row, or the one before."""

        def move(place: _Place, who: str) -> list[Any]:
            if not 0 <= place.at + step < len(place.numbers):
                return self._same(place, who, "this is the last row" if step > 0 else "this is the first row")
            return self._show(place._replace(at=place.at + step), who)

        return move

    def accept(self, place: _Place, who: str) -> list[Any]:
        """Accepts the row and shows the next one."""
        return self._decide(place, who, DecisionKind.ACCEPT, "accepted", move=True)

    def reject(self, place: _Place, who: str, reason: str) -> list[Any]:
        """Rejects the row and shows the next one; the reason stays until the row is rejected."""
        done = self._decide(place, who, DecisionKind.REJECT, "rejected", move=True, reason=reason.strip())
        moved = done[0] is not place
        return [*done, "" if moved else reason]

    def on_turn(self, place: _Place, who: str, action: object, turn: object) -> list[Any]:
        """Opens the editor for a turn, or deletes its round."""
        closed = [self._gr.Column(visible=False), "", -1]
        if place.view is None or not isinstance(turn, int):
            return [*self._same(place, who, ""), *closed]
        if action == "delete":
            return [*self._decide(place, who, DecisionKind.DELETE, "round deleted", turn=turn), *closed]
        turns = turns_of(place.view.row.get("messages"))
        if not 0 <= turn < len(turns):
            return [*self._same(place, who, f"there is no turn {turn + 1}", fault=True), *closed]
        text = place.view.reviewed.review.texts.get(turn, turns[turn][1])
        editor = [
            self._gr.Column(visible=True),
            self._gr.Textbox(value=text, label=f"New text of turn {turn + 1}"),
            turn,
        ]
        return [*self._same(place, who, f"turn {turn + 1} is being edited"), *editor]

    def save(self, place: _Place, who: str, number: int, text: str) -> list[Any]:
        """Keeps an edit; the editor stays open if it cannot be kept."""
        done = self._decide(
            place, who, DecisionKind.EDIT, f"turn {number + 1} edited", turn=number, text=text
        )
        kept = done[0] is not place
        return [*done, self._gr.Column(visible=not kept), -1 if kept else number]

    def cancel(self) -> list[Any]:
        """Closes the editor."""
        return [self._gr.Column(visible=False), -1]

    def set_domain(self, place: _Place, who: str, domain: str | None) -> list[Any]:
        """Corrects the domain."""
        if not domain:
            return [*self._same(place, who, ""), None]
        return [*self._decide(place, who, DecisionKind.DOMAIN, f"domain: {domain}", domain=domain), None]

    def add_note(self, place: _Place, who: str, note: str) -> list[Any]:
        """Keeps a note."""
        done = self._decide(place, who, DecisionKind.NOTE, "note kept", text=note.strip())
        return [*done, "" if done[0] is not place else note]

    def undo(self, place: _Place, who: str) -> list[Any]:
        """Takes back the reviewer's last decision about the row that is shown."""
        return self._decide(place, who, DecisionKind.UNDO, "undone")

    def preferring(self, choice: str) -> Callable[[_Place, str], list[Any]]:
        """Keeps a preference and shows the next row."""

        def prefer(place: _Place, who: str) -> list[Any]:
            if place.view is None or place.view.other is None:
                return self._same(place, who, "there is nothing to compare", fault=True)
            other = place.view.other
            swapped = is_swapped(place.view, who)
            said = {"left": "other" if swapped else "this", "right": "this" if swapped else "other"}.get(
                choice, "tie"
            )
            return self._decide(
                place,
                who,
                DecisionKind.PREFER,
                "preference kept",
                move=True,
                choice=said,
                other=other.digest,
                other_dataset=self._review.other_name,
            )

        return prefer

    def _decide(
        self, place: _Place, who: str, kind: DecisionKind, said: str, *, move: bool = False, **fields: Any
    ) -> list[Any]:
        if place.view is None:
            return self._same(place, who, "there is no row to decide about", fault=True)
        try:
            self._review.refresh()
            made = self._review.decide(place.view, kind, who, **fields)
            if made is None and kind is DecisionKind.EDIT:
                said = "the text is as it was"
        except LlavaMedError as error:
            return self._same(place, who, str(error), fault=True)
        last = place.at + 1 >= len(place.numbers)
        at = place.at + 1 if move and not last else place.at
        row_id = printable_line(str(place.view.row.get("id")), 80)
        return self._show(
            place._replace(at=at),
            who,
            f"{row_id}: {said}" + ("; this was the last row" if move and last else ""),
        )

    def _show(self, place: _Place, who: str, said: str = "") -> list[Any]:
        """The row at a place, read anew."""
        if not place.numbers:
            return [
                _Place((), 0, None),
                '<p class="none">No row is like this: choose others below.</p>',
                self._status(place, who, said),
            ]
        try:
            if self._review.refresh():
                place = _Place(self._review.find(ReviewFilter()), 0, None)
                said = "the dataset has changed on the disk and was read again"
            view = self._review.view(place.numbers[place.at])
        except (LlavaMedError, IndexError, OSError) as error:
            return self._same(place, who, str(error) or "this row is not there any more", fault=True)
        place = place._replace(view=without_images(view))  # which every session keeps
        pictures = self._pictures.addresses(view)
        shown = (
            render_comparison(view, pictures, who) if self._review.compares else render_row(view, pictures)
        )
        return [place, shown, self._status(place, who, said)]

    def _same(self, place: _Place, who: str, said: str, *, fault: bool = False) -> list[Any]:
        """The place and the row as they are, and what there is to say."""
        return [place, self._gr.skip(), self._status(place, who, said, fault=fault)]

    def _status(self, place: _Place, who: str, said: str, *, fault: bool = False) -> str:
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
            problems=map(printable_line, problems),
        )


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "reviewer"


def _markup(*parts: str) -> str:
    from markupsafe import escape

    opening, text, closing, *rest = parts
    return f"{opening}{escape(text)}{closing}{''.join(rest)}"


@cache
def _file(name: str) -> str:
    return files("llavamed_data.review").joinpath("templates", name).read_text(encoding="utf-8")
