"""What `build` prints can be read at every width, in a pipe too, and its Python can be run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llavamed_data
from llavamed_data.errors import UsageError
from llavamed_data.stats.counts import counts_of_card
from tests.llavamed_data.pipeline.builds.test_build import llavamed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    assert llavamed("build", "60k-im", "--size", "11", cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_reasons_and_names_are_never_broken(built: Path, width: int) -> None:
    done = llavamed("build", "60k-im", "--size", "11", cwd=built, env={"COLUMNS": str(width)})
    assert done.returncode == 0
    lines = done.stdout.split("\n\n# in this folder")[0].splitlines()
    assert max(map(len, lines)) <= max(width, 60)  # the longest reason has 42 characters
    for words in (
        "7 figures held out for evaluation",
        "5 figures without mention",
        "3 multi-panel figures (per caption)",
        "4 figures outside the recipe's domains",
        "30 beyond --size",
        "1 image with a wrong checksum",
        "extract (articles)",
        "llava-med/60k-im",
    ):
        assert any(words in line for line in lines), words


def test_cards_messages_and_stats_say_reasons_in_the_same_words(built: Path) -> None:
    card = (built / "llava-med" / "60k-im" / "README.md").read_text()
    assert "7 figures held out for evaluation, 5 figures without mention" in card
    (steps, _) = counts_of_card(card)
    assert "1 article with malformed XML" in steps[0].dropped
    own = built / "mine.yaml"
    own.write_text("{recipe: 60k, name: mine, select: {domains: [mri]}}")
    done = llavamed("build", "mine.yaml", "--limit", "1", "--out", "none", "--work", "none-work", cwd=built)
    assert done.returncode == 1
    assert "all was dropped (3 figures outside the recipe's domains" in done.stderr


def test_a_pipe_without_a_width_gets_whole_lines(built: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = f"{sys.executable} -m llavamed_data build 60k-im --size 11 | cat"
    done = subprocess.run(
        ["bash", "-c", command], cwd=built, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "3 multi-panel figures (per caption)" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("out", ["sets", 'it\'s "odd" [1] ü', "back\\slash", "absolute"])
def test_the_python_that_is_printed_loads_the_set(tmp_path: Path, out: str) -> None:
    place = str(tmp_path / "absolute [x]") if out == "absolute" else out
    done = llavamed("build", "60k-im", "eval", "--out", place, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    code = done.stdout[done.stdout.rindex("from datasets import") :]
    assert ("# in this folder; elsewhere the same call asks the Hub" in done.stdout) == (out != "absolute")
    first, *loads = code.strip().splitlines()
    printing = "\n".join([first, *(f"print({load}.num_rows)" for load in loads)])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-c", printing],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.stdout.split() == ["38", "15"], run.stderr


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("60k_im", "60k-im"),
        ("10K", "10k"),
        ("60K-IM", "60k-im"),
        ("alignment", "alignment-600k"),
        ("Eval", "eval"),
        ("vqa_rad", "vqa-rad"),
        ("PathVQA", "path-vqa"),
    ],
)
def test_a_wrong_recipe_is_answered_with_the_right_one(name: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"did you mean {meant}?")):
        llavamed_data.build(name, work=tmp_path / "work", out=tmp_path / "out")


def test_a_limit_that_is_too_small_is_named(tmp_path: Path) -> None:
    (built,) = llavamed_data.build("eval", limit=3, work=tmp_path / "work", out=tmp_path / "out").datasets
    assert built.shortage == ("1 of 50: so few articles (--limit 3) give at most one eligible article in 8")


@pytest.mark.parametrize("out", ["s3://bucket/sets", "hf:sets", "gs://bucket"])
def test_an_address_is_no_folder_to_write_to(out: str, tmp_path: Path) -> None:
    done = llavamed("build", "60k-im", "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    assert "looks like an address: only folders here are written" in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_conversation_is_one(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"id": "a", "turns": [["What is it?", "It is a cyst."]]}\n')
    done = llavamed("clean", "one.jsonl", cwd=tmp_path)
    assert done.stdout.startswith("1 conversation: 1 kept, 0 dropped; 1 of 1 round kept\n")
