"""The command `review`: people go through a dataset in a browser and decide about its rows."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.console.command_line import print_json
from llavamed_data.console.printable import counted
from llavamed_data.errors import UsageError


def review(
    dataset: Annotated[str, typer.Argument(help="A dataset's folder, or a Hub repository (ORG/NAME).")],
    decisions: Annotated[
        Path | None,
        typer.Option(
            help="File that decisions are added to; build and publish follow it.",
            show_default="reviews/NAME.jsonl",
        ),
    ] = None,
    flags: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of flags to show, as clean, validate and build write it; may be given many times.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="Another dataset of the same figures: compare conversations, blind.", show_default=False
        ),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Your name, which decisions carry.", show_default="your login")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Print how far the review is and how far reviewers agree.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="LLAVAMED_REVIEW_JSON", help="With --report: print it as JSON.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(help="Address to serve at; others than this machine need LLAVAMED_PAGE_PASSWORD."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to serve at.", show_default="a free one")
    ] = None,
) -> None:
    """Go through a dataset in a browser: accept, reject and edit its rows, or compare two datasets.

    Example: python -m llavamed_data review llava-med/60k-im
    """
    from llavamed_data.dataset.reader import Dataset
    from llavamed_data.review.agreement import preference_report, review_report
    from llavamed_data.review.decision_file import DecisionFile
    from llavamed_data.review.flags import read_flags

    if as_json and not report:
        raise UsageError("--json does nothing without --report: add it, or leave --json out")
    raised = read_flags(flags or [])
    file = decisions or Path("reviews") / f"{Dataset(dataset).bare_name}.jsonl"
    console = Console(highlight=False)
    if report:
        made = DecisionFile(file, must_exist=True)
        found = (
            preference_report(Dataset(dataset), Dataset(compare), made)
            if compare
            else review_report(Dataset(dataset), made, raised)
        )
        if as_json:
            print_json(found.to_dict())
        else:
            found.render(console)
        return
    from llavamed_data.pages import check_host
    from llavamed_data.review.page import serve_review
    from llavamed_data.review.review_set import ReviewSet

    check_host(host)
    opened = ReviewSet(dataset, file, flags=raised, compare=compare)
    server = serve_review(opened, reviewer or "", host=host, port=port or 0)
    said = f"{server.address} shows {counted(len(opened), 'row')} of {opened.name}; decisions: {file}; stop with Ctrl-C"
    console.print(Text(said), soft_wrap=True)
    server.wait()
