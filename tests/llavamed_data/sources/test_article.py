"""A graphic finds its file under every spelling that articles use, and never a thumbnail in place of the figure."""

import pytest

from llavamed_data.sources.article import is_image_name, resolve_graphic, without_lone_thumbnails


@pytest.mark.parametrize(
    ("href", "files", "found"),
    [
        ("NPR2-43-85-g001", ["NPR2-43-85-g001.jpg", "NPR2-43-85-g001.gif"], "NPR2-43-85-g001.jpg"),
        ("pone.0000133.g001", ["pone.0000133.g001.jpg", "pone.0000133.g0011.jpg"], "pone.0000133.g001.jpg"),
        ("f1.tif", ["f1.jpg"], "f1.jpg"),
        ("f1.tif", ["f1.tif", "f1.jpg"], "f1.jpg"),
        ("f1.gif", ["f1.gif", "f1.jpg"], "f1.jpg"),
        ("f1.gif", ["f1.gif"], "f1.gif"),
        ("f1.jpg", ["F1.JPG"], "F1.JPG"),
        ("F1.JPEG", ["f1.jpeg", "f1.png"], "f1.jpeg"),
        ("f1", ["f1.webp", "f1.tif", "f1.gif", "f1.png"], "f1.png"),
        ("f1", ["f1.webp", "f1.tif", "f1.gif"], "f1.gif"),
        ("images/sub/f1.tif", ["f1.jpg"], "f1.jpg"),
        ("images\\f1.tif", ["f1.jpg"], "f1.jpg"),
        ("https://host/f1.jpg", ["f1.jpg"], "f1.jpg"),
        ("fig%201", ["fig 1.jpg"], "fig 1.jpg"),
        ("fig%201", ["fig 1.jpg", "fig%201.jpg"], "fig%201.jpg"),
        ("ABBILDUNG-Ä", ["abbildung-ä.jpg"], "abbildung-ä.jpg"),
        ("f1", ["f1.pdf", "f1.xlsx", "f1.mp4"], None),
        ("f1", ["f10.jpg", "f1a.jpg", "af1.jpg"], None),
        ("", ["f1.jpg", ".jpg"], None),
        ("/", ["f1.jpg"], None),
        (".jpg", [".jpg"], None),
    ],
)
def test_an_href_finds_its_file(href: str, files: list[str], found: str | None) -> None:
    assert resolve_graphic(href, {name: f"at:{name}" for name in files}) == (found and f"at:{found}")


def test_the_choice_does_not_depend_on_the_order_of_the_files() -> None:
    files = ["f1.JPG", "F1.jpg", "f1.png"]
    assert resolve_graphic("f1", {name: name for name in files}) == "F1.jpg"
    assert resolve_graphic("f1", {name: name for name in reversed(files)}) == "F1.jpg"


def test_image_names() -> None:
    assert [
        name for name in ("a.jpg", "a.JPEG", "a.TiF", "a.pdf", "a", "jpg", "a.jpg.zip") if is_image_name(name)
    ] == [
        "a.jpg",
        "a.JPEG",
        "a.TiF",
    ]


def test_a_thumbnail_alone_is_left_out() -> None:
    media = {"a.gif": "1", "a.jpg": "2", "b.GIF": "3", "c.png": "4"}
    assert without_lone_thumbnails(media) == {"a.gif": "1", "a.jpg": "2", "c.png": "4"}
