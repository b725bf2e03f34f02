"""Files of answers as other programs write them."""

import json
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.questions import Question, QuestionSet, read_answers

QUESTIONS = QuestionSet("mine", "test", (Question("q1", "Is it large?", "yes", "CLOSED"),))
RELEASED = {"question_id": 0, "prompt": "Is it large?", "text": "是的。", "model_id": "m"}


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + json.dumps({"id": "q1", "answer": "是的。"}, ensure_ascii=False).encode() + b"\r\n"
    )
    (answers,) = read_answers(path, QUESTIONS)
    assert [each.answer for each in answers.predictions] == ["是的。"]


@pytest.mark.parametrize("stated", [{"images": "blank"}, {"metadata": {"images": "blank"}}])
def test_released_lines_of_a_blind_model_are_known_as_such(stated: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(RELEASED | stated))
    (answers,) = read_answers(path, QUESTIONS)
    assert answers.images == "blank"


def test_an_unknown_kind_of_images_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(RELEASED | {"images": "grey"}))
    with pytest.raises(LlavaMedError, match="grey"):
        read_answers(path, QUESTIONS)
