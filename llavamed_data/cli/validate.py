"""`validate`: checks a dataset."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.cli.build import AsJson


def validate(
    dataset: Annotated[str, typer.Argument(help="A dataset's folder, or a Hub repository (ORG/NAME).")],
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
        json.dump(report.to_dict(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        report.render(Console())
    if not report.ok:
        raise typer.Exit(1)
