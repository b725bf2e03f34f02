"""Images are found by name below one folder or in its archives, and nowhere else; with an index as without."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.images import BenchmarkImages, ImageFolder
from tests.llavamed_data.sources.benchmarks import drawn
from tests.llavamed_data.sources.benchmarks.drawn import picture, write


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
def test_an_image_is_found_by_name_with_any_suffix_in_any_sub_folder(
    folder: Path, name: str, content: bytes
) -> None:
    assert ImageFolder(folder).read(name) == content
    indexed = ImageFolder(folder).indexed(folder.parent / "made" / "index")
    assert pickle.loads(pickle.dumps(indexed)).read(name) == content


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
def test_a_name_that_is_absent_or_invalid_is_missing(folder: Path, name: str) -> None:
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


def test_a_named_pipe_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "11_F1.jpg")
    assert isinstance(ImageFolder(folder).read("11_F1.jpg"), Drop)


def test_a_file_beyond_max_bytes_is_dropped(folder: Path) -> None:
    found = ImageFolder(folder, max_bytes=4).read("3_F1.jpg")
    assert isinstance(found, Drop)
    assert found.reason is Reason.IMAGE_TOO_LARGE
    assert ImageFolder(folder, max_bytes=5).read("3_F1.jpg") == b"three"


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder of images"):
        ImageFolder(tmp_path / "none")


@settings(deadline=None)
@given(name=st.text(max_size=30) | st.text("./\\a~\0", max_size=12))
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("names") / "images"
    root.mkdir()
    (root.parent / "a").write_bytes(b"secret")
    assert isinstance(ImageFolder(root).read(name), Drop)


def test_benchmark_images_are_found_by_name_path_and_name_without_suffix(tmp_path: Path) -> None:
    write(tmp_path / "images" / "train" / "train_0001.jpg", b"bare")
    write(tmp_path / "images" / "synpic1.jpg", b"jpg")
    write(tmp_path / "images" / "synpic1.png", b"png")
    for number in (1, 2):
        write(tmp_path / "imgs" / f"xmlab{number}" / "source.jpg", b"%d" % number)
    images = BenchmarkImages(tmp_path)
    assert images.read("train_0001") == b"bare"
    assert (images.read("synpic1.jpg"), images.read("synpic1.png")) == (b"jpg", b"png")
    assert (images.read("xmlab1/source.jpg"), images.read("xmlab2/source.jpg")) == (b"1", b"2")
    missing = images.read("xmlab3/source.jpg")
    assert isinstance(missing, Drop)
    assert (missing.reason, missing.detail) == (Reason.IMAGE_MISSING, "xmlab3/source.jpg")


def test_images_of_archives_are_read_in_place(tmp_path: Path) -> None:
    folder = drawn.write_slake(tmp_path / "slake", zipped=True)
    for root in (folder, folder / "imgs.zip"):
        assert BenchmarkImages(root).read("xmlab1/source.jpg") == picture(1)
    write(folder / "imgs" / "xmlab1" / "source.jpg", b"a file counts before an archive's member")
    assert BenchmarkImages(folder).read("xmlab1/source.jpg") == b"a file counts before an archive's member"


def test_a_damaged_archive_loses_its_image_and_no_other(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "imgs.zip", "w") as archive:
        for number in (1, 2):
            archive.writestr(f"imgs/xmlab{number}/source.jpg", picture(number))
    content = bytearray((tmp_path / "imgs.zip").read_bytes())
    content[200] ^= 255
    (tmp_path / "imgs.zip").write_bytes(content)
    images = BenchmarkImages(tmp_path)
    lost = images.read("xmlab1/source.jpg")
    assert isinstance(lost, Drop)
    assert lost.reason == Reason.IMAGE_UNREADABLE
    assert images.read("xmlab2/source.jpg") == picture(2)


def test_links_of_a_benchmark_do_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "a.jpg", b"secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.jpg").symlink_to(outside)
    refused = BenchmarkImages(inside).read("a.jpg")
    assert isinstance(refused, Drop)
    assert "leads out of the folder" in refused.detail
    assert BenchmarkImages(inside, within=tmp_path).read("a.jpg") == b"secret"


def test_an_index_is_made_once_and_then_used_without_listing_the_folder(folder: Path) -> None:
    indexed = ImageFolder(folder).indexed(folder.parent / "index")
    (folder / "a" / "12_F1.jpg").write_bytes(b"later")
    again = ImageFolder(folder).indexed(folder.parent / "index")
    assert all(isinstance(images.read("12_F1.jpg"), Drop) for images in (indexed, again))
    assert ImageFolder(folder).read("12_F1.jpg") == b"later"
    assert len(pickle.dumps(indexed)) < 1_000  # what is sent to a task


def test_a_benchmark_s_images_are_found_with_an_index_as_without(tmp_path: Path) -> None:
    write(tmp_path / "b" / "synpic1.png", b"png")
    write(tmp_path / "c" / "d" / "synpic1.jpg", b"deep jpg")
    write(tmp_path / "c" / "synpic1.jpg", b"jpg")
    write(tmp_path / ".cache" / "hidden.jpg", b"hidden")
    with zipfile.ZipFile(tmp_path / "imgs.zip", "w") as archive:
        archive.writestr("imgs/xmlab1/source.jpg", picture(1))
        archive.writestr("__MACOSX/imgs/xmlab2/source.jpg", b"")
    indexed = BenchmarkImages(tmp_path).indexed(tmp_path / "index")
    names = ["synpic1.jpg", "synpic1", "c/synpic1.jpg", "d/synpic1", "source.jpg", "xmlab1/source.jpg"]
    names += ["imgs/xmlab1/source", "hidden.jpg", "xmlab2/source.jpg", "lab1/source.jpg"]
    found = [pickle.loads(pickle.dumps(indexed)).read(name) for name in names]
    assert found[:7] == [b"jpg", b"png", b"jpg", b"deep jpg", picture(1), picture(1), picture(1)]
    assert all(isinstance(each, Drop) for each in found[7:])
    for name, each in zip(names[:7], found, strict=False):
        assert BenchmarkImages(tmp_path).read(name) == each


@pytest.mark.parametrize("opened", [ImageFolder, BenchmarkImages])
def test_the_version_changes_with_any_image(
    opened: type[ImageFolder] | type[BenchmarkImages], tmp_path: Path
) -> None:
    image = write(tmp_path / "a" / "1.jpg", b"one")
    versions = [opened(tmp_path).version()]
    assert opened(tmp_path).version() == versions[0]
    image.write_bytes(b"other")
    versions.append(opened(tmp_path).version())
    image.rename(tmp_path / "a" / "2.jpg")
    versions.append(opened(tmp_path).version())
    assert len(set(versions)) == 3
