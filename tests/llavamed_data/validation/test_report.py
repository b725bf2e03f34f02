"""The report of a validation: for people, for machines, and on hostile data."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from llavamed_data.console.progress import FetchCounts
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.validation import Check, DatasetFault, ValidationReport, validate
from tests.llavamed_data.validation.sets import instruct_row, sound_set, write_set


def rendered(report: ValidationReport, *, terminal: bool) -> str:
    file = io.StringIO()
    report.render(Console(file=file, force_terminal=terminal, width=200, color_system=None))
    return file.getvalue()


def test_a_sound_set_is_one_line(tmp_path: Path) -> None:
    report = validate(str(sound_set(tmp_path / "set")))
    assert (
        rendered(report, terminal=True)
        == f"{tmp_path}/set: 12 rows in 2 shards, no fault; digests: not checked (croissant.json states none)\n"
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_every_fault_is_shown_with_its_place(tmp_path: Path, terminal: bool) -> None:
    rows = [instruct_row(number) for number in range(12)]
    rows[7]["license"] = ""
    text = rendered(validate(str(write_set(tmp_path / "set", rows))), terminal=terminal)
    for part in (
        "licence",
        "data/train-00001-of-00002.parquet",
        "9007_F1",
        "states its licence",
        "1 fault (licence 1)",
    ):
        assert part in text


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_in_the_data_acts_on_the_terminal(tmp_path: Path, terminal: bool) -> None:
    rows = [instruct_row(0) | {"id": "[red]\x1b]0;owned\x07\x9b2J\u202eab\nc", "domain": "\x1b[31m[bold]"}]
    report = validate(str(write_set(tmp_path / "set", rows, shards=1)))
    text = rendered(report, terminal=terminal)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"[red]\x1b]0;owned\x07\x9b2J\u202eab\nc" in text


def test_without_a_terminal_each_fault_is_one_line(tmp_path: Path) -> None:
    report = ValidationReport("set", rows=3, shards=1)
    report.add(DatasetFault(Check.CARD, "there is no card", file="README.md"))
    report.add(DatasetFault(Check.SCHEMA, "is null, not string", "data/a.parquet", 2, "x", "caption"))
    assert rendered(report, terminal=False).splitlines() == [
        "card: README.md: there is no card",
        "schema: data/a.parquet 2 x caption: is null, not string",
        "set: 3 rows in 1 shard, 2 faults (card 1, schema 1)",
    ]


def test_to_dict_is_json(tmp_path: Path) -> None:
    rows = [instruct_row(0) | {"license": None}]
    report = validate(str(write_set(tmp_path / "set", rows, shards=1)))
    read = json.loads(json.dumps(report.to_dict()))
    assert read == {
        "dataset": f"{tmp_path}/set",
        "kind": "instruct",
        "ok": False,
        "shards": 1,
        "rows": 1,
        "digests": "not checked",
        "totals": {"licence": 1},
        "faults": [
            {
                "check": "licence",
                "message": "is null, not string",
                "file": "data/train-00000-of-00001.parquet",
                "row": 0,
                "id": "9000_F1",
                "field": "license",
            }
        ],
    }


def test_progress_counts_the_rows_checked_so_far_and_all_of_them(tmp_path: Path) -> None:
    reported: list[tuple[str, int, int]] = []

    def on_progress(name: str, done: int, total: int, fetched: FetchCounts | None = None) -> None:
        reported.append((name, done, total))

    validate(str(sound_set(tmp_path / "set", rows=200)), on_progress=on_progress)
    assert reported == [("validate (rows)", done, 200) for done in (64, 100, 164, 200)]


def test_a_file_is_not_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file"):
        validate(str(tmp_path / "file"))


def test_a_repository_is_refused_in_one_line_when_the_hub_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(LlavaMedError, match="'llava-med/none' is not a folder here") as raised:
        validate("llava-med/none")
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


def test_a_repository_is_validated_like_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The client's own cache stands in for the Hub."""
    commit = "0" * 40
    repository = tmp_path / "hub" / "datasets--llava-med--10k"
    sound_set(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    report = validate("llava-med/10k")
    assert (report.dataset, report.rows, report.faults) == ("llava-med/10k", 12, [])
