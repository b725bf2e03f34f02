"""`validate`: checks a dataset."""

import typer
from rich.console import Console

from llavamed_data.cli.build import AsJson, DatasetArgument
from llavamed_data.console.command_line import print_json


def validate(
    dataset: DatasetArgument,
    as_json: AsJson = False,
) -> None:
    """Check a dataset's files, rows, images and card; exit code 1 on any fault.

    Example: python -m llavamed_data validate llava-med/60k-im
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.validation import validate as run

    with progress_bars(quiet=as_json) as on_progress:
        report = run(dataset, on_progress=on_progress)
    if as_json:
        print_json(report.to_dict())
    else:
        report.render(Console())
    if not report.ok:
        raise typer.Exit(1)
