"""What a person sees at the end of a run."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.pipeline.summary import BuildSummary


def show_build(summary: BuildSummary, console: Console) -> None:
    """Prints what each station did, then each dataset with the line that loads it."""
    show_stations(summary, console)
    datasets = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("dataset", "rows", "images", "domains"):
        datasets.add_column(column, justify="right" if column in ("rows", "images") else "left")
    for built in summary.datasets:
        domains = " ".join(f"{domain} {rows:,}" for domain, rows in built.domains.items())
        name = str(built.folder) if built.folder else f"{built.name} (not written)"
        datasets.add_row(Text(name), f"{built.rows:,}", f"{built.images:,}", domains or "-")
    console.print(datasets)
    for built in summary.datasets:
        if built.shortage:
            _line(console, f"{built.name}: {built.shortage}")
    for note in summary.notes:
        _line(console, note)
    _line(console, "\nfrom datasets import load_dataset")
    for built in summary.datasets:
        if built.load:
            _line(console, built.load)


def show_stations(summary: BuildSummary, console: Console) -> None:
    """Prints one line a station and unit: in, kept, dropped by reason, time."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("station", "in", "kept", "dropped", "time"):
        table.add_column(column, justify="right" if column in ("in", "kept", "time") else "left")
    for step in summary.steps:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in step.tally.dropped.items())
        time = "done before" if step.manifest.skipped else f"{step.manifest.seconds:.1f} s"
        unit = f"{step.station} ({step.unit})"
        table.add_row(
            Text(unit), f"{step.tally.entered:,}", f"{step.tally.kept:,}", Text(dropped or "-"), time
        )
    console.print(table)


def _line(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
