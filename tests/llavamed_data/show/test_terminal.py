"""A row in the terminal: its picture, conversation and origin, and nothing in it that acts on the terminal."""

import io
import re
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from rich.console import Console

from llavamed_data.show import show_row
from llavamed_data.show.image_files import ImageFileNames, thumbnail
from llavamed_data.show.terminal import half_blocks
from tests.llavamed_data.show import hostile
from tests.llavamed_data.validation.sets import instruct_row

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(row: dict[str, Any], files: Path, *, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=terminal, color_system="truecolor" if terminal else None, width=80
    )
    show_row(row, console, files=files, names=ImageFileNames())
    return file.getvalue()


def test_a_terminal_with_colours_shows_the_picture(tmp_path: Path) -> None:
    text = shown(instruct_row(1), tmp_path / "files", terminal=True)
    assert (
        text.count("▀") == 59 * 22
    )  # 64 × 48 pixels fit 44 lines of pixels as 59 × 44, two lines a character
    assert not (tmp_path / "files").exists()


def _turned_by_metadata() -> bytes:
    """An image of 480 × 240 pixels, red on its left half, that is to be turned to the right by 90 degrees."""
    image = Image.new("RGB", (480, 240), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 240, 240))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def test_a_picture_is_turned_as_its_metadata_asks(tmp_path: Path) -> None:
    row = instruct_row(1)
    row["images"] = [{"bytes": _turned_by_metadata(), "path": "a.jpg"}]
    text = shown(row, tmp_path / "files", terminal=True)
    assert text.count("▀") == 22 * 22  # 22 × 44 pixels, two lines a character
    small = thumbnail(_turned_by_metadata(), 100, 100)
    assert small is not None
    assert small.size == (50, 100)
    red, _, blue = small.getpixel((25, 10))
    assert red > 200 > 60 > blue
    red, _, blue = small.getpixel((25, 90))
    assert blue > 200 > 60 > red


def test_each_character_is_two_pixels() -> None:
    image = Image.new("RGB", (1, 2))
    image.putpixel((0, 0), (1, 2, 3))
    image.putpixel((0, 1), (4, 5, 6))
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="truecolor").print(half_blocks(image))
    assert file.getvalue().startswith("\x1b[38;2;1;2;3;48;2;4;5;6m▀")


def test_without_colours_the_image_is_written_to_a_file_and_its_path_shown(tmp_path: Path) -> None:
    row = instruct_row(1)
    text = shown(row, tmp_path / "files", terminal=False)
    (path,) = (tmp_path / "files").iterdir()
    assert path.name == "1_F1.jpg"
    assert path.read_bytes() == row["images"][0]["bytes"]
    assert path.name in text.replace("\n", "").replace(" ", "")
    for words in ("9001_F1 · mri", "What does the image show?", "No, it is noise.", "CC BY", "PMC5001"):
        assert words in text


def test_nothing_in_a_row_acts_on_the_terminal(tmp_path: Path) -> None:
    for number, row in enumerate(hostile.rows()):
        for terminal in (True, False):
            text = shown(row, tmp_path / "a" / "b" / str(number), terminal=terminal)
            rest = COLOUR.sub("", text) if terminal else text
            assert all(mark == "\n" or mark.isprintable() for mark in rest)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert all(path.parent.parent == tmp_path / "a" / "b" for path in tmp_path.rglob("*") if path.is_file())


def test_markup_of_the_terminal_library_is_text(tmp_path: Path) -> None:
    row = instruct_row(1) | {"caption": "[bold]x[/bold] [link=http://192.0.2.1]y[/link] :smile:"}
    assert "[bold]x[/bold] [link=http://192.0.2.1]y[/link] :smile:" in shown(row, tmp_path, terminal=False)


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "files" / "1_F1.jpg").symlink_to(tmp_path / "mine.txt")
    shown(instruct_row(1), tmp_path / "files", terminal=False)
    assert (tmp_path / "mine.txt").read_text() == "mine"
