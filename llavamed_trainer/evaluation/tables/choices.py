"""The table of results on multiple-choice questions, which the paper does not have."""

from llavamed_trainer.evaluation.tables.collect import Results, ScoredAnswers
from llavamed_trainer.evaluation.tables.notes import Notes, blind, capped, run_name
from llavamed_trainer.evaluation.tables.table import Cell, Row, Table

ACCURACY = "choice_accuracy"
_NOTE = (
    "Accuracy over all multiple-choice questions; an answer that names no choice counts as wrong. Guess: the accuracy "
    "of choosing at random; one letter: of always choosing the letter that is right most often."
)


def choices_table(results: Results) -> Table | None:
    """A row for each file of answers with multiple-choice questions; None if there is none."""
    found = [run for run in results.scored if ACCURACY in run.scores["metrics"]]
    if not found:
        return None
    notes = Notes()
    rows = tuple(_row(run, notes) for run in found)
    return Table(
        number="",
        title="Multiple choice",
        head=("Model", "Benchmark", "Split", "Prompt", "Choices"),
        columns=("Accuracy", "Unreadable", "Guess", "One letter"),
        decimals=2,
        groups=(("", rows),),
        marked=notes.marked,
        notes=(_NOTE,),
    )


def has_choices_alone(run: ScoredAnswers) -> bool:
    """Whether the scores are of multiple-choice questions alone, so that no other table has a place for them."""
    metrics = run.scores["metrics"]
    return ACCURACY in metrics and "open_recall" not in metrics and "closed_accuracy" not in metrics


def _row(run: ScoredAnswers, notes: Notes) -> Row:
    metrics, counts = run.scores["metrics"], run.scores.get("choices", {})
    marks = tuple(map(notes.letter, _remarks(run)))
    names = (str(run.scores[name]) for name in ("benchmark", "split", "prompt_form"))
    head = (run_name(run), *names, "shuffled" if counts.get("shuffled") else "as they are")
    values = (metrics[ACCURACY]["value"], metrics["choice_unreadable"]["value"])
    guessed = (counts.get("chance"), counts.get("best_letter"))
    cells = [Cell(None, value, our_marks=marks) for value in values] + [
        Cell(None, value) for value in guessed
    ]
    return Row(head, tuple(cells))


def _remarks(run: ScoredAnswers) -> list[str]:
    """What limits the result, in sentences."""
    texts = []
    if (limit := run.scores.get("limit")) is not None:
        texts.append(
            f"PARTIAL: the first {limit:,} questions alone were asked (--limit), so this is no result."
        )
    elif run.scores["partial"]:
        texts.append("PARTIAL: not every question has an answer.")
    if run.caps:
        texts.append(capped(run.caps))
    if run.cut_off:
        texts.append("CUT OFF: some answers reached the longest answer allowed.")
    return [*texts, *blind(run.images)]
