"""The command `browse`: the rows of a dataset in a browser."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.console.printable import printable_line
from llavamed_data.errors import UsageError


def browse(
    dataset: Annotated[str, typer.Argument(help="A dataset's folder, or a Hub repository (ORG/NAME).")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write one self-contained page instead of serving.", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port on this machine.", show_default="a free one")
    ] = None,
    words: Annotated[
        str | None, typer.Option(help="With --out: only rows that hold these words.", show_default="all")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="With --out: only rows of this domain.", show_default="all")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --out: number of rows at most.", show_default="200")
    ] = None,
) -> None:
    """Look through a dataset in a browser, by words and by domain.

    Example: python -m llavamed_data browse llava-med/60k-im
    """
    from llavamed_data.dataset.reader import Dataset
    from llavamed_data.io.atomic import atomic_path
    from llavamed_data.show.pages import single_page
    from llavamed_data.show.search import RowFilter, RowSearch
    from llavamed_data.show.server import open_server

    if out is not None and port is not None:
        raise UsageError("--port does nothing with --out, which serves nothing: leave one of them out")
    of_page = {"--words": words, "--domain": domain, "--limit": limit}
    if out is None and (given := [flag for flag, value in of_page.items() if value is not None]):
        do = "does" if len(given) == 1 else "do"
        raise UsageError(
            f"{' and '.join(given)} {do} nothing without --out: the served page has its own search"
        )
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder: name the file to write, such as {out / 'page.html'}")
    opened, console = Dataset(dataset), Console(highlight=False)
    if domain is not None and domain not in (there := RowSearch(opened).domains()):
        choice = f"choose from {', '.join(map(printable_line, there))}" if there else "leave --domain out"
        raise UsageError(f"no row of {opened.name} is of the domain {domain!r}: {choice}")
    if out is not None:
        page = single_page(opened, RowFilter(words or "", domain or ""), limit=limit or 200)
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as aside:
            aside.write_text(page, encoding="utf-8")
        console.print(Text(f"{out}: open it in a browser"), soft_wrap=True)
        return
    with open_server(opened, port or 0) as server:
        console.print(Text(f"{server.address} shows {opened.name}; stop with Ctrl-C"), soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how it is stopped
            return
