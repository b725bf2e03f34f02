"""What a row of a benchmark becomes, and which rows are refused with which words."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import load_benchmark
from llavamed_data.sources.benchmarks import (
    BenchmarkQuestion,
    OriginalTypes,
    QuestionFilter,
    QuestionReader,
    open_benchmark,
)
from tests.llavamed_data.sources.benchmarks.drawn import RAD_ROWS, slake_row, write

RAD, SLAKE, PATH = map(load_benchmark, ("vqa-rad", "slake", "path-vqa"))


def rad(split: str = "train", **fields: Any) -> BenchmarkQuestion:
    return QuestionReader(RAD, QuestionFilter("en")).read(RAD_ROWS[0] | fields, split, 7)


def slake(language: str = "en", **fields: Any) -> BenchmarkQuestion:
    return QuestionReader(SLAKE, QuestionFilter("all")).read(slake_row(3, 0, language, **fields), "test", 1)


def refusal(**fields: Any) -> Drop:
    with pytest.raises(Drop) as caught:
        rad(**fields)
    return caught.value


def test_a_row_of_vqa_rad() -> None:
    assert rad() == BenchmarkQuestion(
        id="vqa-rad-train-1",
        split="train",
        image="synpic1.jpg",
        question="Is there a mass?",
        answer="Yes",
        answer_type="CLOSED",  # the file has "CLOSED "
        question_type="PRES",  # the file has "PRSE"
        language="en",
        domain=None,
    )


def test_numbers_become_text_and_blanks_at_the_ends_go() -> None:
    assert rad(answer=2).answer == "2"
    assert rad(answer=0.5).answer == "0.5"
    assert rad(answer='" superficial ').answer == '" superficial'


@pytest.mark.parametrize("answer", ["", "  "])
def test_slake_has_a_row_whose_answer_is_empty_and_the_others_have_none(answer: str) -> None:
    assert slake(answer=answer, answer_type="OPEN").answer == ""
    assert refusal(answer=answer).detail == "answer is empty"


def test_question_types_may_be_several() -> None:
    assert rad(question_type="ATRIB,PRES").question_type == "ATTRIB, PRES"
    assert rad(question_type=" ").question_type is None


def test_an_unknown_answer_type_is_unknown_and_not_guessed() -> None:
    assert rad(answer="yes", answer_type="?").answer_type is None
    assert rad(answer="yes", answer_type=None).answer_type is None


def test_pathvqa_is_closed_where_the_answer_is_yes_or_no() -> None:
    reader = QuestionReader(PATH, QuestionFilter("en"))
    row = {"image": "test_0001", "question": "q"}
    types = [reader.read(row | {"answer": answer}, "test", 1).answer_type for answer in ("Yes", "no", "none")]
    assert types == ["CLOSED", "CLOSED", "OPEN"]


def test_rows_without_a_number_are_named_by_their_place() -> None:
    question = QuestionReader(PATH, QuestionFilter("en")).read(
        {"image": "a", "question": "q", "answer": "b"}, "validation", 12
    )
    assert question.id == "path-vqa-validation-00012"


def test_no_two_rows_share_an_id() -> None:
    reader = QuestionReader(RAD, QuestionFilter("en"))
    ids = [reader.read(RAD_ROWS[0] | {"qid": qid}, "train", 1).id for qid in (1, "1", "1", "../x")]
    assert ids == ["vqa-rad-train-1", "vqa-rad-train-1~2", "vqa-rad-train-1~3", "vqa-rad-train-00001"]


@pytest.mark.parametrize(
    ("phrase", "split", "kept"),
    [("para", "train", True), ("frame", "train", False), ("frame ", "train", False), ("frame", "test", True)],
)
def test_the_paper_trains_on_freeform_and_para_alone(phrase: str, split: str, kept: bool) -> None:
    if kept:
        assert rad(split, phrase_type=phrase)
    else:
        assert refusal(split=split, phrase_type=phrase).reason == Reason.PHRASE_EXCLUDED
    assert QuestionReader(RAD, QuestionFilter("en", all_phrases=True)).read(RAD_ROWS[2], "train", 1)


def test_languages_are_chosen() -> None:
    reader = QuestionReader(SLAKE, QuestionFilter("zh"))
    assert reader.read(slake_row(1, 0, "zh"), "test", 1).language == "zh"
    with pytest.raises(Drop) as caught:
        reader.read(slake_row(2, 0, "en"), "test", 2)
    assert caught.value.reason == Reason.LANGUAGE_EXCLUDED
    assert slake("zh").question == "这是CT吗?"


@pytest.mark.parametrize(
    ("modality", "location", "domain"),
    [
        ("X-Ray", "Lung", "chest_xray"),
        ("X-Ray", "Chest_heart", "chest_xray"),
        ("X-Ray", "Neck", None),
        ("CT", "Abdomen", "ct_scan"),
        ("MRI", "Brain_Tissue", "mri"),
        ("PET", "Brain", None),
    ],
)
def test_slake_states_modalities_that_are_domains(modality: str, location: str, domain: str | None) -> None:
    assert slake(modality=modality, location=location).domain == domain


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"answer": None}, "answer is missing"),
        ({"answer": "  "}, "answer is empty"),
        ({"answer": True}, "answer is a bool"),
        ({"answer": math.inf}, "answer is inf"),
        ({"answer": ["a"]}, "answer is a list"),
        ({"question": "x" * 100_001}, "question has 100,001 characters"),
        ({"question": "<image> what?"}, "question holds <image>"),
        ({"question": "\ud800"}, "question is not valid UTF-8"),
        ({"image_name": "../../etc/passwd"}, "plain name"),
        ({"image_name": "/etc/passwd"}, "plain name"),
        ({"image_name": ""}, "plain name"),
        ({"image_name": None}, "the image's name is missing"),
        ({"q_lang": "fr"}, "the language 'fr' is none of en"),
    ],
)
def test_malformed_rows_are_dropped_with_what_is_wrong(fields: dict[str, Any], says: str) -> None:
    drop = refusal(**fields)
    assert drop.reason == Reason.MALFORMED_ROW
    assert says in drop.detail


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from([*RAD_ROWS[0], "q_lang", "modality", "location", "img_name", "content_type"])


@settings(deadline=None)
@given(st.dictionaries(_FIELDS, _JSON) | _JSON)
def test_any_record_is_a_question_or_a_drop(record: Any) -> None:
    reader = QuestionReader(SLAKE, QuestionFilter("all"))
    assert reader.label(record, "test", 1).startswith("slake-test-")
    try:
        question = reader.read(record, "test", 1)
    except Drop:
        return
    assert question.question
    assert question.answer
    json.dumps([question.id, question.question, question.answer], ensure_ascii=False).encode()


def test_types_are_joined_by_question_and_answer(tmp_path: Path) -> None:
    """`Is there a mass?` – `Yes` is closed in the original file; where two rows differ, nothing is known."""
    twice = [RAD_ROWS[3], RAD_ROWS[3] | {"qid": 9, "answer_type": "OPEN"}]
    write(tmp_path / "trainset.json", json.dumps([RAD_ROWS[0]]))
    write(tmp_path / "testset.json", json.dumps(twice))
    records = open_benchmark(RAD, str(tmp_path)).records(lambda *_: "image")
    original = OriginalTypes(RAD, records)
    reader = QuestionReader(RAD, QuestionFilter("en"))

    def joined(split: str, question: str, answer: str) -> tuple[str | None, str | None]:
        record = {"image": "x.jpg", "question": question, "answer": answer}
        found = original.complete(reader.read(record, split, 1))
        return found.answer_type, found.question_type

    assert joined("train", "is there a  mass?", "yes") == ("CLOSED", "PRES")
    assert joined("test", "is there a mass?", "yes") == (None, None)
    assert joined("test", "ct or mri?", "mri") == (None, "MODALITY")
