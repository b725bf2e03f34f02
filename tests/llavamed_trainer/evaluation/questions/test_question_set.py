"""The questions of a benchmark as they are read from a dataset or from an original file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.questions import Question, load_questions
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set

SLAKE = {"answer_type": "OPEN", "question_type": "Organ", "language": "en"}


@pytest.fixture
def slake(tmp_path: Path) -> Path:
    """Two English questions about one image, and a Chinese one."""
    rows = [
        make_row("slake-1", "Which organ?", "lung", drawn(1), **{**SLAKE, "domain": "ct_scan"}),
        make_row("slake-2", "Is it healthy?", "No", drawn(1), **{**SLAKE, "answer_type": "closed "}),
        make_row("slake-3", "哪个器官?", "肺", drawn(2), **{**SLAKE, "language": "zh"}),
    ]
    return make_set(tmp_path / "slake", "vqa", rows)


def test_a_row_of_a_built_set_becomes_a_question(slake: Path) -> None:
    questions = load_questions(str(slake))
    assert (questions.name, questions.split) == ("slake", "test")
    assert questions.questions == (
        Question("slake-1", "Which organ?", "lung", "OPEN", "Organ", "ct_scan", "en", "slake-1.jpg"),
        # the original files have stray blanks and either case in their answer types
        Question("slake-2", "Is it healthy?", "No", "CLOSED", "Organ", None, "en", "slake-2.jpg"),
    )


def test_a_question_of_the_evaluation_set_has_the_text_of_its_figure(tmp_path: Path) -> None:
    row = make_row(
        "f1-q0", "What is it?", "A nodule.", None, caption="A nodule in the lung.", figure_label="Figure 1",
        inline_mentions=["Figure 1 shows it."], domain="chest_xray", question_type="conversation", question_id=0,
    )  # fmt: skip
    (question,) = load_questions(str(make_set(tmp_path / "eval", "eval", [row]))).questions
    assert (question.caption, question.figure_label) == ("A nodule in the lung.", "Figure 1")
    assert question.inline_mentions == ("Figure 1 shows it.",)
    assert (question.domain, question.answer_type, question.image) == ("chest_xray", None, None)


def test_a_benchmarks_name_means_the_set_that_build_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_set(tmp_path / "llava-med" / "slake", "vqa", [make_row("1", "Q?", "A.", None, **SLAKE)])
    make_set(tmp_path / "llava-med" / "eval", "eval", [
        make_row("2", "Q?", "A.", None, question_id=0, question_type="conversation")
    ])  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert [question.id for question in load_questions("slake").questions] == ["1"]
    assert [question.id for question in load_questions("eval").questions] == ["2"]


@pytest.mark.parametrize(
    ("folder", "row", "question"),
    [
        (
            "vqa_rad",
            {"qid": 7, "question": "How many?", "answer": 12, "answer_type": "OPEN ", "question_type": "COUNT",
             "image_name": "1.jpg"},
            Question("7", "How many?", "12", "OPEN", "COUNT", None, "en", "1.jpg"),
        ),
        (
            "slake",
            {"qid": 8, "question": "左?", "answer": "是", "answer_type": "closed", "content_type": "Position",
             "q_lang": "zh", "img_name": "x/source.jpg"},
            Question("8", "左?", "是", "CLOSED", "Position", None, "zh", "x/source.jpg"),
        ),
    ],
)  # fmt: skip
def test_original_files_are_named_after_their_folder(
    folder: str, row: dict[str, Any], question: Question, tmp_path: Path
) -> None:
    path = tmp_path / folder / "test.json"
    path.parent.mkdir()
    path.write_text(json.dumps([row]))
    questions = load_questions(str(path), language="all")
    assert questions.name == folder.replace("_", "-")
    assert questions.questions == (question,)
    assert questions.images is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("testset.json", "test"),
        ("trainset.json", "train"),
        ("validate.json", "validation"),
        ("VQA_RAD_train.json", "train"),
        ("questions.json", "test"),
        ("my_eval.json", "test"),
        ("retrained.json", "test"),
    ],
)
def test_an_original_file_is_of_the_split_that_its_name_states(name: str, split: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(
        json.dumps([{"qid": 1, "question": "Left?", "answer": "Yes", "answer_type": "CLOSED"}])
    )
    assert load_questions(str(tmp_path / name)).split == split


def test_a_file_that_is_no_original_file_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[{"question": "?"}]')
    with pytest.raises(UsageError, match="wrong.json is not an original test file"):
        load_questions(str(wrong))


def test_the_language_decides_which_questions_count(slake: Path) -> None:
    assert [question.id for question in load_questions(str(slake), language="zh").questions] == ["slake-3"]
    assert len(load_questions(str(slake), language="all").questions) == 3
    with pytest.raises(UsageError, match="has no question in the language 'fr', only: en, zh"):
        load_questions(str(slake), language="fr")


def test_a_set_or_split_that_is_not_there_is_named(slake: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no split 'train': choose from test"):
        load_questions(str(slake), "train")
    with pytest.raises(UsageError, match="not a dataset's folder"):
        load_questions(str(tmp_path / "none"))


@pytest.mark.parametrize("texts", [["same", "same"], ["one", ""]])
def test_ids_that_do_not_tell_rows_apart_are_refused(texts: list[str], tmp_path: Path) -> None:
    folder = make_set(
        tmp_path / "set", "vqa", [make_row(identity, "Q?", "A.", None, **SLAKE) for identity in texts]
    )
    with pytest.raises(UsageError, match="has the id 'same' twice|row 1 of"):
        load_questions(str(folder))


def test_a_row_of_two_rounds_is_refused(tmp_path: Path) -> None:
    row = make_row("long", "Q?", "A.", None, **SLAKE)
    row["messages"] = row["messages"] * 2
    with pytest.raises(UsageError, match="row 'long' of .* is not one question and its answer"):
        load_questions(str(make_set(tmp_path / "set", "vqa", [row])))


@pytest.fixture
def illustrated(tmp_path: Path) -> Path:
    """Two splits; the second has two shards of several row groups, a Chinese question and a lost image."""

    def rows(split: str, numbers: range) -> list[dict[str, Any]]:
        return [
            make_row(
                f"{split}-{number}", "Q?", "A.", None if number == 4 else drawn(number + 50 * (split == "train")),
                **{**SLAKE, "language": "zh" if number == 2 else "en"},
            )
            for number in numbers
        ]  # fmt: skip

    folder = make_set(tmp_path / "set", "vqa", rows("test", range(3)), "test")
    for shard, numbers in enumerate((range(5), range(5, 9))):
        made = make_set(tmp_path / f"shard{shard}", "vqa", rows("train", numbers), "train")
        table = pq.read_table(next(made.glob("data/*.parquet")))
        pq.write_table(table, folder / f"data/train-0000{shard}-of-00002.parquet", row_group_size=2)
    return folder


def test_images_are_read_by_the_id_of_their_question(illustrated: Path) -> None:
    images = load_questions(str(illustrated), "train", "all").images
    assert images is not None
    digests = images.digests()
    assert [len(digests[f"train-{number}"]) for number in range(9)] == [
        1,
        1,
        1,
        1,
        0,
        1,
        1,
        1,
        1,
    ]  # 4 is lost
    for number in (0, 1, 3, 5, 8):
        stored = images.read(f"train-{number}")
        assert stored == drawn(number + 50)
        assert digests[f"train-{number}"] == (hashlib.sha256(stored).hexdigest(),)
    with pytest.raises(KeyError):
        images.read("train-4")


def test_images_of_questions_in_other_languages_are_left_out(illustrated: Path) -> None:
    images = load_questions(str(illustrated), "test", "zh").images
    assert images is not None
    assert list(images.digests()) == ["test-2"]
    assert images.read("test-2") == drawn(2)


def test_a_model_cannot_answer_an_original_file_which_has_no_images(tmp_path: Path) -> None:
    path = tmp_path / "vqa_rad" / "testset.json"
    path.parent.mkdir()
    path.write_text(json.dumps([{"qid": 1, "question": "Q?", "answer": "A.", "answer_type": "OPEN"}]))
    command = ["predict", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--benchmark", str(path)]
    refused = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out.jsonl")]).exception
    assert isinstance(refused, LlavaMedError)
    assert "holds no images: build the set with python -m llavamed_data build vqa-rad" in str(refused)
