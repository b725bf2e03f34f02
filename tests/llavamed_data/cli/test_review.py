"""The command `review`: its report, what it refuses, and that it serves until it is stopped."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from llavamed_data.cli.app import app
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.review import DecisionFile, DecisionKind, row_digest
from tests.conftest import CHECKOUT
from tests.llavamed_data.validation.sets import sound_set


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_report_is_printed_and_given_as_json(tmp_path: Path) -> None:
    folder, decisions = sound_set(tmp_path / "set"), tmp_path / "d.jsonl"
    row = Dataset(str(folder)).row(0)
    DecisionFile(decisions).decide(row, DecisionKind.ACCEPT, reviewer="anna", dataset="set")
    given = ["review", folder, "--decisions", decisions, "--report"]
    assert "set: 1 of 12 rows decided" in run(*given)
    report = json.loads(run(*given, "--json"))
    assert (report["decided"], report["rates"]["chest_xray"]["rejected"]) == (1, 0)


def test_preferences_are_reported(tmp_path: Path) -> None:
    one, two, decisions = sound_set(tmp_path / "one"), sound_set(tmp_path / "two"), tmp_path / "d.jsonl"
    file = DecisionFile(decisions)
    for number, reviewer, choice in (
        (0, "anna", "this"),
        (0, "bert", "this"),
        (1, "anna", "tie"),
        (1, "bert", "other"),
        (2, "anna", "other"),
    ):
        row, other = (Dataset(str(folder)).row(number) for folder in (one, two))
        given = {"choice": choice, "other": row_digest(other), "other_dataset": "two"}
        file.decide(row, DecisionKind.PREFER, reviewer=reviewer, dataset="one", **given)
    given = ["review", one, "--compare", two, "--decisions", decisions, "--report"]
    assert "one and two: 3 pairs of rows compared, 1 disputed" in run(*given)
    assert "anna and bert: the same choice on 1 of 2 pairs" in run(*given)
    assert json.loads(run(*given, "--json"))["choices"] == {
        "anna": {"this": 1, "other": 1, "tie": 1},
        "bert": {"this": 1, "other": 1, "tie": 0},
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json"], "--json does nothing without --report"),
        (["--report"], "there is no file of decisions"),
        (["--host", "0.0.0.0"], "set a password"),
        (["--flags", "none.jsonl"], "cannot be read"),
    ],
)
def test_a_wrong_call_is_refused(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLAVAMED_PAGE_PASSWORD", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    folder = sound_set(tmp_path / "set")
    with pytest.raises(UsageError, match=said):
        CliRunner().invoke(app, ["review", str(folder), *words], catch_exceptions=False)


def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    command = [sys.executable, "-m", "llavamed_data", "review", str(folder)]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        line = running.stdout.readline()
        said = re.match(
            r"(http://127\.0\.0\.1:\d+/) shows 12 rows of set; decisions: reviews/set.jsonl", line
        )
        assert said, line
        assert httpx.get(said[1], timeout=30).status_code == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    assert not (tmp_path / "reviews").exists()
