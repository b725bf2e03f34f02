"""Whatever a dataset calls its images and rows, an export writes only inside its own folder."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llavamed_data.exchange import FORMATS, export_dataset, import_dataset
from llavamed_data.show.image_files import ImageFileNames
from tests.llavamed_data.exchange.rows import png, read
from tests.llavamed_data.validation.sets import instruct_row, write_set

NAMES = [
    "../../../up.jpg",
    "/abs.jpg",
    "..\\..\\up.jpg",
    "C:\\windows\\up.jpg",
    "con.jpg",
    "a\0b.jpg",
    "a\nb.jpg",
    "-rf.jpg",
    "~/x.jpg",
    "$(reboot).jpg",
    "<img src=x onerror=alert(1)>.jpg",
    ".hidden.jpg",
    "x" * 600,
    "",
    "..",
    "\u202egpj.exe",
]
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(jpg|png|gif|webp|bmp|tif|bin)")


@pytest.mark.parametrize("form", FORMATS)
def test_names_with_paths_write_nothing_outside_the_folder(tmp_path: Path, form: str) -> None:
    place = tmp_path / "a" / "b" / "c"
    rows = [
        instruct_row(number) | {"id": f"../../{number}", "images": [{"bytes": png(number), "path": name}]}
        for number, name in enumerate(NAMES)
    ]
    folder = write_set(place / "set", rows)
    export_dataset(str(folder), form, place / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in place.iterdir()) == ["out", "set"]
    files = (
        [path.name for path in (place / "out" / "images").iterdir()] if form not in ("webdataset",) else []
    )
    assert all(SAFE.fullmatch(name) for name in files)
    assert not files or len(files) == len(NAMES)
    import_dataset(place / "out", form, place / "back")
    assert read(place / "back").to_pylist() == rows


@example([(b"1", "A"), (b"1", "a"), (b"2", "a")])
@given(st.lists(st.tuples(st.binary(max_size=2), st.none() | st.text(max_size=8)), max_size=12))
def test_one_file_for_the_same_image_and_never_one_for_two(images: list[tuple[bytes, str | None]]) -> None:
    names = ImageFileNames()
    held: dict[str, bytes] = {}
    spelled: dict[str, str] = {}
    for data, wish in images:
        name, new = names.name(data, wish)
        assert SAFE.fullmatch(name)
        assert new == (name.lower() not in held)
        assert held.setdefault(name.lower(), data) == data
        assert spelled.setdefault(name.lower(), name) == name
