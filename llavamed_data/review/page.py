"""The page on which people go through a dataset: one conversation at a time, every action by mouse or by one key."""

import getpass
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llavamed_data.console.printable import printable_line
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
from llavamed_data.review.actions import ANY, Place, ReviewActions
from llavamed_data.review.pictures import Pictures
from llavamed_data.review.review_set import ReviewSet
from llavamed_data.review.row_index import STATES

if TYPE_CHECKING:
    import gradio

KEYS = (
    "Keys: a accept · r reject with a reason · 1–9 edit a turn · d then 1–9 delete a round · g domain · m note · "
    "u undo · j or → next · k or ← previous · z enlarge the picture, + and - more and less · f which rows · / words · "
    "i go to an id · Esc leave a field · Ctrl+Enter save an edit"
)
COMPARE_KEYS = (
    "Keys: 1 the first is better · 2 neither · 3 the second is better · u undo · j or → next · k or ← previous · "
    "z enlarge the picture, + and - more and less · f which rows · / words · i go to an id · Esc leave a field"
)


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
    actions = ReviewActions(review, pictures, gr)

    def on(
        event: Any,
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        script: str | None = None,
        *,
        on_turn: bool = False,
    ) -> None:
        """Calls a function at an event, with no queue in between; the first of its inputs is the reviewer's name."""

        def called(request: Request, who: str, *given: Any) -> Any:
            return call(_reviewer(who, request.username), *given)

        def called_on_turn(request: Request, data: EventData, who: str, *given: Any) -> Any:
            action, turn = getattr(data, "action", None), getattr(data, "turn", None)
            return call(_reviewer(who, request.username), *given, action, turn)

        event(
            called_on_turn if on_turn else called,
            [who, *inputs],
            list(outputs),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="once",
            js=script,
        )

    def open_page(request: Request, who: str) -> list[Any]:
        return actions.open(_reviewer(who, request.username), is_login=request.username is not None)

    page = new_page(title)
    with page:
        place, edit = gr.State(Place()), gr.State(None)
        seen = gr.Textbox(visible=False)  # the mark of the row that the browser shows
        gr.HTML(_markup("<h1>", title, "</h1>", f'<p class="research-only">{RESEARCH_ONLY}</p>'))
        who = gr.Textbox(name, label="Reviewer", elem_id="reviewer", max_lines=1)
        status = gr.HTML(elem_id="status")
        shown = gr.HTML(elem_id="row", js_on_load=_ON_LOAD)
        outputs, deciding = [place, shown, status], [place, seen, edit]
        if review.compares:
            with gr.Row(elem_classes="actions"):
                for choice, label in (
                    ("left", "First is better (1)"),
                    ("tie", "Neither (2)"),
                    ("right", "Second is better (3)"),
                ):
                    button = gr.Button(label, elem_id=choice, min_width=90)
                    on(button.click, actions.preferring(choice), deciding, outputs, _SEEN)
                back, undo, forth = _moving_buttons(gr)
        else:
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
            on(accept.click, actions.accept, deciding, outputs, _SEEN)
            for event in (reject.click, reason.submit):
                on(event, actions.reject, [*deciding, reason], outputs, _taken("reason"))
            on(shown.click, actions.on_turn, deciding, [*outputs, editor, text, edit], _SEEN, on_turn=True)
            on(save.click, actions.save, [*deciding, text], [*outputs, editor, edit], _SEEN)
            on(cancel.click, actions.cancel, [place], [*outputs, editor, edit])
        on(back.click, actions.moving(-1), [place, edit], outputs)
        on(forth.click, actions.moving(1), [place, edit], outputs)
        on(undo.click, actions.undo, [place, edit], outputs)
        if not review.compares:
            with gr.Row():
                domain = gr.Dropdown(list(DOMAINS), label="Correct domain", value=None, elem_id="domain")
                note = gr.Textbox(label="Note", max_lines=1, elem_id="note", info="Enter keeps the note")
            on(domain.input, actions.set_domain, [*deciding, domain], [*outputs, domain], _SEEN)
            on(note.submit, actions.add_note, [*deciding, note], outputs, _taken("note"))
        with gr.Accordion("Which rows", open=False, elem_id="filters"):
            with gr.Row():
                in_domain = gr.Dropdown(
                    [ANY, *review.domains()], value=ANY, label="Domain", elem_id="in-domain"
                )
                state = gr.Dropdown(
                    list(STATES), value="all", label="State", elem_id="state", visible=not review.compares
                )
                flag = gr.Dropdown(
                    [ANY, *review.flag_names()],
                    value=ANY,
                    label="Flag",
                    elem_id="flag",
                    visible=not review.compares,
                )
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
        wanted = [in_domain, state, flag, words, sample, seed]
        for event in (apply.click, words.submit):
            on(event, actions.choose, [place, edit, *wanted], outputs)
        on(goto.submit, actions.go_to, [place, edit, goto], outputs)
        gr.HTML(f'<p class="keys">{COMPARE_KEYS if review.compares else KEYS}</p>')
        page.load(
            open_page,
            who,
            [*outputs, who],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
            js=_REMEMBERED_NAME,
        )
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


_SEEN = """
(who, place, seen, ...rest) => [who, place, document.querySelector('.review-row')?.dataset.shown ?? '', ...rest]
"""
"""Tells the server which row the browser shows, so that nothing is decided about a row that was not seen."""

_REMEMBERED_NAME = """
(given) => {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem('llavamed-reviewer')); } catch { /* nothing is kept here */ }
  document.getElementById('reviewer').dataset.given = given;
  return [kept && kept.given === given && typeof kept.name === 'string' ? kept.name : given];
}
"""
"""The name that was written here the last time, if the page proposed the same name then."""


def _taken(field: str) -> str:
    """JavaScript that sends the text of a field as page.js took it at the press, with the row that it is about.

    It empties the field, unless the next text has been begun there.
    """
    return f"""
(who, place, seen, edit, text) => {{
  const box = document.querySelector('#{field} textarea, #{field} input');
  const {{ taken, of }} = box.dataset;
  if (box.value === taken) {{
    box.value = '';
    box.dispatchEvent(new Event('input', {{ bubbles: true }}));
  }}
  box.dataset.shown = '';
  return [who, place, of, edit, taken];
}}
"""


def _reviewer(who: object, login: str | None) -> str:
    """Who decides: who has logged in, or the name in the field where nobody has to."""
    return str(who or "") if login is None else login


def _moving_buttons(gr: Any) -> list[Any]:
    return [
        gr.Button(label, elem_id=name, min_width=90)
        for name, label in (("previous", "Previous (k)"), ("undo", "Undo (u)"), ("next", "Next (j)"))
    ]


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
