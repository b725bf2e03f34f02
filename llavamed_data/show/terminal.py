"""Prints one row of a dataset in the terminal: its images as coloured blocks, its conversation, its origin."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from llavamed_data.console.pictures import MOST_CHARACTERS_WIDE, MOST_PIXELS_HIGH, half_blocks, shows_colours
from llavamed_data.console.printable import printable, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.show.image_files import ImageFileNames, thumbnail, write_image

_COLOURS = {"user": "bold cyan", "assistant": "bold green"}
_ORIGIN = ("figure_label", "pmcid", "pmid", "license", "question_type", "answer_type", "language")
_PROVENANCE = ("recipe", "source", "generator", "model")


def show_row(row: Row, console: Console, *, files: Path, names: ImageFileNames) -> None:
    """Prints a row; nothing in it can act on the terminal.

    Args:
        row: all columns.
        console: what to print on.
        files: folder to which its images are written where the terminal does not show colours.
        names: gives the images their names in that folder.
    """
    heading = [printable_line(str(row.get("id")), 120)]
    if row.get("domain"):
        heading.append(printable_line(str(row["domain"])))
    console.print(Rule(Text(" · ".join(heading), style="bold"), align="left", style="dim"))
    for picture in _pictures(row, console, files, names):
        console.print(Padding(picture, (1, 0, 0, 2)))
    console.print(Padding(Group(_texts(row), _origin(row)), (1, 0, 1, 2)))


def _pictures(row: Row, console: Console, files: Path, names: ImageFileNames) -> Iterator[RenderableType]:
    """Each image as blocks where the terminal has the colours, else the path of the file that it is written to."""
    if not row.get("images"):
        yield Text("no image", style="dim")
    colours = shows_colours(console)
    width = min(MOST_CHARACTERS_WIDE, console.width - 4)
    for image in row.get("images") or ():
        data = image.get("bytes") if image else None
        small = thumbnail(data, width, MOST_PIXELS_HIGH) if colours else None
        if small is not None:
            yield half_blocks(small)
        elif isinstance(data, bytes):
            yield Text(str(write_image(image, row, files, names)), style="underline")
        else:
            yield Text("an image without its bytes", style="dim")


def _texts(row: Row) -> Table:
    """The turns of the conversation, then caption and mentions."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for role, text in turns_of(row.get("messages")):
        table.add_row(Text(printable_line(role, 12), style=_COLOURS.get(role, "bold")), Text(printable(text)))
    table.add_row()
    mentions = [("mention", mention) for mention in row.get("inline_mentions") or ()]
    for name, text in [("caption", row.get("caption")), *mentions]:
        if text:
            table.add_row(Text(name, style="dim"), Text(printable(str(text))))
    return table


def _origin(row: Row) -> Text:
    provenance = row.get("provenance") or {}
    stated = [row.get(name) for name in _ORIGIN] + [provenance.get(name) for name in _PROVENANCE]
    return Text("\n" + " · ".join(printable_line(str(value), 80) for value in stated if value), style="dim")
