"""One row in the terminal: its picture in half blocks, its conversation, where it comes from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.show.names import FileNames
from llavamed_data.show.pictures import thumbnail

_WIDEST = 72
_TALLEST = 44
_COLOURS = {"user": "bold cyan", "assistant": "bold green"}
_FACTS = ("figure_label", "pmcid", "pmid", "license", "question_type", "answer_type", "language")


def show_row(row: Row, console: Console, *, files: Path, names: FileNames) -> None:
    """Prints a row; nothing in it can act on the terminal.

    Args:
        row: all columns.
        console: where to.
        files: where its images are written, if the terminal has not the colours for a picture.
        names: the names given in `files` so far.
    """
    console.print(Rule(_heading(row), align="left", style="dim"))
    for picture in _pictures(row, console, files, names):
        console.print(Padding(picture, (1, 0, 0, 2)))
    console.print(Padding(Group(*_texts(row)), (1, 0, 1, 2)))


def half_blocks(image: Image.Image) -> Segments:
    """An image as lines of ▀, two pixels a character: the upper one its colour, the lower one its ground."""
    pixels = image.convert("RGB").load()
    if pixels is None:
        return Segments([])
    segments = []
    for top in range(0, image.height - 1, 2):
        for x in range(image.width):
            upper, lower = (Color.from_rgb(*pixels[x, y]) for y in (top, top + 1))  # type: ignore[misc]
            segments.append(Segment("▀", Style(color=upper, bgcolor=lower)))
        segments.append(Segment.line())
    return Segments(segments)


def _heading(row: Row) -> Text:
    parts = [
        printable_line(str(row.get("id")), 120),
        *([printable_line(str(row["domain"]))] if row.get("domain") else []),
    ]
    return Text(" · ".join(parts), style="bold")


def _pictures(row: Row, console: Console, files: Path, names: FileNames) -> Iterator[RenderableType]:
    images: Sequence[Row | None] = row.get("images") or []
    if not images:
        yield Text("no image", style="dim")
    for image in images:
        data = image.get("bytes") if image else None
        width = min(_WIDEST, console.width - 4)
        small = thumbnail(data, width, _TALLEST) if _has_colours(console) else None
        if small is not None:
            yield half_blocks(small)
        elif isinstance(data, bytes):
            yield Text(str(_written(data, image, row, files, names)), style="underline")
        else:
            yield Text("an image without its bytes", style="dim")


def _has_colours(console: Console) -> bool:
    return console.is_terminal and console.color_system in ("256", "truecolor", "windows")


def _written(data: bytes, image: Row | None, row: Row, files: Path, names: FileNames) -> Path:
    name, _ = names.name(data, image.get("path") if image else None, row.get("id"))
    files.mkdir(parents=True, exist_ok=True)
    path = files / name
    path.unlink(missing_ok=True)  # what lies there may be a link
    path.write_bytes(data)
    return path


def _texts(row: Row) -> Iterator[RenderableType]:
    said = Table.grid(padding=(0, 2))
    said.add_column(no_wrap=True)
    said.add_column()
    for role, text in turns_of(row.get("messages")):
        said.add_row(Text(printable_line(role, 12), style=_COLOURS.get(role, "bold")), Text(printable(text)))
    context = [
        ("caption", row.get("caption")),
        *(("mention", each) for each in row.get("inline_mentions") or ()),
    ]
    said.add_row()
    for name, text in context:
        if text:
            said.add_row(Text(name, style="dim"), Text(printable(str(text))))
    yield said
    facts = [str(row[name]) for name in _FACTS if row.get(name)]
    origin = row.get("provenance") or {}
    facts += [str(origin[name]) for name in ("recipe", "source", "generator", "model") if origin.get(name)]
    yield Text("\n" + " · ".join(printable_line(fact, 80) for fact in facts), style="dim")
