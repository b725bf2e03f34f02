"""What a person sees at the end of a run."""

import itertools

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.pipeline.builds.summary import BuildSummary, Built, SplitCounts, SummaryLine

_RIGHT = {"in", "kept", "time", "rows", "images", "open", "closed"}


def show_build(summary: BuildSummary, console: Console) -> None:
    """Prints what each station did, then each dataset with the line that loads it."""
    show_stations(summary, console)
    datasets = _table("dataset", "rows", "images", "domains")
    for built in summary.datasets:
        domains = " · ".join(f"{domain} {rows:,}" for domain, rows in built.domains.items())
        name = str(built.folder) if built.folder else f"{built.name} (not written)"
        datasets.add_row(Text(name), f"{built.rows:,}", f"{built.images:,}", domains or "-")
    console.print()
    console.print(datasets)
    for built in summary.datasets:
        if built.counts:
            _show_counts(built, console)
    shortages = [f"{built.name}: {built.shortage}" for built in summary.datasets if built.shortage]
    _paragraph(console, [*shortages, *summary.notes])
    loads = [built.load for built in summary.datasets if built.load]
    _paragraph(console, ["from datasets import load_dataset", *loads])


def _show_counts(built: Built, console: Console) -> None:
    """Prints a benchmark's counts, each beside what Table 8 of the paper states."""
    table = _table("split (Table 8)", "images", "rows", "open", "closed")
    for split in built.counts:
        table.add_row(split.split, *(_beside(split, name) for name in ("images", "rows", "open", "closed")))
    console.print()
    console.print(table)


def _beside(split: SplitCounts, name: str) -> str:
    here, paper = getattr(split.built, name), getattr(split.paper, name, None)
    shown = "?" if here is None else f"{here:,}"
    return f"{shown} ({paper:,})" if paper is not None else shown


def show_stations(summary: BuildSummary, console: Console) -> None:
    """Prints one line a station and unit: in, kept, dropped by reason, time."""
    table = _table("station", "in", "kept", "dropped", "time")
    for dataset, steps in itertools.groupby(summary.steps, key=lambda step: step.dataset):
        table.add_section()
        if dataset:
            table.add_row(Text(dataset, style="bold"))
        for step in steps:
            name = f"  {step.name}" if dataset else f"{step.name} ({step.unit})"
            table.add_row(
                Text(name), f"{step.tally.entered:,}", f"{step.tally.kept:,}", _dropped(step), _time(step)
            )
    console.print(table)


def _dropped(step: SummaryLine) -> Text:
    return Text(", ".join(f"{count:,} {reason}" for reason, count in step.dropped.items()) or "-")


def _time(step: SummaryLine) -> str:
    return "done before" if step.manifest.skipped else f"{step.manifest.seconds:.1f} s"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in _RIGHT else "left",
            no_wrap=column not in ("dropped", "domains"),
        )
    return table


def _paragraph(console: Console, lines: list[str]) -> None:
    if lines:
        console.print()
    for line in lines:
        console.print(Text(line), soft_wrap=True)
