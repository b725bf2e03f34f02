"""The table that says of each model whether it looks at the image."""

from collections.abc import Iterator, Mapping
from typing import Any

from llavamed_trainer.evaluation.scoring import MEASURES
from llavamed_trainer.evaluation.scoring.report import LOOKING_NOTE
from llavamed_trainer.evaluation.tables.collect import Results, ScoredAnswers
from llavamed_trainer.evaluation.tables.notes import Notes, capped, run_name
from llavamed_trainer.evaluation.tables.table import Cell, Row, Table

TITLE = "Does it look at the image?"

_WORDS = {"closed": "closed questions", "choice": "multiple choice", "open": "open questions"}

_COLUMNS = ("With", "Without", "Stays", "Gain", "Most", "Yes", "No")


def looking_table(results: Results) -> Table | None:
    """What the image adds to the answers of each model, over all questions of a kind; None if no result states it.

    The column "Images" says what the model was shown where it did not see the questions' own.
    """
    notes = Notes()
    rows = dict[object, Row]()
    for run in results.scored:
        for row in _rows(run, notes):
            # the same two files may have been compared in either order
            rows.setdefault((run.variant, run.scores["model"], row.head), row)
    if not rows:
        return None
    return Table(
        number="",
        title=TITLE,
        head=("Model", "Benchmark", "Split", "Prompt", "Images", "Questions"),
        columns=_COLUMNS,
        decimals=2,
        groups=(("", tuple(rows.values())),),
        marked=notes.marked,
        notes=(LOOKING_NOTE,),
    )


def headline_gain(run: ScoredAnswers, notes: Notes) -> Cell:
    """What the image adds to the first kind of question that there is: closed, multiple choice or open."""
    overall = run.scores.get("looking", {}).get("overall", {})
    kind = next((each for each in MEASURES if each in overall), None)
    if kind is None:
        return Cell(None, None)
    mark = notes.letter(f"Gain from the image: of {_WORDS[kind]}, see “{TITLE}”.")
    return _gain_cell(overall[kind], (mark,))


def _rows(run: ScoredAnswers, notes: Notes) -> Iterator[Row]:
    looking: Mapping[str, Any] = run.scores.get("looking", {})
    marks = tuple(notes.letter(text) for text in _limits(run, looking)) if looking else ()
    for kind, each in looking.get("overall", {}).items():
        languages = ", ".join(run.scores["languages"])
        benchmark = run.scores["benchmark"] + (f" ({languages})" if languages != "en" else "")
        names = (run_name(run), benchmark, run.scores["split"], run.scores["prompt_form"], looking["images"])
        yield Row(
            (*map(str, names), f"{_WORDS[kind]}, {each['gain']['count']:,}"),
            (
                Cell(None, each["with_image"], our_marks=marks),
                Cell(None, each["without_image"], our_marks=marks),
                Cell(None, each["kept"]),
                _gain_cell(each, marks),
                Cell(None, each["majority"], behind=f"“{each['majority_answer']}”"),
                Cell(None, each["always_yes"]),
                Cell(None, each["always_no"]),
            ),
        )


def _limits(run: ScoredAnswers, looking: Mapping[str, Any]) -> Iterator[str]:
    if looking["partial"]:
        answered = looking["questions"] - looking["missing"]
        yield f"PARTIAL: {answered:,} of {looking['questions']:,} questions were answered both times."
    if run.scores.get("limit") is not None:
        yield "PARTIAL: the first questions alone were asked (--limit), so this is no result."
    if run.caps:
        yield capped(run.caps)


def _gain_cell(stated: Mapping[str, Any], marks: tuple[str, ...]) -> Cell:
    gain = stated["gain"]
    p = f"{gain['p']:.4f}" if gain["p"] >= 1e-4 else "<0.0001"
    return Cell(
        None, gain["value"], our_marks=marks, behind=f"({gain['low']:.2f} – {gain['high']:.2f}, p {p})"
    )
