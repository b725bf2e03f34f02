"""Images are found by name below one folder and nowhere else."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released import ImageFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    root = tmp_path / "images"
    (root / "a" / "b").mkdir(parents=True)
    (root / "1_F1.jpg").write_bytes(b"one")
    (root / "2_F1.JPG").write_bytes(b"two")
    (root / "a" / "3_F1.jpg").write_bytes(b"three")
    (root / "a" / "b" / "4_F1.png").write_bytes(b"four")
    (root / "5_F1.jpg").write_bytes(b"")
    (root / "a" / "6_F1.gif").write_bytes(b"six, a gif")
    (root / "a" / "6_F1.jpeg").write_bytes(b"six")
    (root / "7_F1.jpg.txt").write_bytes(b"no image")
    (root / "24179348_f4c-ccrep-1-2008.057.jpg").write_bytes(b"dotted")
    return root


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1_F1.jpg", b"one"),
        ("2_F1.jpg", b"two"),
        ("3_F1.jpg", b"three"),
        ("4_F1.jpg", b"four"),
        ("5_F1.jpg", b""),
        ("6_F1.jpg", b"six"),
        ("24179348_f4c-ccrep-1-2008.057.jpg", b"dotted"),
        ("24179348_f4c-ccrep-1-2008.057", b"dotted"),
    ],
)
def test_found_by_name_whatever_the_suffix_and_sub_folder(folder: Path, name: str, content: bytes) -> None:
    assert ImageFolder(folder).read(name) == content


@pytest.mark.parametrize(
    "name",
    [
        "8_F1.jpg",
        "7_F1.jpg",
        "../secret.jpg",
        "a/3_F1.jpg",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a",
        "a\0.jpg",
        "x" * 300,
        "ü" * 200,
        "\ud800.jpg",
        "..\\secret.jpg",
    ],
)
def test_what_is_not_there_or_no_name_is_missing(folder: Path, name: str) -> None:
    found = ImageFolder(folder).read(name)
    assert isinstance(found, Drop)
    assert found.reason is Reason.IMAGE_MISSING
    (found.detail).encode()


def test_links_that_lead_out_are_not_followed(folder: Path) -> None:
    (folder / "9_F1.jpg").symlink_to("../secret.jpg")
    (folder / "10_F1.jpg").symlink_to("1_F1.jpg")
    (folder / "out").symlink_to("..")
    images = ImageFolder(folder)
    led_out = images.read("9_F1.jpg")
    assert isinstance(led_out, Drop)
    assert led_out.detail == "9_F1.jpg: a link that leads out of the folder"
    assert images.read("10_F1.jpg") == b"one"
    assert isinstance(images.read("secret.jpg"), Drop)


def test_a_folder_that_is_itself_a_link_is_fine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert ImageFolder(tmp_path / "link").read("1_F1.jpg") == b"one"


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "11_F1.jpg")
    assert isinstance(ImageFolder(folder).read("11_F1.jpg"), Drop)


def test_a_file_beyond_the_bound_is_not_held(folder: Path) -> None:
    found = ImageFolder(folder, max_bytes=4).read("3_F1.jpg")
    assert isinstance(found, Drop)
    assert found.reason is Reason.IMAGE_TOO_LARGE
    assert ImageFolder(folder, max_bytes=5).read("3_F1.jpg") == b"three"


def test_a_folder_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder of images"):
        ImageFolder(tmp_path / "none")


@settings(deadline=None)
@given(name=st.text(max_size=30) | st.text("./\\a~\0", max_size=12))
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("names") / "images"
    root.mkdir()
    (root.parent / "a").write_bytes(b"secret")
    assert isinstance(ImageFolder(root).read(name), Drop)
