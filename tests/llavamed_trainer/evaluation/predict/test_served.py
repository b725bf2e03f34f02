"""Answers through an OpenAI-compatible server, whatever the server does wrong."""

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llavamed_data.errors import LlavaMedError
from llavamed_data.llm import RunLimits
from llavamed_data.reasons import Drop
from llavamed_trainer.evaluation.predict import PredictOptions, predict
from llavamed_trainer.evaluation.predict.served import data_url
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set
from tests.servers.openai import KEY, Server, answer_text, running

CLOSED = "Is it 2?"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def options(server: Server, benchmark: Path, tmp_path: Path) -> PredictOptions:
    return PredictOptions(
        model="gpt-4o",
        benchmark=str(benchmark),
        base_url=server.url,
        work=tmp_path / "work",
        limits=RunLimits(backoff=0.01, attempts=6),
        timeout=2.0,
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_image_is_sent_with_its_bytes_unchanged(tmp_path: Path, options: PredictOptions) -> None:
    predict(tmp_path / "out.jsonl", options)
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == [f"q{number}" for number in range(28)]
    for number, row in enumerate(rows):
        seen = f"{hashlib.sha256(drawn(number // 3)).hexdigest()}\n{row['question']}"
        assert row["answer"] == answer_text([{"role": "user", "content": seen}])


def test_a_rerun_asks_only_what_is_not_in_the_journal(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    server.settings.triggers = {CLOSED: "wrong-model"}  # stops the run at the third question
    with pytest.raises(LlavaMedError, match="no model gpt-4o"):
        predict(tmp_path / "out.jsonl", replace(options, limits=RunLimits(concurrency=1)))
    assert server.answers == 2
    server.settings.triggers = {}
    report = predict(tmp_path / "out.jsonl", options)
    assert report is not None
    assert report.reused == 2
    assert server.answers == 28
    predict(tmp_path / "again.jsonl", options)
    assert server.answers == 28
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_a_server_that_fails_hangs_and_cuts_connections_changes_nothing(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    predict(tmp_path / "reliable.jsonl", options)
    server.settings.fault_share, server.settings.hang = 0.3, 3.0
    server.settings.fault_kinds = ("429", "500", "503", "reset", "malformed", "empty-choices")
    server.settings.queue = ["hang"]
    predict(tmp_path / "unreliable.jsonl", replace(options, work=tmp_path / "other"))
    assert (tmp_path / "reliable.jsonl").read_bytes() == (tmp_path / "unreliable.jsonl").read_bytes()


def test_a_server_that_takes_no_images_ends_the_run_at_once(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    server.settings.queue = ["no-images"] * 40
    with pytest.raises(LlavaMedError, match="does not support image input.*does it take images"):
        predict(tmp_path / "out.jsonl", replace(options, limits=RunLimits(concurrency=1)))
    assert server.answers == 0
    assert len(server.asked) < 28


def test_a_refused_image_is_named_and_the_rest_is_answered(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    server.settings.triggers = {CLOSED: "no-images"}
    with pytest.raises(LlavaMedError, match=r"1 of 28 questions have no answer \('q2': request refused"):
        predict(tmp_path / "out.jsonl", options)
    assert not (tmp_path / "out.jsonl").exists()
    report = predict(tmp_path / "out.jsonl", replace(options, partial=True))
    assert report is not None
    assert (report.answered, dict(report.unanswered)) == (27, {"request refused": 1})
    assert server.answers == 27
    server.settings.triggers = {}
    whole = predict(tmp_path / "out.jsonl", options)
    assert whole is not None
    assert (whole.answered, whole.reused) == (28, 27)


def test_truncated_answers_are_kept_and_counted(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    server.settings.triggers = {CLOSED: "length"}
    report = predict(tmp_path / "out.jsonl", options)
    assert report is not None
    assert (report.answered, report.truncated) == (28, 1)


def test_the_reasoning_of_a_model_is_no_part_of_its_answers(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    predict(tmp_path / "plain.jsonl", options)
    for kind in ("think", "think-closed-only", "channels", "parts"):
        server.settings.thinks = kind
        predict(tmp_path / f"{kind}.jsonl", replace(options, work=tmp_path / kind))
        assert (tmp_path / f"{kind}.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()
    server.settings.thinks, server.settings.needs_room = None, False
    server.settings.triggers = {CLOSED: "reasoning-field-cut"}
    report = predict(tmp_path / "cut.jsonl", replace(options, work=tmp_path / "cut", partial=True))
    assert report is not None
    assert (report.answered, dict(report.unanswered)) == (27, {"no answer": 1})


def test_an_unreadable_image_is_not_sent_and_a_lost_one_only_if_wanted(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    more: dict[str, Any] = {"question_type": "conversation"}
    rows = [
        make_row("torn", "What is it?", "A circle.", drawn(2)[:200], question_id=0, **more),
        make_row("lost", "What is it?", "A circle.", None, question_id=1, **more),
        make_row("sound", "What is it?", "A circle.", drawn(1), question_id=2, **more),
        make_row("torn too", "What is it?", "A circle.", b"GIF89a", question_id=3, **more),
    ]
    folder = make_set(tmp_path / "damaged", "eval", rows)
    out = tmp_path / "out.jsonl"
    report = predict(out, replace(options, benchmark=str(folder), lost_images="ask", partial=True))
    assert report is not None
    assert dict(report.unanswered) == {"image unreadable": 2}
    assert [row["id"] for row in rows_of(out)] == ["lost", "sound"]
    assert server.answers == 2


def test_several_images_are_sent_in_their_order_and_a_question_about_none_alone(
    tmp_path: Path, options: PredictOptions, server: Server
) -> None:
    more: dict[str, Any] = {"answer_type": "OPEN", "question_type": None, "language": "en"}
    two = make_row("two", "Which is larger?", "no", drawn(1), **more)
    two["images"].append({"bytes": drawn(2), "path": "second.jpg"})
    two["messages"][0]["content"].insert(0, {"type": "image", "text": None})
    none = make_row("none", "What is a cyst?", "no", None, **more)
    none["messages"][0]["content"].pop(0)
    folder = make_set(tmp_path / "several", "vqa", [two, none])
    report = predict(tmp_path / "out.jsonl", replace(options, benchmark=str(folder)))
    assert report is not None
    assert (report.answered, report.without_image) == (2, 0)
    digests = [hashlib.sha256(drawn(number)).hexdigest() for number in (1, 2)]
    seen = "\n".join([*digests, "Which is larger?"])
    assert [row["answer"] for row in rows_of(tmp_path / "out.jsonl")] == [
        answer_text([{"role": "user", "content": text}]) for text in (seen, "What is a cyst?")
    ]


@pytest.mark.parametrize(
    ("form", "kind"),
    [("JPEG", "jpeg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("TIFF", "png"), ("BMP", "png")],
)
def test_formats_that_servers_do_not_take_become_png(form: str, kind: str) -> None:
    stored = drawn(3, form)
    head, data = data_url(stored).split(",")
    assert head == f"data:image/{kind};base64"
    sent = base64.b64decode(data)
    assert (sent == stored) is (form not in ("TIFF", "BMP"))
    with Image.open(io.BytesIO(sent)) as opened, Image.open(io.BytesIO(stored)) as original:
        assert opened.size == original.size


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(Drop, match="image unreadable"):
        data_url(b"<html>not found</html>")
