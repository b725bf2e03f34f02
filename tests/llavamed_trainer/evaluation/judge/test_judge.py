"""The chat evaluation, against a server that answers and fails as real ones do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm import RunLimits
from llavamed_data.pipeline.builds.build import build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.judge import JudgeOptions, estimate_judgement, judge
from tests.llavamed_trainer.evaluation.benchmarks import make_row, make_set, write_lines
from tests.servers.openai import Server

QUICK = RunLimits(backoff=0.01, attempts=6)


@pytest.fixture
def options(server: Server, eval_set: Path, tmp_path: Path) -> JudgeOptions:
    return JudgeOptions(
        model="judge",
        benchmark=str(eval_set),
        base_url=server.url,
        work=tmp_path / "work",
        limits=QUICK,
        timeout=2.0,
    )


def test_every_question_is_judged_in_both_orders(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    result = judge(answers, tmp_path / "out.jsonl", options)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["order"]) for row in rows] == [
        (f"{number}_F1-q0", order) for number in range(20) for order in ("reference first", "candidate first")
    ]
    ratios = [
        row["candidate_score"] / row["reference_score"] for row in rows if row["order"] == "reference first"
    ]
    assert result.groups["overall"].reference_first == pytest.approx(sum(ratios) / 20 * 100)
    assert {name: group.questions for name, group in result.groups.items()} == {
        "conversation": 15, "detailed_description": 5, "chest_xray": 4, "mri": 4, "histology": 4, "gross": 4,
        "ct_scan": 4, "overall": 20,
    }  # fmt: skip
    assert result.candidate == "tiny"
    assert server.answers == 40


def test_the_first_score_is_that_of_the_answer_shown_first(
    answers: Path, tmp_path: Path, options: JudgeOptions
) -> None:
    judge(answers, tmp_path / "out.jsonl", options)
    for line in (tmp_path / "out.jsonl").read_text().splitlines():
        row = json.loads(line)
        first, second = row["said"].split("\n")[0].split()
        expected = (row["candidate_score"], row["reference_score"])
        if row["order"] == "reference first":
            expected = expected[::-1]
        assert (float(first), float(second)) == expected


def test_a_rerun_asks_nothing_and_writes_the_same(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    judge(answers, tmp_path / "a.jsonl", options)
    asked = len(server.asked)
    judge(answers, tmp_path / "b.jsonl", options)
    assert len(server.asked) == asked
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.scores.json").read_bytes() == (tmp_path / "b.scores.json").read_bytes()


def test_a_server_that_fails_a_third_of_the_time_changes_nothing(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    judge(answers, tmp_path / "reliable.jsonl", options)
    server.settings.fault_share, server.settings.hang = 0.3, 3.0
    server.settings.fault_kinds = ("429", "500", "503", "reset", "malformed", "empty-choices")
    server.settings.queue = ["hang"]
    unreliable = replace(options, work=tmp_path / "other")
    judge(answers, tmp_path / "unreliable.jsonl", unreliable)
    assert (tmp_path / "reliable.jsonl").read_bytes() == (tmp_path / "unreliable.jsonl").read_bytes()


def test_an_unreadable_verdict_is_asked_for_again(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    server.settings.queue = ["prose"]
    result = judge(answers, tmp_path / "out.jsonl", options)
    assert result.groups["overall"].questions == 20
    assert server.answers == 40
    assert len(server.asked) == 41


def test_a_question_without_a_verdict_is_an_error_unless_partial_scores_are_allowed(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    server.settings.triggers = {"Candidate 7.": "content-filter-400"}
    out = tmp_path / "out.jsonl"
    with pytest.raises(LlavaMedError, match=r"1 of 20 questions have no verdict \('7_F1-q0'"):
        judge(answers, out, options)
    assert not out.exists()
    (lost,) = (tmp_path / "out.unjudged.jsonl").read_text().splitlines()
    assert json.loads(lost)["id"] == "7_F1-q0"
    result = judge(answers, out, replace(options, partial=True))
    assert (result.asked, result.groups["overall"].questions) == (20, 19)


def test_the_judge_writes_its_own_references(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    result = judge(answers, tmp_path / "out.jsonl", replace(options, reference=True))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(row["reference"].startswith("The image shows finding") for row in rows)
    assert result.reference == "judge"
    assert server.answers == 60


def test_the_released_format_is_judged_by_order(answers: Path, tmp_path: Path, options: JudgeOptions) -> None:
    ours = [json.loads(line) for line in answers.read_text().splitlines()]
    rows = [
        {"question_id": 900 + place, "prompt": f"{row['question']}\n<image>", "text": row["answer"],
         "answer_id": "x", "model_id": "tiny", "metadata": {}}
        for place, row in enumerate(ours)
    ]  # fmt: skip
    released = write_lines(tmp_path / "released.jsonl", rows)
    judge(answers, tmp_path / "a.jsonl", options)
    judge(released, tmp_path / "b.jsonl", options)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    write_lines(released, rows[1:] + rows[:1])
    with pytest.raises(LlavaMedError, match=r"released.jsonl:1 was asked 'What about sign 1\?'"):
        judge(released, tmp_path / "c.jsonl", options)


def test_the_cost_limit_stops_the_run_and_a_rerun_goes_on(
    answers: Path, tmp_path: Path, options: JudgeOptions, server: Server
) -> None:
    dear = replace(options, model="gpt-4o", limits=replace(QUICK, max_cost=0.03, concurrency=1))
    with pytest.raises(LlavaMedError, match="max-cost"):
        judge(answers, tmp_path / "out.jsonl", dear)
    done = server.answers
    assert 0 < done < 40
    judge(answers, tmp_path / "out.jsonl", replace(dear, limits=QUICK))
    assert server.answers == 40


def test_the_estimate_counts_the_requests_that_judging_asks(
    answers: Path, options: JudgeOptions, server: Server
) -> None:
    priced = replace(options, model="gpt-4", reference=True)
    found = estimate_judgement(answers, priced)
    assert (found.requests, found.usage.completion_tokens) == (60, 60 * 200)
    # 30 and 60 dollars a million tokens
    assert found.dollars == pytest.approx(found.usage.prompt_tokens * 30e-6 + 12_000 * 60e-6)
    assert estimate_judgement(answers, replace(priced, both_orders=False, reference=False)).requests == 20
    command = ["judge", str(answers), "--benchmark", options.benchmark, "--model", "gpt-4", "--estimate"]
    assert "40 requests to gpt-4: " in CliRunner().invoke(app, command).stdout
    assert server.asked == []
    assert not answers.with_suffix(".judged.jsonl").exists()


def test_a_set_without_captions_cannot_be_judged(
    answers: Path, tmp_path: Path, options: JudgeOptions
) -> None:
    rows = [make_row("1", "Q?", "A.", b"x", answer_type="OPEN", question_type=None, language="en")]
    vqa = make_set(tmp_path / "vqa", "vqa", rows)
    with pytest.raises(UsageError, match="no captions"):
        judge(answers, tmp_path / "out.jsonl", replace(options, benchmark=str(vqa)))


def test_the_released_answers_are_in_the_groups_of_table_1(
    shared_data: Path, tmp_path: Path, options: JudgeOptions
) -> None:
    released = shared_data / "llava_med_eval"
    build(
        ("eval",),
        BuildOptions(
            source=f"released:{released}",
            images=str(released / "images"),
            keep_without_image=True,
            out=tmp_path / "llava-med",
            work=tmp_path / "build",
        ),
    )
    answers = released / "llava_med_qa50_instruct_caption_in_text_cleaned-60k-3epoch.json"
    whole = replace(options, benchmark=str(tmp_path / "llava-med/eval"))
    result = judge(answers, tmp_path / "out.jsonl", whole)
    assert {name: group.questions for name, group in result.groups.items()} == {
        "conversation": 143, "detailed_description": 50, "chest_xray": 37, "mri": 38, "histology": 44,
        "gross": 34, "ct_scan": 40, "overall": 193,
    }  # fmt: skip


def test_a_judgement_of_blind_answers_says_so(answers: Path, tmp_path: Path, options: JudgeOptions) -> None:
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert "images" not in judge(answers, tmp_path / "seen.jsonl", options).to_dict()
    write_lines(answers, [{**row, "images": "noise"} for row in rows])
    assert judge(answers, tmp_path / "blind.jsonl", options).images == "noise"
    assert json.loads((tmp_path / "blind.scores.json").read_text())["images"] == "noise"
