"""Puts our results into the paper's tables."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from llavamed_data.recipes import BENCHMARKS
from llavamed_trainer.evaluation.scoring.report import CHINESE_NOTE
from llavamed_trainer.evaluation.tables.choices import choices_table, has_choices_alone
from llavamed_trainer.evaluation.tables.collect import Results, ScoredAnswers
from llavamed_trainer.evaluation.tables.comparable import comparable_scores
from llavamed_trainer.evaluation.tables.looking import headline_gain, looking_table
from llavamed_trainer.evaluation.tables.notes import Notes, blind, capped, run_name
from llavamed_trainer.evaluation.tables.paper_tables import NUMBERS, PaperRow, PaperTable, paper_table
from llavamed_trainer.evaluation.tables.short_answers import short_answers_table
from llavamed_trainer.evaluation.tables.table import Cell, Marks, Row, Table
from llavamed_trainer.evaluation.tables.variant import Variant

METRIC = {"open": "open_recall", "closed": "closed_accuracy"}
"""The paper's kind of question → the metric that it reports."""

OurValue: TypeAlias = tuple[str, tuple[float, Marks]]
"""A column of the table, and our value in it with its marks."""


def fill(results: Results) -> list[Table]:
    """Every table, with our values where there are some; behind the paper's those of results that it has no row for."""
    tables = [_fill(paper_table(number), results) for number in NUMBERS]
    further = (
        choices_table(results),
        _others(results),
        short_answers_table(results),
        comparable_scores(results),
        looking_table(results),
    )
    return [*tables, *(table for table in further if table)]


def _fill(paper: PaperTable, results: Results) -> Table:
    if paper.kind == "chinese":
        return _chinese(paper, results)
    notes = Notes()
    labelled = all(row.labelled for _, rows in paper.groups for row in rows)
    recipes = {row.variant.stage1_variant for _, rows in paper.groups for row in rows if row.variant}
    head = ("",) if labelled else ("Instruct", "Stage 1", "Stage 2", "FT")
    if not labelled and len(recipes) > 1:
        head = (*head, "Stage 1 trains")
    groups = tuple(
        (title, tuple(Row(_head(row, head), _cells(paper, title, row, results, notes)) for row in rows))
        for title, rows in paper.groups
    )
    return Table(
        number=paper.number,
        title=paper.title,
        head=head,
        columns=tuple(paper.columns.values()),
        decimals=1 if paper.kind in ("chat", "hours") else 2,
        groups=groups,
        marked=notes.marked,
        notes=paper.notes,
    )


def _head(row: PaperRow, head: Sequence[str]) -> tuple[str, ...]:
    if len(head) == 1 or row.variant is None:
        return (row.label,)
    variant = row.variant
    settings = (variant.instruct, str(variant.stage1), str(variant.stage2), str(variant.ft))
    return (*settings, variant.stage1_variant if variant.stage1 else "")[: len(head)]


def _cells(paper: PaperTable, group: str, row: PaperRow, results: Results, notes: Notes) -> tuple[Cell, ...]:
    marks = {
        column: tuple(
            notes.letter(f"Paper: {each.note}")
            for each in paper.errata
            if each.row == row.label and each.group in (None, group) and column in each.columns
        )
        for column in paper.columns
    }
    ours = dict(_ours(paper, row, results, notes))
    cells = []
    for column, value in zip(paper.columns, row.paper, strict=True):
        our_value, our_marks = ours.get(column, (None, ()))
        cells.append(Cell(value, our_value, marks[column], our_marks))
    return tuple(cells)


def _ours(paper: PaperTable, row: PaperRow, results: Results, notes: Notes) -> Iterator[OurValue]:
    """Our values for a row of the paper."""
    if paper.kind == "chat" and row.variant:
        yield from _judged(row.variant, results, paper.columns, notes)
    elif row.variant:
        values = dict(_benchmarks(row.variant, results, notes, row.variant.seed if row.seeded else None))
        if "average" in values:
            values["performance"] = values["average"]
        yield from values.items()
    hours = [each for run in row.runs if (each := results.mean_hours(run)) is not None]
    if row.runs and len(hours) == len(row.runs):
        yield "hours", (statistics.fmean(hours), ())


def _judged(variant: Variant, results: Results, columns: Iterable[str], notes: Notes) -> Iterator[OurValue]:
    """Relative scores of Table 1, as means over the seeds."""
    runs = [
        each
        for each in results.judged
        if each.variant
        and not each.caps
        and each.images == "real"
        and each.variant.unseeded() == variant.unseeded()
    ]
    marks = tuple(
        notes.letter(f"Ours: PARTIAL, {run.judged} of {run.asked} questions have a verdict.")
        for run in runs
        if run.judged < run.asked
    )
    for column in columns:
        if values := [run.relative[column] for run in runs if column in run.relative]:
            yield column, (statistics.fmean(values), marks)


def _benchmarks(variant: Variant, results: Results, notes: Notes, seed: int | None) -> Iterator[OurValue]:
    """Scores as means over the seeds, or of one seed; and the average if all six are there."""
    found = dict[str, tuple[float, Marks]]()
    for benchmark in BENCHMARKS:
        runs = [
            run
            for run in results.scored_with(variant, benchmark)
            if seed is None or (run.variant is not None and run.variant.seed == seed)
        ]
        for kind, metric in METRIC.items():
            if values := [run.metrics()[metric]["value"] for run in runs if metric in run.metrics()]:
                marks = _marks(runs, kind, values, notes)
                found[f"{benchmark}/{kind}"] = (statistics.fmean(values), marks)
    yield from found.items()
    if len(found) == len(BENCHMARKS) * len(METRIC):
        marks = tuple(
            dict.fromkeys(mark for _, each in found.values() for mark in each if notes.limits(mark))
        )
        yield "average", (statistics.fmean(value for value, _ in found.values()), marks)


def _marks(runs: Sequence[ScoredAnswers], kind: str, values: Sequence[float], notes: Notes) -> Marks:
    """The letters of notes that say how a value of ours came about."""
    texts = list[str]()
    if len(values) > 1:
        spread = statistics.stdev(values)
        texts.append(f"Ours: the mean of {len(values)} runs, standard deviation {spread:.2f}.")
    if kind == "closed" and any(run.scores["prompt_form"] == "plain" for run in runs):
        texts.append("Ours: closed questions asked without their options.")
    for run in runs:
        if run.scores["partial"]:
            scored, questions = run.scores["scored"], run.scores["questions"]
            texts.append(f"Ours: PARTIAL, {scored:,} of {questions:,} questions have an answer.")
        if run.cut_off:
            texts.append(f"Ours: {run.cut_off:,} answers were cut off at the longest answer allowed.")
    return tuple(dict.fromkeys(notes.letter(text) for text in texts))


def _chinese(paper: PaperTable, results: Results) -> Table:
    """Table 12: scores on the Chinese questions of SLAKE, and examples of answers."""
    found = [
        run
        for run in results.scored
        if run.scores["benchmark"] == "slake"
        and run.metrics("zh")
        and run.scores["split"] == "test"
        and run.is_whole
    ]
    notes = Notes()
    for erratum in paper.errata:
        notes.letter(f"Paper: {erratum.note}")
    rows = tuple(
        Row(
            (run_name(run), run.scores["prompt_form"]),
            tuple(
                Cell(
                    None,
                    run.metrics("zh").get(metric, {}).get("value"),
                    our_marks=_marks([run], kind, [0.0], notes),
                )
                for kind, metric in METRIC.items()
            ),
        )
        for run in found
    )
    examples = [(f"{each['model']} (paper)", each) for each in paper.examples]
    examples += [(run_name(run), each) for run in found for each in run.scores["examples"]]
    return Table(
        number=paper.number,
        title=paper.title,
        head=("Model", "Prompt"),
        columns=("SLAKE Open", "SLAKE Closed"),
        decimals=2,
        groups=(("", rows),) if rows else (),
        marked=notes.marked,
        notes=(*paper.notes, CHINESE_NOTE) if found else paper.notes,
        examples=tuple((name, each["question"], each["answer"], each["truth"]) for name, each in examples),
    )


def _others(results: Results) -> Table | None:
    """Results without a row in the paper's tables: of models without a variant or trained in part, of other sets."""
    notes = Notes()
    rows = [*_other_scores(results, notes), *_other_judgements(results, notes)]
    if not rows:
        return None
    columns: tuple[str, ...] = ("Open", "Closed", "Relative score", "Gain from the image")
    kept = [
        place
        for place in range(len(columns))
        if place < len(METRIC) or any(row.cells[place].ours is not None for row in rows)
    ]
    columns = tuple(columns[place] for place in kept)
    rows = [Row(row.head, tuple(row.cells[place] for place in kept)) for row in rows]
    return Table(
        number="",
        title="Results that the paper has no row for",
        head=("Model", "Benchmark", "Split", "Prompt"),
        columns=columns,
        decimals=2,
        groups=(("", tuple(rows)),),
        marked=notes.marked,
    )


def _other_scores(results: Results, notes: Notes) -> Iterator[Row]:
    known = _known_variants(chat=False)
    for run in results.scored:
        if run.is_comparable and run.variant and run.variant.unseeded() in known:
            continue
        if has_choices_alone(run):
            continue
        if (limit := run.scores.get("limit")) is not None:
            texts = [
                f"PARTIAL: the first {limit:,} questions alone were asked (--limit), so this is no result."
            ]
        else:
            texts = ["PARTIAL: not every question has an answer."] if run.scores["partial"] else []
        texts += blind(run.images)
        texts += [capped(run.caps)] if run.caps else []
        texts += ["CUT OFF: some answers reached the longest answer allowed."] if run.cut_off else []
        marks = tuple(map(notes.letter, texts))
        values = [run.scores["metrics"].get(metric, {}).get("value") for metric in METRIC.values()]
        head = (run_name(run), run.scores["benchmark"], run.scores["split"], run.scores["prompt_form"])
        cells = [Cell(None, value, our_marks=marks) for value in (*values, None)]
        yield Row(head, (*cells, headline_gain(run, notes)))


def _other_judgements(results: Results, notes: Notes) -> Iterator[Row]:
    known = _known_variants(chat=True)
    for run in results.judged:
        if run.variant and not run.caps and run.images == "real" and run.variant.unseeded() in known:
            continue
        texts = ["PARTIAL: not every question has a verdict."] if run.judged < run.asked else []
        texts += blind(run.images)
        texts += [capped(run.caps)] if run.caps else []
        overall = Cell(None, run.relative.get("overall"), our_marks=tuple(map(notes.letter, texts)))
        none = Cell(None, None)
        yield Row((run_name(run), f"judged by {run.judge}", "", ""), (none, none, overall, none))


def _known_variants(*, chat: bool) -> set[Variant]:
    """The configurations that the paper's tables have a row for, of judged or of scored answers."""
    return {
        row.variant.unseeded()
        for paper in map(paper_table, NUMBERS)
        if (paper.kind == "chat") == chat
        for _, rows in paper.groups
        for row in rows
        if row.variant
    }
