"""The table of open answers that an LLM judged: accuracy, exact match beside it, and how far they agree."""

from collections.abc import Iterator, Mapping
from typing import Any

from llavamed_trainer.evaluation.tables.collect import Results, ScoredAnswers
from llavamed_trainer.evaluation.tables.notes import Notes, blind, capped, run_name
from llavamed_trainer.evaluation.tables.table import Cell, Row, Table

_COLUMNS = (
    "Judged right (%)",
    "Exact match (%)",
    "Disputed (%)",
    "Kappa with exact match",
    "Kappa of two judges",
)


def short_answers_table(results: Results) -> Table | None:
    """A row for each judge of each file of answers; None if no open answers were judged."""
    notes = Notes()
    rows = tuple(row for run in results.scored for row in _rows(run, notes))
    if not rows:
        return None
    return Table(
        number="",
        title="Open answers, judged by an LLM",
        head=("Model", "Benchmark", "Split", "Prompt", "Judge"),
        columns=_COLUMNS,
        decimals=2,
        groups=(("", rows),),
        marked=notes.marked,
        notes=(
            "Judged right: the judge takes the answer for the reference's, whichever of them stands first; a verdict "
            "that changes with the order is disputed and counts as wrong. Exact match: strict, on the same questions.",
        ),
    )


def _rows(run: ScoredAnswers, notes: Notes) -> Iterator[Row]:
    """A row for each judge; exact match and the kappas stand in that of the first judge, as they are about it."""
    stated: Mapping[str, Any] = run.scores.get("short_answers") or {}
    for place, judge in enumerate(stated.get("judges", ())):
        accuracy = judge["accuracy"] or {}
        texts = []
        if judge["unjudged"]:
            texts.append(
                f"PARTIAL: {accuracy.get('count', 0):,} of {stated['questions']:,} open questions have a verdict."
            )
        if not stated["both_orders"]:
            texts.append("Judged with the reference first only.")
        if (limit := run.scores.get("limit")) is not None:
            texts.append(f"PARTIAL: the first {limit:,} questions alone were asked (--limit).")
        texts += blind(run.images)
        texts += [capped(run.caps)] if run.caps else []
        texts += ["CUT OFF: some answers reached the longest answer allowed."] if run.cut_off else []
        marks = tuple(map(notes.letter, texts))
        disputed = 100 * judge["disputed"] / accuracy["count"] if accuracy and stated["both_orders"] else None
        kappas = [each["kappa"] for each in stated["agreements"]]
        first = [(stated["exact_match"] or {}).get("value"), *kappas, *[None] * (2 - len(kappas))]
        match, with_match, with_second = first if place == 0 else (None, None, None)
        head = (
            run_name(run),
            *(str(run.scores[name]) for name in ("benchmark", "split", "prompt_form")),
            str(judge["judge"]),
        )
        yield Row(
            head,
            (
                Cell(None, accuracy.get("value"), our_marks=marks),
                *(Cell(None, value) for value in (match, disputed, with_match, with_second)),
            ),
        )
