"""`export` and `import`: datasets in the formats of other trainers, and back."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.cli.build import DatasetArgument, Quiet
from llavamed_data.console.options import option


class FormatName(StrEnum):
    """The formats of `llavamed_data.exchange.FORMATS`, which is not imported here so that `--help` starts fast."""

    LLAVA = "llava"
    SHAREGPT = "sharegpt"
    WEBDATASET = "webdataset"
    JSONL = "jsonl"


def export(
    dataset: DatasetArgument,
    to: Annotated[FormatName, option("--to", help="Format of the export.")],
    out: Annotated[
        Path | None, option(help="New folder for the export.", show_default="exports/NAME-FORMAT")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a dataset in a format that LLaVA, LLaMA-Factory, ms-swift, axolotl or WebDataset reads.

    The README.md in the folder says how each of them reads it. `import` gives the dataset back with nothing lost.

    Example: python -m llavamed_data export llava-med/60k-im --to sharegpt
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.exchange import export_dataset

    folder = out or Path("exports") / f"{Path(dataset).resolve().name}-{to.value}"
    with progress_bars(quiet=quiet) as on_progress:
        done = export_dataset(dataset, to.value, folder, on_progress=on_progress)
    if not quiet:
        rows = ", ".join(f"{count:,} rows of {split}" for split, count in done.rows.items())
        _print_line(f"{folder}: {rows}, {done.images:,} images; its README.md says how trainers read them")


def import_(
    path: Annotated[Path, typer.Argument(help="An export's folder, or a file or folder in the format.")],
    form: Annotated[FormatName, option("--from", help="Format of the files.")],
    out: Annotated[Path, option(help="New folder for the dataset.")],
    images: Annotated[
        Path | None,
        option(help="Folder that the images' names are relative to.", show_default="the format's own"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make a dataset of what `export` wrote, or of other files in the same format.

    Example: python -m llavamed_data import llava_instruct.json --from llava --images images --out llava-med/mine
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.exchange import import_dataset

    with progress_bars(quiet=quiet) as on_progress:
        done = import_dataset(path, form.value, out, images=images, on_progress=on_progress)
    if quiet:
        return
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in done.tally.dropped.items())
    _print_line(
        f"{out}: {done.tally.kept:,} of {done.tally.entered:,} rows{f'; dropped: {dropped}' if dropped else ''}"
    )
    if done.dropped:
        _print_line(f"{done.dropped} lists what was dropped, and why")
    if done.exported is not None and done.exported != done.tally.entered:
        _print_line(
            f"the export had {done.exported:,} rows when it was made, {done.tally.entered:,} are there now"
        )
    if done.system:
        _print_line(f"the system text of {done.system:,} rows now stands before their first question")
    for name, count in done.ignored.most_common(10):
        _print_line(f"the field {name!a}, which {count:,} rows have, was not kept")


def _print_line(line: str) -> None:
    Console().print(Text(line), soft_wrap=True)
