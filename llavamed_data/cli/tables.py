"""The tables that a build prints at its end."""

import itertools
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hub_cards import COUNTED, COUNTED_CHOICES
from llavamed_data.console.printable import counted
from llavamed_data.pipeline.builds.summary import BuildSummary, Built, SplitCounts

_RIGHT_ALIGNED = {"in", "kept", "time", "rows", "images", "open", "closed", "multiple choice"}


def show_build(summary: BuildSummary, console: Console) -> None:
    """Prints what each step did, then each dataset with the Python that loads it."""
    show_steps(summary, console)
    console.print()
    _show_datasets(summary.datasets, console)
    for built in summary.datasets:
        if built.counts:
            _show_benchmark(built, console)
    shortages = [f"{built.name}: {built.shortage}" for built in summary.datasets if built.shortage]
    _paragraph(console, [*shortages, *summary.notes])
    loaded = [built for built in summary.datasets if built.load]
    here = any(built.folder and not built.folder.is_absolute() for built in loaded)
    note = ["# in this folder; elsewhere the same call asks the Hub"] if here else []
    _paragraph(console, [*note, "from datasets import load_dataset", *(built.load for built in loaded)])


def _show_datasets(datasets: Sequence[Built], console: Console) -> None:
    rows = []
    for built in datasets:
        folder = str(built.folder) if built.folder else f"{built.name} (not written)"
        domains = [f"{domain} {rows:,}" for domain, rows in built.domains.items()]
        rows.append((folder, f"{built.rows:,}", f"{built.images:,}", domains))
    labels = [Text(row[0]) for row in rows]
    columns = ("dataset", "rows", "images", "domains")
    room = _room_for(_table(*columns), 3, [(*row[:3], "") for row in rows], console)
    if all(len(domain) <= room for row in rows for domain in row[3]):
        table = _table(*columns)
        for label, row in zip(labels, rows, strict=True):
            table.add_row(label, row[1], row[2], Text(_filled(row[3], " · ", room)))
        console.print(table)
        return
    for label, row, built in zip(labels, rows, datasets, strict=True):
        console.print(label, soft_wrap=True)
        counts = f"{counted(built.rows, 'row')}, {counted(built.images, 'image')}"
        lines = [counts, *_filled(row[3], " · ", console.width - 2).splitlines()]
        _paragraph(console, [f"  {line}" for line in lines if line != "-"], apart=False)


def _show_benchmark(built: Built, console: Console) -> None:
    """Prints a benchmark's counts, each beside what Table 8 of the paper, or the benchmark's authors, state."""
    of_choices = any(split.built.choices is not None for split in built.counts)
    columns = COUNTED_CHOICES if of_choices else COUNTED
    table = _table("split (published)" if of_choices else "split (Table 8)", *columns.values())
    for split in built.counts:
        table.add_row(split.split, *(_built_and_paper(split, name) for name in columns))
    console.print()
    console.print(table)


def _built_and_paper(split: SplitCounts, name: str) -> str:
    """`313 (313)`: what was built, and in brackets what the paper states, if it does."""
    built, paper = getattr(split.built, name), getattr(split.paper, name, None)
    shown = "?" if built is None else f"{built:,}"
    return f"{shown} ({paper:,})" if paper is not None else shown


def show_steps(summary: BuildSummary, console: Console) -> None:
    """Prints for each step and unit how many came in, how many were kept or dropped and why, and the time.

    It is a table where the console is wide enough for one reason a line, else a list.
    """
    rows: list[tuple[str, str, str, str, list[str]]] = []
    for dataset, steps in itertools.groupby(summary.steps, key=lambda step: step.dataset):
        if dataset:
            rows.append((dataset, "", "", "", []))
        for step in steps:
            name = f"  {step.name}" if dataset else f"{step.name} ({step.unit})"
            time = "done before" if step.manifest.skipped else f"{step.manifest.seconds:.1f} s"
            reasons = [f"{count:,} {words}" for words, count in step.dropped_in_words.items()]
            rows.append((name, f"{step.tally.entered:,}", f"{step.tally.kept:,}", time, reasons))
    columns = ("step", "in", "kept", "dropped", "time")
    room = _room_for(_table(*columns), 3, [(*row[:3], "", row[3]) for row in rows], console)
    if any(len(reason) > room for row in rows for reason in row[4]):
        _list_steps(rows, console)
        return
    table = _table(*columns)
    for name, entered, kept, time, reasons in rows:
        if not time:
            table.add_section()
        cells = (entered, kept, Text(_filled(reasons, ", ", room) if time else ""), time)
        table.add_row(Text(name, style="" if time else "bold"), *cells)
    console.print(table)


def _list_steps(rows: Sequence[tuple[str, str, str, str, list[str]]], console: Console) -> None:
    for name, entered, kept, time, reasons in rows:
        heading = f"{name}: {entered} in, {kept} kept, {time}" if time else f"\n{name}"
        _paragraph(console, [heading, *(f"      {reason}" for reason in reasons)], apart=False)


def _room_for(table: Table, column: int, rows: Sequence[Sequence[str]], console: Console) -> int:
    """The characters that are left for a column beside the others, at least those of its heading.

    Args:
        table: without rows.
        column: number of the column.
        rows: their cells; those of the column are empty.
        console: what the table is printed on.
    """
    for row in rows:
        table.add_row(*map(Text, row))
    heading = len(str(table.columns[column].header))
    return max(heading, console.width - Measurement.get(console, console.options, table).maximum + heading)


def _filled(items: Sequence[str], between: str, width: int) -> str:
    """The items one after another, in lines of at most `width` characters that break between items alone."""
    lines = [""]
    for place, item in enumerate(items):
        item_and_end = item + (between.rstrip() if place < len(items) - 1 else "")
        joined = f"{lines[-1]} {item_and_end}" if lines[-1] else item_and_end
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(item_and_end)
    return "\n".join(lines) or "-"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in _RIGHT_ALIGNED else "left",
            no_wrap=True,
        )
    return table


def _paragraph(console: Console, lines: Sequence[str], *, apart: bool = True) -> None:
    if lines and apart:
        console.print()
    for line in lines:
        console.print(Text(line), soft_wrap=True)
