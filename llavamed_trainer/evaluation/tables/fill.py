"""The paper's tables with our figures put beside: what every output format draws."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from llavamed_trainer.evaluation.tables.collect import Results, Scored
from llavamed_trainer.evaluation.tables.paper_tables import (
    BENCHMARKS,
    NUMBERS,
    PaperRow,
    PaperTable,
    paper_table,
)
from llavamed_trainer.evaluation.tables.variant import Variant

METRIC = {"open": "open_recall", "closed": "closed_accuracy"}
"""The paper's column → the metric it is."""


Marks = tuple[str, ...]
"""Letters of notes below a table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the paper and ours; `marks` are the letters of notes below the table."""

    paper: float | None
    ours: float | None
    marks: Marks = ()
    our_marks: Marks = ()

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.paper is None or self.ours is None else self.ours - self.paper


@dataclass(frozen=True, slots=True)
class Row:
    """Head cells (a label, or the settings) and figures."""

    head: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def is_measured(self) -> bool:
        """Whether there is a figure of ours."""
        return any(cell.ours is not None for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Table:
    """A table to draw.

    Attributes:
        number, title: of the paper's table; no number for results that the paper has no row for.
        head, columns: labels of the head cells and of the figures.
        decimals: of the figures.
        groups: title and rows.
        marked: letter → note; errors of the paper and how our figures came about.
        notes: without a letter.
        examples: Table 12: who, question, answer, truth.
    """

    number: str
    title: str
    head: tuple[str, ...]
    columns: tuple[str, ...]
    decimals: int
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    marked: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    examples: tuple[tuple[str, str, str, str], ...] = ()


class _Notes:
    """Letters for notes, each note once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return _label(self.texts.index(text))

    @property
    def marked(self) -> tuple[tuple[str, str], ...]:
        return tuple((self.mark(text), text) for text in self.texts)


def _label(index: int) -> str:
    """a, b, … z, aa, ab, …"""
    rest, last = divmod(index, len(ascii_lowercase))
    return (_label(rest - 1) if rest else "") + ascii_lowercase[last]


def fill(results: Results) -> list[Table]:
    """Every table, with our figures where there are some, then results that the paper has no row for."""
    tables = [_fill(paper_table(number), results) for number in NUMBERS]
    others = _others(results)
    return [*tables, others] if others else tables


def _fill(paper: PaperTable, results: Results) -> Table:
    if paper.kind == "chinese":
        return _chinese(paper, results)
    notes = _Notes()
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


def _cells(paper: PaperTable, group: str, row: PaperRow, results: Results, notes: _Notes) -> tuple[Cell, ...]:
    marks = {
        column: tuple(
            notes.mark(f"Paper: {each.note}")
            for each in paper.errata
            if each.row == row.label and each.group in (None, group) and column in each.columns
        )
        for column in paper.columns
    }
    ours = dict(_ours(paper, row, results, notes))
    cells = []
    for column, figure in zip(paper.columns, row.paper, strict=True):
        own, how = ours.get(column, (None, ()))
        cells.append(Cell(figure, own, marks=marks[column], our_marks=how))
    return tuple(cells)


def _ours(
    paper: PaperTable, row: PaperRow, results: Results, notes: _Notes
) -> Iterator[tuple[str, tuple[float, Marks]]]:
    """Column → our figure and its marks."""
    if paper.kind == "chat" and row.variant:
        yield from _judged(row.variant, results, paper.columns, notes)
    elif row.variant:
        figures = dict(_benchmarks(row.variant, results, notes, row.variant.seed if row.seeded else None))
        if "average" in figures:
            figures["performance"] = figures["average"]
        yield from figures.items()
    hours = [each for run in row.runs if (each := results.hours_of(run)) is not None]
    if row.runs and len(hours) == len(row.runs):
        yield "hours", (statistics.fmean(hours), ())


def _judged(
    variant: Variant, results: Results, columns: Iterable[str], notes: _Notes
) -> Iterator[tuple[str, tuple[float, Marks]]]:
    runs = [each for each in results.judged if each.variant and each.variant.unseeded() == variant.unseeded()]
    marks = tuple(
        notes.mark(f"Ours: PARTIAL, {run.judged} of {run.asked} questions have a verdict.")
        for run in runs
        if run.judged < run.asked
    )
    for column in columns:
        if figures := [run.relative[column] for run in runs if column in run.relative]:
            yield column, (statistics.fmean(figures), marks)


def _benchmarks(
    variant: Variant, results: Results, notes: _Notes, seed: int | None
) -> Iterator[tuple[str, tuple[float, Marks]]]:
    """Means over the seeds, or the figures of one; the average where all six are there."""
    figures = dict[str, tuple[float, Marks]]()
    for benchmark in BENCHMARKS:
        runs = [
            run
            for run in results.of(variant, benchmark)
            if seed is None or (run.variant is not None and run.variant.seed == seed)
        ]
        for kind, metric in METRIC.items():
            values = [run.metrics()[metric]["value"] for run in runs if metric in run.metrics()]
            if values:
                marks = _how(runs, kind, values, notes)
                figures[f"{benchmark}/{kind}"] = (statistics.fmean(values), marks)
    yield from figures.items()
    if len(figures) == len(BENCHMARKS) * len(METRIC):
        yield "average", (statistics.fmean(value for value, _ in figures.values()), ())


def _how(runs: Sequence[Scored], kind: str, values: Sequence[float], notes: _Notes) -> Marks:
    """Marks of what a reader must know of a figure of ours."""
    marks: list[str] = []
    if len(values) > 1:
        spread = statistics.stdev(values)
        marks.append(notes.mark(f"Ours: the mean of {len(values)} runs, standard deviation {spread:.2f}."))
    if kind == "closed" and any(run.scores["prompt_form"] == "plain" for run in runs):
        marks.append(notes.mark("Ours: closed questions asked without their options."))
    for run in runs:
        if run.scores["partial"]:
            scored, questions = run.scores["scored"], run.scores["questions"]
            marks.append(
                notes.mark(f"Ours: PARTIAL, {scored:,} of {questions:,} questions have a prediction.")
            )
    return tuple(dict.fromkeys(marks))


def _chinese(paper: PaperTable, results: Results) -> Table:
    found = [
        run
        for run in results.scored
        if run.scores["benchmark"] == "slake" and run.metrics("zh") and run.scores["split"] == "test"
    ]
    notes = _Notes()
    for erratum in paper.errata:
        notes.mark(f"Paper: {erratum.note}")
    rows = tuple(
        Row(
            (_name(run), run.scores["prompt_form"]),
            tuple(
                Cell(
                    None,
                    run.metrics("zh").get(metric, {}).get("value"),
                    our_marks=_how([run], kind, [0.0], notes),
                )
                for kind, metric in METRIC.items()
            ),
        )
        for run in found
    )
    printed = [
        (f"{each['model']} (paper)", each["question"], each["answer"], each["truth"])
        for each in paper.examples
    ]
    own = [
        (_name(run), each["question"], each["answer"], each["truth"])
        for run in found
        for each in run.scores["examples"]
    ]
    return Table(
        number=paper.number,
        title=paper.title,
        head=("Model", "Prompt"),
        columns=("SLAKE Open", "SLAKE Closed"),
        decimals=2,
        groups=(("", rows),) if rows else (),
        marked=notes.marked,
        notes=paper.notes,
        examples=tuple(printed + own),
    )


def _others(results: Results) -> Table | None:
    """Results that no row of the paper's tables takes: of models without a variant, of other sets and splits."""
    known = {
        row.variant.unseeded()
        for number in NUMBERS
        for _, rows in paper_table(number).groups
        for row in rows
        if row.variant
    }
    rows = [
        Row(
            (_name(each), each.scores["benchmark"], each.scores["split"], each.scores["prompt_form"]),
            tuple(
                Cell(None, each.scores["metrics"].get(metric, {}).get("value"), our_marks=partial)
                for metric in METRIC.values()
            ),
        )
        for each in results.scored
        if not (each.is_comparable and each.variant and each.variant.unseeded() in known)
        for partial in [("a",) if each.scores["partial"] else ()]
    ]
    if not rows:
        return None
    return Table(
        number="",
        title="Results that the paper has no row for",
        head=("Model", "Benchmark", "Split", "Prompt"),
        columns=("Open", "Closed"),
        decimals=2,
        groups=(("", tuple(rows)),),
        marked=(("a", "PARTIAL: not every question has a prediction."),)
        if any(cell.our_marks for row in rows for cell in row.cells)
        else (),
    )


def _name(run: Scored) -> str:
    return run.variant.label if run.variant else str(run.scores["model"]).rstrip("/").rpartition("/")[2]
