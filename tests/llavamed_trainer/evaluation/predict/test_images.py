"""Questions asked with other images than their own, to see whether a model looks at them."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_data.llm import RunLimits
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.predict import PredictOptions, predict
from llavamed_trainer.evaluation.predict.substitutes import SubstituteImages, exchange
from llavamed_trainer.evaluation.questions import QuestionImages, load_questions
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set
from tests.servers.openai import KEY, Server, answer_text, running

MORE: dict[str, Any] = {"answer_type": "OPEN", "question_type": None, "language": "en"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with running() as server:
        yield server


@pytest.fixture
def served(server: Server, benchmark: Path, tmp_path: Path) -> PredictOptions:
    return PredictOptions(
        model="gpt-4o",
        benchmark=str(benchmark),
        base_url=server.url,
        work=tmp_path / "work",
        limits=RunLimits(backoff=0.01, attempts=6),
        timeout=20.0,
    )


def images_of(folder: Path) -> QuestionImages:
    images = load_questions(str(folder)).images
    assert images is not None
    return images


def decoded(stored: bytes) -> Image.Image:
    return Image.open(io.BytesIO(stored))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_blank_image_is_grey_and_as_large_as_the_questions_own(benchmark: Path) -> None:
    images = images_of(benchmark)
    blank = SubstituteImages(images, "blank", 0)
    for identity in ("q0", "q7"):
        shown = decoded(blank.read(identity))
        assert shown.size == decoded(images.read(identity)).size
        assert shown.getcolors() == [(shown.width * shown.height, (128, 128, 128))]


def test_noise_is_as_large_differs_from_question_to_question_and_follows_the_seed(benchmark: Path) -> None:
    images = images_of(benchmark)
    noise, again, other = (SubstituteImages(images, "noise", seed) for seed in (3, 3, 4))
    shown = decoded(noise.read("q4"))
    assert shown.size == decoded(images.read("q4")).size
    assert abs(np.asarray(shown).mean() - 127.5) < 4
    assert noise.read("q4") == again.read("q4") != other.read("q4")
    assert noise.read("q4") != noise.read("q5")  # two questions about one image
    assert noise.digests() == again.digests()
    assert len({digest for digests in noise.digests().values() for digest in digests}) == 28
    assert not set(noise.digests().values()) & set(other.digests().values())


def test_a_photograph_that_lies_on_its_side_is_replaced_by_an_upright_image(tmp_path: Path) -> None:
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(stored, "JPEG", exif=exif)
    folder = make_set(tmp_path / "turned", "vqa", [make_row("a", "What?", "It.", stored.getvalue(), **MORE)])
    assert decoded(SubstituteImages(images_of(folder), "blank", 0).read("a")).size == (20, 40)


def test_shuffled_images_are_those_of_other_questions_each_once(benchmark: Path) -> None:
    images = images_of(benchmark)
    shuffled = SubstituteImages(images, "shuffled", 0)
    own, shown = images.digests(), shuffled.digests()
    for identity in own:
        assert shown[identity] != own[identity]
        assert hashlib.sha256(shuffled.read(identity)).hexdigest() == shown[identity][0]
    assert set(shown.values()) == set(own.values())
    assert shown["q0"] == shown["q1"] == shown["q2"]  # they have one image
    assert SubstituteImages(images, "shuffled", 1).digests() != shown
    assert SubstituteImages(images, "shuffled", 0).digests() == shown


@given(
    st.lists(st.lists(st.sampled_from("abcdefghijkl"), max_size=3).map(tuple), max_size=12), st.integers(0, 9)
)
def test_no_question_is_shown_an_image_of_its_own(shown_together: list[tuple[str, ...]], seed: int) -> None:
    every = {digest for digests in shown_together for digest in digests}
    try:
        exchanged = exchange(shown_together, seed)
    except UsageError:
        assert every  # that some sets cannot be exchanged is tested below
        return
    assert set(exchanged) == set(exchanged.values()) == every
    for digests in shown_together:
        assert not {exchanged[digest] for digest in digests} & set(digests)


@pytest.mark.parametrize(
    ("shown_together", "message"),
    [
        ([("a",), ("a",)], "of 1 different image, 1 belongs to questions that show the same"),
        ([("a", "b"), ("c",)], "of 3 different images, 2 belong to questions that show the same"),
        ([("a", "b"), ("b", "c"), ("d",)], "of 4 different images, 3 belong"),
    ],
)
def test_too_few_different_images_are_refused(shown_together: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        exchange(shown_together, 0)


def test_a_set_with_one_image_alone_cannot_be_shuffled(tmp_path: Path) -> None:
    rows = [make_row(name, "What?", "It.", drawn(1), **MORE) for name in "ab"]
    command = ["predict", "--benchmark", str(make_set(tmp_path / "one", "vqa", rows)), "--model", "gpt-4o"]
    out = tmp_path / "out.jsonl"
    flags = ["--images", "shuffled", "--base-url", "http://127.0.0.1:9/v1", "--out", str(out)]
    refused = CliRunner().invoke(app, command + flags).exception
    assert isinstance(refused, UsageError)
    assert "choose --images blank or noise" in str(refused)
    assert not out.exists()


@pytest.mark.parametrize("mode", ["blank", "noise", "shuffled"])
def test_a_server_is_sent_the_other_images_and_the_file_says_so(
    mode: Any, tmp_path: Path, served: PredictOptions, server: Server, benchmark: Path
) -> None:
    predict(tmp_path / "real.jsonl", served)
    predict(tmp_path / "blind.jsonl", replace(served, images=mode, seed=5))
    asked = server.answers
    shown = SubstituteImages(images_of(benchmark), mode, 5)
    rows = rows_of(tmp_path / "blind.jsonl")
    assert {row["images"] for row in rows} == {mode}
    for row in rows:
        seen = f"{hashlib.sha256(shown.read(row['id'])).hexdigest()}\n{row['question']}"
        assert row["answer"] == answer_text([{"role": "user", "content": seen}])
    assert all("images" not in row for row in rows_of(tmp_path / "real.jsonl"))
    stated = json.loads((tmp_path / "blind.run.json").read_text())
    assert (stated["images"], stated["seed"]) == (mode, None if mode == "blank" else 5)
    predict(tmp_path / "again.jsonl", replace(served, images=mode, seed=5))
    assert server.answers == asked  # all of it is in the journal
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "blind.jsonl").read_bytes()


def test_a_run_with_other_images_is_another_run(tmp_path: Path, served: PredictOptions) -> None:
    predict(tmp_path / "out.jsonl", replace(served, images="noise"))
    for other in (replace(served), replace(served, images="blank"), replace(served, images="noise", seed=1)):
        with pytest.raises(UsageError, match="belongs to another run"):
            predict(tmp_path / "out.jsonl", other)
    predict(tmp_path / "blank.jsonl", replace(served, images="blank"))
    report = predict(tmp_path / "blank.jsonl", replace(served, images="blank", seed=1))  # grey has no seed
    assert report is not None
    assert report.reused == 28


def test_the_first_questions_are_shown_what_the_whole_run_shows_them(
    tmp_path: Path, served: PredictOptions
) -> None:
    predict(tmp_path / "all.jsonl", replace(served, images="shuffled"))
    predict(tmp_path / "first.jsonl", replace(served, images="shuffled", limit=4))
    assert rows_of(tmp_path / "first.jsonl") == rows_of(tmp_path / "all.jsonl")[:4]


def test_every_image_of_a_question_is_replaced(tmp_path: Path, served: PredictOptions) -> None:
    rows = []
    for number, identity in enumerate(("two", "two more")):
        row = make_row(identity, "Which is larger?", "no", drawn(2 * number), **MORE)
        row["images"].append({"bytes": drawn(2 * number + 1), "path": "second.jpg"})
        row["messages"][0]["content"].insert(0, {"type": "image", "text": None})
        rows.append(row)
    none = make_row("none", "What is a cyst?", "no", None, **MORE)
    none["messages"][0]["content"].pop(0)
    folder = make_set(tmp_path / "several", "vqa", [*rows, none])
    report = predict(tmp_path / "out.jsonl", replace(served, benchmark=str(folder), images="shuffled"))
    assert report is not None
    assert report.answered == 3
    own, shown = (
        each.digests() for each in (images_of(folder), SubstituteImages(images_of(folder), "shuffled", 0))
    )
    assert set(shown["two"]) == set(own["two more"])
    assert set(shown["two more"]) == set(own["two"])
    assert shown["none"] == ()


def test_an_unreadable_image_stays_unreadable(tmp_path: Path, served: PredictOptions) -> None:
    rows = [
        make_row("torn", "What is it?", "A circle.", drawn(2)[:200], **MORE),
        make_row("sound", "What is it?", "A circle.", drawn(1), **MORE),
    ]
    folder = make_set(tmp_path / "damaged", "vqa", rows)
    for mode in ("real", "blank", "noise"):
        options = replace(served, benchmark=str(folder), images=mode, partial=True)  # type: ignore[arg-type]
        report = predict(tmp_path / f"{mode}.jsonl", options)
        assert report is not None
        assert dict(report.unanswered) == {"image unreadable": 1}
        assert [row["id"] for row in rows_of(tmp_path / f"{mode}.jsonl")] == ["sound"]


@pytest.mark.parametrize("file_format", ["ours", "released"])
def test_a_converted_file_of_blind_answers_stays_blind(
    file_format: str,
    tmp_path: Path,
    served: PredictOptions,
    benchmark: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict(tmp_path / "blind.jsonl", replace(served, images="noise", seed=5))
    monkeypatch.chdir(tmp_path)
    command = ["predict", "--benchmark", str(benchmark), "--answers"]
    done = CliRunner().invoke(app, [*command, "blind.jsonl", "--format", file_format])
    assert done.exit_code == 0, done.output
    made = f"predictions/{benchmark.name}-test-plain-noise.jsonl"
    done = CliRunner().invoke(app, [*command, made, "--out", "again.jsonl"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "blind.jsonl").read_bytes()
    refused = CliRunner().invoke(app, [*command, "blind.jsonl", "--images", "noise"]).exception
    assert "--images chooses what a --model is shown" in str(refused)


def test_the_default_name_says_what_was_asked_and_shown(
    tmp_path: Path, served: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "predict",
        "--benchmark",
        served.benchmark,
        "--model",
        "gpt-4o",
        "--base-url",
        str(served.base_url),
    ]
    for flags in (
        ["--prompt", "authors"],
        ["--prompt", "medevalkit", "--images", "shuffled", "--seed", "2"],
        ["--prompt", "lmms-eval", "--images", "blank", "--limit", "3"],
    ):
        done = CliRunner().invoke(app, [*command, *flags])
        assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "predictions").glob("*l")) == [
        "drawn-vqa-test-lmms-eval-blank-first3.jsonl",
        "drawn-vqa-test-lmms-eval-blank-first3.unanswered.jsonl",
        "drawn-vqa-test-medevalkit-shuffled-seed2.jsonl",
        "drawn-vqa-test-options.jsonl",
    ]


def test_a_model_on_this_machine_is_shown_grey_images(
    tmp_path: Path, varied_llava: Path, benchmark: Path
) -> None:
    """The same answers come from a set whose images are grey files of the same sizes."""
    options = PredictOptions(
        model=str(varied_llava), benchmark=str(benchmark), batch_size=5, max_new_tokens=12, limit=9
    )
    predict(tmp_path / "blank.jsonl", replace(options, images="blank"))
    rows = []
    for question in load_questions(str(benchmark)).questions[:9]:
        grey = io.BytesIO()
        size = decoded(images_of(benchmark).read(question.id)).size
        Image.new("RGB", size, "#808080").save(grey, "BMP")
        rows.append(
            make_row(
                question.id,
                question.text,
                question.reference,
                grey.getvalue(),
                **{**MORE, "answer_type": None},
            )
        )
    grey_set = make_set(tmp_path / "grey", "vqa", rows)
    predict(tmp_path / "grey.jsonl", replace(options, benchmark=str(grey_set)))
    predict(tmp_path / "real.jsonl", options)
    blank, grey_answers, real = (
        [row["answer"] for row in rows_of(tmp_path / f"{name}.jsonl")] for name in ("blank", "grey", "real")
    )
    assert blank == grey_answers != real
