"""`stats`: counts of what a dataset holds, as a page and pictures."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.cli.build import AsJson, Quiet
from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import option


def stats(
    datasets: Annotated[
        list[str], typer.Argument(help="A dataset's folder or Hub repository; two are compared.")
    ],
    out: Annotated[
        Path | None,
        option(
            help="Folder for index.html and one PNG for each chart.",
            show_default="DATASET/stats for one folder, else stats/NAMES",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        option(min=1, help="Number of conversations on which texts are measured.", show_default="all"),
    ] = None,
    seed: Annotated[int, option(help="Seed that chooses the sample.")] = 0,
    no_verbs: Annotated[
        bool,
        option("--no-verbs", help="Leave out verbs and nouns, which need a parser and most of the time."),
    ] = False,
    spacy_model: Annotated[str | None, option(help="Parser to use.", show_default="en_core_web_sm")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what a dataset holds: verbs and nouns, domains, turns, lengths, licences, cleaning.

    A report in the dataset's own folder (`stats`) is published with it, and the published card shows its pictures.
    With --json the numbers are printed to standard output and no file is written.

    Example: python -m llavamed_data stats llava-med/60k-im
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.stats import statistics, write_report

    with progress_bars(quiet=quiet or as_json) as on_progress:
        sets = statistics(
            datasets,
            sample=sample,
            seed=seed,
            verbs=not no_verbs,
            spacy_model=spacy_model,
            on_progress=on_progress,
        )
    if as_json:
        print_json([each.to_dict() for each in sets])
        return
    page, *pictures = write_report(sets, out or _default_folder(datasets))
    if not quiet:
        text = Text(f"{page}: open it in a browser; {len(pictures)} pictures beside it")
        Console().print(text, soft_wrap=True)


def _default_folder(datasets: list[str]) -> Path:
    from llavamed_data.stats import REPORT_FOLDER

    if len(datasets) == 1 and Path(datasets[0]).is_dir():
        return Path(datasets[0]) / REPORT_FOLDER
    return Path("stats") / "-".join(Path(name).name for name in datasets)
