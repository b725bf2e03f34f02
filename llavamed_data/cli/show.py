"""`show` and `browse`: the rows of a dataset in the terminal and in a browser."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.cli.build import DatasetArgument
from llavamed_data.console.options import option


def show(
    dataset: DatasetArgument,
    ids: Annotated[list[str], typer.Argument(help="Ids of rows.")],
    images: Annotated[
        Path, option(help="Folder for image files where the terminal cannot show pictures.")
    ] = Path(".llavamed/show"),
) -> None:
    """Show rows with their pictures and conversations.

    Example: python -m llavamed_data show llava-med/60k-im 99000010_f1
    """
    from llavamed_data.dataset.reader import Dataset
    from llavamed_data.errors import UsageError
    from llavamed_data.show.image_files import ImageFileNames
    from llavamed_data.show.terminal import show_row

    opened = Dataset(dataset)
    found = opened.find(ids)
    names, console = ImageFileNames(), Console(highlight=False)
    for name in ids:
        if name in found:
            show_row(opened.row(found[name]), console, files=images, names=names)
    if missing := [name for name in ids if name not in found]:
        raise UsageError(
            f"{dataset} has no row {', '.join(missing)}: browse {dataset} shows the ids that it has"
        )


def browse(
    dataset: DatasetArgument,
    out: Annotated[
        Path | None, option(help="Write one self-contained page instead of serving.", show_default=False)
    ] = None,
    port: Annotated[
        int, option(min=0, max=65535, help="Port on this machine.", show_default="a free one")
    ] = 0,
    words: Annotated[
        str, option(help="With --out: only rows that hold these words.", show_default="all")
    ] = "",
    domain: Annotated[str, option(help="With --out: only rows of this domain.", show_default="all")] = "",
    limit: Annotated[int, option(min=1, help="With --out: number of rows at most.")] = 200,
) -> None:
    """Look through a dataset in a browser, by words and by domain.

    Example: python -m llavamed_data browse llava-med/60k-im
    """
    from llavamed_data.dataset.reader import Dataset
    from llavamed_data.io.atomic import atomic_path
    from llavamed_data.show.pages import single_page
    from llavamed_data.show.search import RowFilter
    from llavamed_data.show.server import BrowseServer

    opened, console = Dataset(dataset), Console(highlight=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as aside:
            aside.write_text(single_page(opened, RowFilter(words, domain), limit=limit), encoding="utf-8")
        console.print(Text(f"{out}: open it in a browser"), soft_wrap=True)
        return
    with BrowseServer(opened, port) as server:
        console.print(Text(f"{server.address} shows {opened.name}; stop with Ctrl-C"), soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
