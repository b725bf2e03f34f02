"""`python -m llavamed_data build` as a user runs it: on the sample corpus, whose truth was worked out by hand."""

import asyncio
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

import llavamed_data
from llavamed_data import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary
from tests.command_line import Command
from tests.llavamed_data.pipeline.sample_truth import sample_truth

SETS = {"alignment-600k": "train", "10k": "train", "60k": "train", "60k-im": "train", "eval": "test"}


def llavamed(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120", "HF_HUB_OFFLINE": "1", **(env or {})}
    done = Command(list(arguments), environment, cwd).finish()
    return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder of datasets by its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `build` ran with no arguments."""
    folder = tmp_path_factory.mktemp("built")
    done = llavamed("build", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def summary(built: Path) -> dict[str, Any]:
    """The same run's summary, for machines; everything is found whole."""
    done = llavamed("build", "--json", cwd=built)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(built: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(next((built / "llava-med" / name / "data").iterdir())).to_pylist()


@pytest.mark.parametrize(("name", "split"), SETS.items())
@pytest.mark.parametrize("streaming", [False, True])
def test_stock_load_dataset_reads_what_was_built(
    built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, split: str, streaming: bool
) -> None:
    monkeypatch.chdir(built)
    loaded = load_dataset(f"llava-med/{name}", split=split, streaming=streaming, cache_dir=str(tmp_path))
    row = next(iter(loaded))
    assert row["images"][0].size > (100, 100)
    assert row["messages"][0]["content"][0]["type"] == "image"
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * (len(row["messages"]) // 2)


def test_every_set_is_found_sound(built: Path) -> None:
    for name in SETS:
        done = llavamed("validate", f"llava-med/{name}", cwd=built)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_figure_is_read_as_a_person_reads_it(built: Path) -> None:
    not_read = ("no caption", "one caption for several images")
    truth = {(each.pmcid, each.figure_id): each for each in sample_truth() if each.fate not in not_read}
    pairs = {}
    for path in (built / ".llavamed").glob("sample-*/extract/pairs-*.parquet"):
        pairs |= {(row["pmcid"], row["figure_id"]): row for row in pq.read_table(path).to_pylist()}
    assert pairs.keys() == truth.keys()
    assert {key: row["domain"] for key, row in pairs.items()} == {
        key: each.domain for key, each in truth.items()
    }
    assert {key: len(row["inline_mentions"]) for key, row in pairs.items()} == {
        key: each.mentions for key, each in truth.items()
    }


@pytest.mark.parametrize("name", ["10k", "60k", "60k-im"])
def test_an_instruct_set_holds_every_sound_figure_outside_the_eval_articles(built: Path, name: str) -> None:
    aside = {row["pmcid"] for row in rows(built, "eval")}
    got = Counter((row["pmcid"], row["domain"]) for row in rows(built, name))
    wanted = Counter(
        (each.pmcid, each.domain)
        for each in sample_truth()
        if each.fate == "sound" and each.pmcid not in aside and (each.mentions or name != "60k-im")
    )
    assert got == wanted


def test_alignment_takes_compound_figures_and_charts_too_with_the_right_kind_of_instruction(
    built: Path,
) -> None:
    from llavamed_data.instruct import instructions

    aside = {row["pmcid"] for row in rows(built, "eval")}
    open_to_it = ("sound", "no domain", "compound by caption", "compound by image")
    wanted = Counter(
        (each.pmcid, each.instruction)
        for each in sample_truth()
        if each.fate in open_to_it and each.pmcid not in aside
    )
    got = Counter()
    for row in rows(built, "alignment-600k"):
        question, answer = (turn["content"][-1]["text"] for turn in row["messages"])
        assert answer == row["caption"]
        got[row["pmcid"], "brief" if question in instructions("brief") else "detailed"] += 1
    assert got == wanted


def test_eval_takes_one_article_in_eight_and_asks_one_description_a_figure(built: Path) -> None:
    asked = rows(built, "eval")
    articles = {row["pmcid"] for row in asked}
    assert len(articles) == 24 // 8
    assert Counter(row["question_type"] for row in asked)["detailed_description"] == len(articles)
    assert [row["question_id"] for row in asked] == list(range(len(asked)))
    for name in SETS.keys() - {"eval"}:
        assert not articles & {row["pmcid"] for row in rows(built, name)}


def test_the_domains_take_turns(built: Path) -> None:
    domains = [row["domain"] for row in rows(built, "60k")]
    fewest = min(Counter(domains).values())
    assert len(set(domains)) == 5
    assert domains[: 5 * fewest] == ["chest_xray", "mri", "histology", "gross", "ct_scan"] * fewest


def test_10k_is_the_beginning_of_60k_when_sizes_differ(built: Path, tmp_path: Path) -> None:
    done = llavamed("build", "10k", "--size", "10", "--out", "small", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    small = [
        row["id"]
        for row in pq.read_table(next((tmp_path / "small/10k/data").iterdir()), columns=["id"]).to_pylist()
    ]
    assert small == [row["id"] for row in rows(built, "60k")][:10]


def test_nothing_is_lost_silently(summary: dict[str, Any]) -> None:
    for step in summary["stations"]:
        assert step["in"] == step["kept"] + sum(step["dropped"].values()), step
    extracted = {step["unit"]: step for step in summary["stations"] if step["station"] == "extract"}
    assert extracted["articles"]["dropped"] == {"malformed XML": 1, "not open access": 1, "retracted": 1}
    assert extracted["figures"]["in"] == 64
    assert extracted["figures"]["dropped"] == {"no caption": 1, "one caption for several images": 1}


def test_a_second_run_does_nothing_again_and_tells_the_same(built: Path, summary: dict[str, Any]) -> None:
    assert all(step["skipped"] for step in summary["stations"])
    done = llavamed("build", cwd=built)
    first, again = (
        shown[shown.index("\ndataset") :] for shown in ((built / "output.txt").read_text(), done.stdout)
    )
    assert first == again


def test_the_end_of_a_run_says_what_is_missing_and_how_to_load(built: Path) -> None:
    shown = (built / "output.txt").read_text()
    assert "of 60,000: the source has no more single-plot figures in the five domains" in shown
    assert 'load_dataset("llava-med/60k-im", split="train")' in shown
    card = (built / "llava-med" / "60k" / "README.md").read_text()
    assert "of 60,000: the source has no more single-plot figures in the five domains" in card
    assert "synthetic" in card


def test_the_call_works_in_a_notebook_whose_event_loop_is_running(tmp_path: Path) -> None:
    async def cell() -> BuildSummary:
        return llavamed_data.build(["60k-im"], BuildOptions(out=tmp_path / "sets", work=tmp_path / "work"))

    assert asyncio.run(cell()).datasets[0].rows == 38


def test_workers_do_not_change_a_byte(built: Path, tmp_path: Path) -> None:
    for workers in ("1", "3"):
        done = llavamed("build", "--workers", workers, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert digests(tmp_path / "llava-med") == digests(built / "llava-med")


@pytest.mark.slow
def test_killed_at_any_moment_a_rerun_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    for _ in range(6):
        command = [sys.executable, "-m", "llavamed_data", "build", "--workers", "2"]
        running = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.5, 3.0))
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = llavamed("build", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "llava-med") == digests(built / "llava-med")
    assert sorted(path.name for path in (tmp_path / "llava-med").iterdir()) == sorted(SETS)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["build", "70k"],
            2,
            "no recipe is called '70k': choose from alignment-600k, 10k, 60k, 60k-im, eval",
        ),
        (["build", "--sauce", "x"], 2, "No such option: --sauce"),
        (["build", "--source", "nowhere"], 2, "nowhere"),
        (["build", "--source", "jats:nowhere"], 2, "nowhere"),
        (["build", "60k-im", "--source", "released:nowhere", "--images", "x"], 2, "nowhere"),
        (["build", "--size", "0"], 2, "--size"),
        (["estimate", "vqa-rad", "--model", "gpt-4o"], 2, "vqa-rad is a benchmark, which no LLM writes"),
        (["build", "--out", "file.txt"], 2, "file.txt"),
        (["build", "--work", "file.txt"], 2, "file.txt"),
        (["--config", "missing.yaml", "build"], 2, "missing.yaml"),
        (["extract", "--source", "sample", "--out", "no/such/folder/pairs.parquet"], 2, "no/such/folder"),
        (["validate", "nowhere"], 2, "nowhere"),
        (["extract", "--source", "sample", "--out", "."], 2, "is a folder"),
        (["clean", "file.txt", "--out", "."], 2, "is a folder"),
        (["clean", "file.txt"], 2, "file.txt, line 1: no JSON (Expecting value): give JSON Lines"),
    ],
)
def test_a_wrong_call_gets_one_clear_line(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "file.txt").write_text("mine")
    done = llavamed(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_a_folder_that_build_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "llava-med" / "60k").mkdir(parents=True)
    (tmp_path / "llava-med" / "60k" / "thesis.txt").write_text("years of work")
    done = llavamed("build", "60k", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds something that build did not write" in done.stderr
    assert (tmp_path / "llava-med" / "60k" / "thesis.txt").read_text() == "years of work"


def test_a_link_in_place_of_the_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "llava-med").mkdir()
    (tmp_path / "llava-med" / "10k").symlink_to("../elsewhere")
    done = llavamed("build", "10k", cwd=tmp_path)
    assert done.returncode == 2
    assert "llava-med/10k is a link" in done.stderr
    assert (tmp_path / "llava-med" / "10k").is_symlink()


def test_a_full_disk_is_one_line_and_nothing_half_written_is_trusted(built: Path, tmp_path: Path) -> None:
    limited = f"ulimit -f 32; exec {sys.executable} -m llavamed_data build"  # 32 KiB a file
    uncovered = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, env=uncovered, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "rerun the same command" in done.stderr
    assert "Traceback" not in done.stderr
    assert llavamed("build", cwd=tmp_path).returncode == 0
    assert digests(tmp_path / "llava-med") == digests(built / "llava-med")


def test_settings_come_from_file_environment_and_flag_in_that_order(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("build:\n  out: from-file\n  size: 5\n")

    def sets(*flags: str, **env: str) -> list[str]:
        done = llavamed("--config", "settings.yaml", "build", "60k", *flags, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        return sorted(
            path.name for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith(".")
        )

    assert sets() == ["from-file"]
    assert sets(LLAVAMED_BUILD_OUT="from-environment") == ["from-environment", "from-file"]
    assert sets("--out", "flag", LLAVAMED_BUILD_OUT="from-environment") == [
        "flag",
        "from-environment",
        "from-file",
    ]
    assert pq.read_table(next((tmp_path / "flag/60k/data").iterdir())).num_rows == 5


def test_settings_and_the_environment_call_a_flag_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("build: {keep-eval-articles: true, size: 5, json: true}\n")
    done = llavamed("--config", "settings.yaml", "build", "60k", cwd=tmp_path)
    assert json.loads(done.stdout)["datasets"][0]["rows"] == 5
    done = llavamed("build", "60k", "--size", "5", cwd=tmp_path, env={"LLAVAMED_BUILD_JSON": "1"})
    assert json.loads(done.stdout)["datasets"][0]["rows"] == 5
    (tmp_path / "settings.yaml").write_text("import: {from: llava, out: imported}\n")
    done = llavamed("--config", "settings.yaml", "import", "nowhere.json", cwd=tmp_path)
    assert "there is no nowhere.json" in done.stderr
    (tmp_path / "settings.yaml").write_text("bild: {size: 5}\n")
    done = llavamed("--config", "settings.yaml", "build", "60k", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "settings.yaml name bild, which is no command: choose from build, extract" in done.stderr


@pytest.mark.slow
def test_a_lost_image_of_the_work_folder_is_fetched_anew_by_the_second_run_at_the_latest(
    built: Path, tmp_path: Path
) -> None:
    assert llavamed("build", "10k", cwd=tmp_path).returncode == 0
    image = next((tmp_path / ".llavamed").glob("sample-*/images/*/*/*.jpg"))
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    shutil.rmtree(tmp_path / "llava-med")
    done = llavamed("build", "10k", cwd=tmp_path)
    if done.returncode:
        assert "was removed: rerun the same command" in done.stderr
        assert llavamed("build", "10k", cwd=tmp_path).returncode == 0
    assert digests(tmp_path / "llava-med" / "10k") == digests(built / "llava-med" / "10k")


@pytest.mark.slow
def test_a_damaged_file_of_the_work_folder_is_named_with_the_way_out(built: Path, tmp_path: Path) -> None:
    assert llavamed("build", "10k", cwd=tmp_path).returncode == 0
    held = next((tmp_path / ".llavamed").glob("sample-*/10k/acquire/acquired.parquet"))
    data = bytearray(held.read_bytes())
    data[200:260] = bytes(60)
    held.write_bytes(data)
    shutil.rmtree(tmp_path / "llava-med")
    done = llavamed("build", "10k", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "is damaged" in done.stderr
    assert str(held.parent.parent.relative_to(tmp_path)) in done.stderr
    shutil.rmtree(held.parent.parent)
    assert llavamed("build", "10k", cwd=tmp_path).returncode == 0
    assert digests(tmp_path / "llava-med" / "10k") == digests(built / "llava-med" / "10k")


def test_two_runs_in_one_work_folder_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / ".llavamed").mkdir()
    with (tmp_path / ".llavamed" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = llavamed("build", cwd=tmp_path)
    assert done.returncode == 1
    assert "another run is using .llavamed" in done.stderr
