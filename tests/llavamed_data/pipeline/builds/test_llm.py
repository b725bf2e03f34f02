"""`build --generator openai` and `openai-batch` through the command line, against a real server of the API."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import llavamed_data
from llavamed_data.recipes import DOMAINS
from llavamed_data.review.flags import read_flags
from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.servers.openai import KEY, Server, Settings, running

ENVIRONMENT = {"OPENAI_API_KEY": KEY}


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def build(server: Server, folder: Path, *flags: str, recipe: str = "60k-im", **settings: Any) -> Any:
    asked = ["build", recipe, "--generator", "openai", "--model", "gpt-4o", "--base-url", server.url]
    return llavamed(*asked, *flags, cwd=folder, env=settings.pop("env", ENVIRONMENT))


def rows(folder: Path, name: str = "60k-im") -> list[dict[str, Any]]:
    return pq.read_table(next((folder / "llava-med" / name / "data").iterdir())).to_pylist()


def test_conversations_come_from_the_model_and_every_row_says_so(server: Server, tmp_path: Path) -> None:
    done = build(server, tmp_path)
    assert done.returncode == 0, done.stderr
    written = rows(tmp_path)
    assert len(written) <= len(set(server.asked)) == len(server.asked)
    for row in written:
        stated = row["provenance"]
        assert stated["generator"] == "openai"
        assert stated["model"].startswith("gpt-4o")
        assert len(stated["prompt_sha256"]) == len(stated["few_shots_sha256"]) == 64
        assert stated["rules_version"]
    card = (tmp_path / "llava-med/60k-im/README.md").read_text()
    assert "A language model wrote the text" in card
    assert "model gpt-4o" in card
    assert llavamed("validate", "llava-med/60k-im", cwd=tmp_path).returncode == 0


def test_an_answer_on_file_is_never_asked_for_again(server: Server, tmp_path: Path) -> None:
    assert build(server, tmp_path).returncode == 0
    first, asked = rows(tmp_path), len(server.asked)
    for path in (tmp_path / ".llavamed").glob("sample-*/60k-im/converse/manifest.json"):
        path.unlink()
    assert build(server, tmp_path).returncode == 0
    assert len(server.asked) == asked
    assert rows(tmp_path) == first


def recorded_keys(journal: Path) -> set[str]:
    """The keys of the answers on file; a line that is not whole does not count."""
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    return {json.loads(line)["key"] for line in lines if line.endswith("\n") and "key" in json.loads(line)}


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(Settings(latency=0.2)) as server:
        command = [sys.executable, "-m", "llavamed_data", "build", "60k-im", "--generator", "openai"]
        flags = ["--model", "gpt-4o", "--base-url", server.url, "--rpm", "600"]
        environment = {**ENVIRONMENT, "PATH": "/usr/bin:/bin"}
        running_build = subprocess.Popen(
            [*command, *flags],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        journal = tmp_path / ".llavamed/journal.jsonl"
        deadline = time.monotonic() + 60
        while len(recorded_keys(journal)) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        running_build.send_signal(signal.SIGKILL)
        running_build.wait()
        on_file = recorded_keys(journal)
        assert on_file
        before = len(server.asked)
        assert build(server, tmp_path, "--rpm", "600").returncode == 0
        assert len(server.asked) - before == len(set(server.asked)) - len(on_file)


@pytest.mark.slow
def test_a_silent_server_shows_in_a_log_and_ends_the_run_in_one_line(tmp_path: Path) -> None:
    with running(Settings(latency=60.0)) as server:
        done = build(server, tmp_path, "--timeout", "10")
    assert done.returncode == 1
    *reports, error = done.stderr.strip().splitlines()
    assert reports
    assert all(line.startswith(f"no answer of {server.url} for ") for line in reports)
    assert error.startswith(
        f"error: {server.url} took the requests and answered none within --timeout 10 seconds"
    )


def test_refused_requests_are_counted_and_no_reasoning_is_in_a_row(server: Server, tmp_path: Path) -> None:
    server.settings.triggers = {"axial": "odd-400"}
    server.settings.thinks = "think-closed-only"
    done = build(server, tmp_path, "--timeout", "60")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if " answers of gpt-4o for $" in line)
    refused = server.statuses[400]
    assert refused
    assert f"{server.answers} answers of gpt-4o" in line
    assert f"{refused} refused or failed" in line
    assert "draft" not in str([row["messages"] for row in rows(tmp_path)])


def test_caption_only_sets_are_asked_without_mentions(server: Server, tmp_path: Path) -> None:
    done = llavamed("estimate", "60k", "--model", "gpt-4o", "--dry-run", cwd=tmp_path)
    with_mentions = llavamed("estimate", "60k-im", "--model", "gpt-4o", "--dry-run", cwd=tmp_path)
    assert done.returncode == with_mentions.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3
    assert all("Figure Context:" not in json.dumps(body["messages"][1:]) for body in json.loads(done.stdout))
    assert all(
        "Figure Context:" in body["messages"][-1]["content"] for body in json.loads(with_mentions.stdout)
    )
    assert not server.asked


def test_estimate_leaves_out_the_figures_of_the_articles_that_build_holds_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    llavamed_data.build("eval")
    captions = {row["caption"] for row in rows(tmp_path, "eval")}
    assert len(captions) == 3
    for domain in DOMAINS:
        Path("mine.yaml").write_text(f"{{recipe: 60k, name: mine, select: {{domains: [{domain}]}}}}")
        for body in llavamed_data.estimate("mine.yaml", "gpt-4o", dry_run=True):
            assert not [caption for caption in captions if caption in body["messages"][-1]["content"]]


def test_estimate_takes_few_articles_without_any_for_eval(tmp_path: Path) -> None:
    done = llavamed("estimate", "60k", "--model", "gpt-4o", "--limit", "1", "--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_eval_set_has_the_model_s_reference_answers(server: Server, tmp_path: Path) -> None:
    done = build(server, tmp_path, recipe="eval")
    assert done.returncode == 0, done.stderr
    asked = rows(tmp_path, "eval")
    figures = {row["pmcid"] for row in asked}
    assert len([row for row in asked if row["question_type"] == "detailed_description"]) == len(figures) == 3
    assert {row["provenance"]["generator"] for row in asked} == {"openai"}
    # one request a figure for its questions, one a question for its reference answer
    assert len(server.asked) == len(figures) + len(asked)
    assert llavamed("validate", "llava-med/eval", cwd=tmp_path).returncode == 0


def test_a_judge_keeps_the_best(server: Server, tmp_path: Path) -> None:
    done = build(server, tmp_path, "--judge", "judge", "--best", "7", "--json")
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path)) == 7
    step = next(s for s in json.loads(done.stdout)["stations"] if s["station"] == "converse")
    assert step["in"] == step["kept"] + sum(step["dropped"].values())
    assert step["kept"] == 7
    assert "conversations were dropped" in json.loads(done.stdout)["datasets"][0]["shortage"]


def test_the_scores_of_a_judge_are_written_as_flags(server: Server, tmp_path: Path) -> None:
    flags = tmp_path / "flags.jsonl"
    options = ["--judge", "judge", "--best", "7", "--flags", str(flags), "--json"]
    done = build(server, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    found = read_flags([flags])
    assert {row["id"] for row in rows(tmp_path)} < set(found)
    assert all(each.source == "judge" and 1 <= int(each.verdict) <= 10 for (each,) in found.values())
    flags.unlink()
    assert build(server, tmp_path, *options).returncode == 0  # the step is done; its scores are there
    assert read_flags([flags]) == found


@pytest.mark.slow
def test_the_batch_api_writes_the_same_conversations(server: Server, tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    (tmp_path / "batch").mkdir()
    assert build(server, tmp_path / "chat").returncode == 0
    done = build(server, tmp_path / "batch", "--generator", "openai-batch")
    assert done.returncode == 0, done.stderr
    assert [row["messages"] for row in rows(tmp_path / "batch")] == [
        row["messages"] for row in rows(tmp_path / "chat")
    ]
    assert {row["provenance"]["generator"] for row in rows(tmp_path / "batch")} == {"openai-batch"}


@pytest.mark.parametrize(
    ("flags", "env", "code", "says"),
    [
        ([], {"OPENAI_API_KEY": "sk-wrong"}, 1, "key"),
        (["--model", "gpt-5000"], ENVIRONMENT, 1, "gpt-5000"),
        (["--max-cost", "0.001"], ENVIRONMENT, 1, "0.001"),
        (["--judge", "judge"], ENVIRONMENT, 2, "--best"),
        (["--few-shots", "missing.yaml"], ENVIRONMENT, 2, "missing.yaml"),
        (["--generator", "oracle"], ENVIRONMENT, 2, "oracle"),
    ],
)
def test_what_cannot_go_on_stops_at_once_with_one_clear_line(
    server: Server, tmp_path: Path, flags: list[str], env: dict[str, str], code: int, says: str
) -> None:
    done = build(server, tmp_path, *flags, env=env)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "sk-" not in done.stderr + done.stdout
    assert not (tmp_path / "llava-med" / "60k-im").exists()


def test_cleaning_a_file_shows_which_rule_touched_which_turn(tmp_path: Path) -> None:
    row = {"id": "a", "turns": [["What is shown?", "According to the caption, a cyst is shown."]]}
    (tmp_path / "talk.jsonl").write_text(json.dumps(row) + "\n")
    done = llavamed("clean", "talk.jsonl", "--explain", "--out", "clean.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "According to the caption, a cyst is shown." in done.stdout
    cleaned = json.loads((tmp_path / "clean.jsonl").read_text())
    assert cleaned["turns"] == [["What is shown?", "A cyst is shown."]]
