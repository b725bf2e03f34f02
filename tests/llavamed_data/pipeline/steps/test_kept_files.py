"""A rebuild deletes nothing that the toolkit did not write: notes stay, edits and outdated reports are kept aside."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.llavamed_data.pipeline.builds.test_build import llavamed


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    assert llavamed("build", "10k", "--size", "6", cwd=folder).returncode == 0
    assert llavamed("stats", "llava-med/10k", "--no-verbs", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def place(first: Path, tmp_path: Path) -> Path:
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return tmp_path


def build(place: Path, size: int) -> list[str]:
    done = llavamed("build", "10k", "--size", str(size), "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    notes: list[str] = json.loads(done.stdout)["notes"]
    return notes


def test_notes_stay_and_a_report_of_earlier_rows_is_named_and_kept_aside(place: Path) -> None:
    folder = place / "llava-med" / "10k"
    (folder / "NOTES.txt").write_text("mine")
    (folder / "plots").mkdir()
    (folder / "plots" / "a.txt").write_text("a")
    page = (folder / "stats" / "index.html").read_bytes()
    notes = build(place, 5)
    assert pq.read_table(folder / "data").num_rows == 5
    assert (folder / "NOTES.txt").read_text() == "mine"
    assert (folder / "plots" / "a.txt").read_text() == "a"
    assert not (folder / "stats").exists()
    assert (place / "llava-med/kept/10k-1/stats/index.html").read_bytes() == page
    assert any("stats/ describes the earlier rows: kept in llava-med/kept/10k-1" in note for note in notes)
    assert not any("README" in note for note in notes)
    assert llavamed("validate", "llava-med/10k", cwd=place).returncode == 0
    assert build(place, 5) == []
    assert (folder / "NOTES.txt").read_text() == "mine"


def test_a_report_that_still_fits_stays(place: Path) -> None:
    shutil.rmtree(place / ".llavamed")
    notes = build(place, 6)
    assert (place / "llava-med/10k/stats/index.html").exists()
    assert notes == []
    assert not (place / "llava-med/kept").exists()


def test_an_edited_card_is_left_alone_by_the_same_build_and_kept_by_another(place: Path) -> None:
    card = place / "llava-med/10k/README.md"
    edited = card.read_text() + "\nChecked by Ada.\n"
    card.write_text(edited)
    assert build(place, 6) == []
    assert card.read_text() == edited
    notes = build(place, 5)
    assert "Checked by Ada." not in card.read_text()
    assert (place / "llava-med/kept/10k-1/README.md").read_text() == edited
    assert any(
        "README.md may have been edited by hand: kept in llava-med/kept/10k-1" in note for note in notes
    )
    card.write_text("again " + card.read_text())
    build(place, 4)
    assert (place / "llava-med/kept/10k-1/README.md").read_text() == edited
    assert (place / "llava-med/kept/10k-2/README.md").read_text().startswith("again ")


def test_a_shard_that_somebody_made_or_changed_is_kept_aside(place: Path) -> None:
    data = place / "llava-med/10k/data"
    (data / "validation-00000-of-00001.parquet").write_bytes(b"mine")
    (data / "train-00000-of-00001.parquet").write_bytes(b"changed")
    build(place, 5)
    kept = place / "llava-med/kept/10k-1/data"
    assert (kept / "validation-00000-of-00001.parquet").read_bytes() == b"mine"
    assert (kept / "train-00000-of-00001.parquet").read_bytes() == b"changed"
    assert [path.name for path in data.iterdir()] == ["train-00000-of-00001.parquet"]
    assert llavamed("validate", "llava-med/10k", cwd=place).returncode == 0


def test_a_dataset_of_an_earlier_version_has_no_list_and_its_card_is_kept(place: Path) -> None:
    folder = place / "llava-med/10k"
    for name in (".llavamed.json", "example.jpg"):
        (folder / name).unlink()
    (folder / "NOTES.txt").write_text("mine")
    build(place, 5)
    assert (folder / "NOTES.txt").exists()
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    kept = {path.name for path in (place / "llava-med/kept/10k-1").iterdir()}
    assert kept == {"README.md", "stats"}


@pytest.mark.parametrize("name", [".llavamed.json", "example.jpg", "mine"])
def test_a_pipe_or_a_link_to_nothing_in_the_folder_stops_no_rebuild(name: str, place: Path) -> None:
    pipe = place / "llava-med/10k" / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    (place / "llava-med/10k/link").symlink_to("nowhere")
    build(place, 5)
    assert (place / "llava-med/10k/link").is_symlink()
    assert llavamed("validate", "llava-med/10k", cwd=place).returncode == 0
