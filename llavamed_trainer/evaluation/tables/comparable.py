"""The table of comparable scores: one file of answers by several scorers, their main metrics side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from llavamed_trainer.evaluation.tables.collect import Results, ScoredAnswers
from llavamed_trainer.evaluation.tables.notes import Notes, blind, capped, run_name
from llavamed_trainer.evaluation.tables.table import Cell, Row, Table

_BASELINES = {"majority": "majority answer", "yes": "always yes", "no": "always no"}


def comparable_scores(results: Results) -> Table | None:
    """The table, from the results that `score --as` wrote; None if there are none.

    Each benchmark is a group of rows, whose last ones are answers without looking.
    """
    runs = [run for run in results.scored if run.scores.get("scorers")]
    if not runs:
        return None
    scorers = dict.fromkeys(name for run in runs for name in run.scores["scorers"])
    columns = {
        (scorer, metric): f"{scorer}: {stated['label']}"
        for scorer in scorers
        for run in runs
        for metric, stated in _metrics(run, scorer).items()
        if stated["main"]
    }
    notes = Notes()
    groups = dict[str, list[ScoredAnswers]]()
    for run in runs:
        scores = run.scores
        languages = "" if scores["languages"] == ["en"] else f", {' and '.join(scores['languages'])}"
        groups.setdefault(f"{scores['benchmark']} ({scores['split']}{languages})", []).append(run)
    rows = tuple(
        (title, tuple([_row(run, columns, notes) for run in found] + _baseline_rows(found, columns)))
        for title, found in groups.items()
    )
    return Table(
        number="",
        title="Comparable scores",
        head=("Model", "Prompt"),
        columns=tuple(columns.values()),
        decimals=2,
        groups=rows,
        marked=notes.marked,
        notes=_notes(runs, list(scorers)),
    )


def _metrics(run: ScoredAnswers, scorer: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run.scores["scorers"].get(scorer, {}).get("metrics", {})
    return found


def _row(run: ScoredAnswers, columns: Mapping[tuple[str, str], str], notes: Notes) -> Row:
    texts = list[str]()
    if run.scores["partial"]:
        texts.append(
            f"PARTIAL: {run.scores['scored']:,} of {run.scores['questions']:,} questions have an answer."
        )
    if (limit := run.scores.get("limit")) is not None:
        texts.append(
            f"PARTIAL: the first {limit:,} questions alone were asked (--limit), so this is no result."
        )
    if run.caps:
        texts.append(capped(run.caps))
    texts.extend(blind(run.images))
    if run.cut_off:
        texts.append(f"CUT OFF: {run.cut_off:,} answers reached the longest answer allowed.")
    for scorer in dict.fromkeys(scorer for scorer, _ in columns):
        for why, count in run.scores["scorers"].get(scorer, {}).get("stops", {}).items():
            texts.append(f"{scorer} stops at {count:,} of these answers, which count 0 ({why}).")
    marks = tuple(map(notes.letter, texts))
    cells = (
        Cell(None, _metrics(run, scorer).get(metric, {}).get("value"), our_marks=marks)
        for scorer, metric in columns
    )
    return Row((run_name(run), run.scores["prompt_form"]), tuple(cells))


def _baseline_rows(runs: Sequence[ScoredAnswers], columns: Mapping[tuple[str, str], str]) -> list[Row]:
    """What answers without looking score: they are the same for all models that answered every question."""
    whole = sorted(runs, key=lambda run: bool(run.scores["partial"]))
    rows = []
    for baseline, name in _BASELINES.items():
        cells = []
        for scorer, metric in columns:
            stated = (
                _metrics(run, scorer).get(metric, {}).get("baselines", {}).get(baseline) for run in whole
            )
            cells.append(Cell(None, next((value for value in stated if value is not None), None)))
        rows.append(Row((name, ""), tuple(cells)))
    return [row for row in rows if row.is_measured]


def _notes(runs: Sequence[ScoredAnswers], scorers: Sequence[str]) -> tuple[str, ...]:
    """Whose rules these are, and what the rows without a model are."""
    notes = list[str]()
    for scorer in scorers:
        rules = dict[str, None]()
        for run in runs:
            stated = run.scores["scorers"].get(scorer, {})
            if rule := stated.get("rule"):
                rules[
                    f"{scorer} on {run.scores['benchmark']}: {rule['kit']}, {rule['version']}; closed questions: "
                    f"{rule['closed']}; what is matched: {rule['matched']}."
                ] = None
            elif "unscored" in stated:
                why = str(stated["unscored"]).partition(";")[0]
                rules[f"{scorer} on {run.scores['benchmark']}: {why}."] = None
        notes.extend(rules)
    return (
        *notes,
        "Majority answer: the most common reference of each kind of question and language, as the answer to all of "
        "these; always yes, always no: that word in their language as the answer to all closed questions.",
    )
