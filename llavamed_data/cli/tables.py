"""The tables that a build prints at its end."""

import itertools

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.pipeline.builds.summary import BuildSummary, Built, SplitCounts

_RIGHT_ALIGNED = {"in", "kept", "time", "rows", "images", "open", "closed"}


def show_build(summary: BuildSummary, console: Console) -> None:
    """Prints what each step did, then each dataset with the line that loads it."""
    show_steps(summary, console)
    datasets = _table("dataset", "rows", "images", "domains")
    for built in summary.datasets:
        domains = " · ".join(f"{domain} {rows:,}" for domain, rows in built.domains.items())
        name = str(built.folder) if built.folder else f"{built.name} (not written)"
        datasets.add_row(Text(name), f"{built.rows:,}", f"{built.images:,}", Text(domains or "-"))
    console.print()
    console.print(datasets)
    for built in summary.datasets:
        if built.counts:
            _show_benchmark(built, console)
    shortages = [f"{built.name}: {built.shortage}" for built in summary.datasets if built.shortage]
    _paragraph(console, [*shortages, *summary.notes])
    loads = [built.load for built in summary.datasets if built.load]
    _paragraph(console, ["from datasets import load_dataset", *loads])


def _show_benchmark(built: Built, console: Console) -> None:
    """Prints a benchmark's counts, each beside what Table 8 of the paper states."""
    table = _table("split (Table 8)", "images", "rows", "open", "closed")
    for split in built.counts:
        table.add_row(
            split.split, *(_built_and_paper(split, name) for name in ("images", "rows", "open", "closed"))
        )
    console.print()
    console.print(table)


def _built_and_paper(split: SplitCounts, name: str) -> str:
    """`313 (313)`: what was built, and in brackets what the paper states, if it does."""
    built, paper = getattr(split.built, name), getattr(split.paper, name, None)
    shown = "?" if built is None else f"{built:,}"
    return f"{shown} ({paper:,})" if paper is not None else shown


def show_steps(summary: BuildSummary, console: Console) -> None:
    """Prints a line for each step and unit: how many came in, how many were kept or dropped and why, and the time."""
    table = _table("step", "in", "kept", "dropped", "time")
    for dataset, steps in itertools.groupby(summary.steps, key=lambda step: step.dataset):
        table.add_section()
        if dataset:
            table.add_row(Text(dataset, style="bold"))
        for step in steps:
            name = f"  {step.name}" if dataset else f"{step.name} ({step.unit})"
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in step.dropped.items()) or "-"
            time = "done before" if step.manifest.skipped else f"{step.manifest.seconds:.1f} s"
            counts = f"{step.tally.entered:,}", f"{step.tally.kept:,}"
            table.add_row(Text(name), *counts, Text(dropped), time)
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in _RIGHT_ALIGNED else "left",
            no_wrap=column not in ("dropped", "domains"),
        )
    return table


def _paragraph(console: Console, lines: list[str]) -> None:
    if lines:
        console.print()
    for line in lines:
        console.print(Text(line), soft_wrap=True)
