"""The metrics on pairs whose scores are worked out by hand, and BLEU beside nltk's."""

import warnings
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu as nltk_bleu

from llavamed_trainer.evaluation.scoring import is_refusal, score_closed, score_open, sentence_bleu


def test_an_open_answer_word_by_word() -> None:
    # "left" and "lung" are right, "side" is wrong, "lower" is missed.
    score = score_open("Left lung side", "the left lower lung")
    assert score.recall == pytest.approx(2 / 3)  # tp 2, fn 1
    assert score.precision == pytest.approx(2 / 3)  # tp 2, fp 1
    assert score.f1 == pytest.approx(2 / 3)
    assert score.exact_match == pytest.approx(2 / 3)  # 2 distinct reference words of 3 predicted
    assert score.multiset_recall == pytest.approx(2 / 3)


def test_the_released_recall_counts_the_predictions_repetitions() -> None:
    # tp = 3 (lung lung lung), fn = 1 (left): 3/4, where the reference has lung once of two words.
    score = score_open("lung lung lung", "left lung")
    assert score.recall == 3 / 4
    assert score.precision == 1
    assert score.f1 == pytest.approx(2 * (3 / 4) / (7 / 4))
    assert score.exact_match == 1 / 3
    assert score.multiset_recall == 1 / 2


def test_a_word_that_the_reference_repeats_counts_once_if_it_is_in_both() -> None:
    # tp is counted in the prediction: 1; nothing is missed, for "left" is in both.
    score = score_open("left", "left left")
    assert (score.recall, score.precision, score.exact_match) == (1, 1, 1)
    assert score.multiset_recall == 1 / 2


def test_a_missed_word_counts_as_often_as_the_reference_has_it() -> None:
    assert score_open("lung", "lung left left").recall == 1 / 3


@pytest.mark.parametrize(
    ("answer", "truth"), [("", "lung"), ("lung", ""), ("the", "lung"), ("heart", "lung")]
)
def test_an_empty_side_or_no_word_in_common_scores_zero(answer: str, truth: str) -> None:
    assert astuple(score_open(answer, truth)) == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answer", "truth", "released", "by_words"),
    [
        ("Yes, there is.", "yes", True, True),
        ("No", "Yes", False, False),
        # Parts of words count in the released metric.
        ("It is abnormal.", "no", True, False),
        ("There is a nodule.", "No", True, False),
        # Both words: the released metric takes either, the strict one the first.
        ("Yes, no doubt.", "no", True, False),
        ("No, yes is wrong", "no", True, True),
        # Without yes or no the released metric is never right, whatever the truth.
        ("MRI", "mri", False, True),
        ("It is an MRI, yes", "mri", True, True),
        ("left", "left", False, True),
        ("leftover tissue", "left", False, False),
        # Number words are digits on both sides: "none" is not "no".
        ("none", "no", False, False),
        ("Axial plane, no doubt", "axial plane", True, True),
        ("plane axial, no doubt", "axial plane", False, False),
        ("", "yes", False, False),
    ],
)
def test_closed_answers(answer: str, truth: str, released: bool, by_words: bool) -> None:
    score = score_closed(answer, truth)
    assert (score.accuracy, score.word_accuracy) == (released, by_words)


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("**Yes**", "yes", True),
        ("**No**, there is none.", "yes", False),
        ("`yes`", "yes", True),
        ("__Yes__", "yes", True),
        ("# Yes", "yes", True),
        ("~~yes~~ no", "no", False),
        ("“Yes”", "yes", True),
        ("'Yes'", "yes", True),
        ("‘no’", "no", True),
        ("«No»", "no", True),
        ("No—there is no fracture", "no", True),
        ("Yes…", "yes", True),
        ("Yes！", "yes", True),
        ("Ｙｅｓ", "yes", True),
        ("Yes:it is", "yes", True),
        ("Yes.It is", "yes", True),
        ("\ufeffYes", "yes", True),
        ("Answer: **no**", "no", True),
        ("Isn’t it abnormal?", "no", False),
        ("**Axial** plane", "axial plane", True),
        ("X‑ray", "x-ray", True),
        ("10⁶", "106", False),
        ("是。", "是", True),
        ("是的，图中包含肺。", "包含", True),
        ("不包含。", "包含", False),
        ("不包含。", "不包含", True),
        ("图中没有异常", "不存在", True),
        ("没有", "有", False),
        ("否", "不是", True),
        ("对的！", "是的", True),
        ("**不是**", "不是", True),
        ("不，肺是健康的", "是", False),
        ("不正常", "正常", False),
        ("肺不张存在", "存在", True),  # atelectasis: its 不 negates nothing
        ("yes", "是", True),
        ("是", "yes", True),  # an English question is answered in Chinese
        ("肝脏。", "肝脏", True),
        ("最大的器官是肝脏", "肝脏", True),
        ("这是CT图像", "CT", True),
        ("右侧", "左侧", False),
        ("- T1-weighted", "T1-weighted", True),  # the dash of a list leaves other dashes as they are
        ("Yes,it is, on the left", "yes", True),
        ("1.Yes", "yes", True),
        ("No.I see none", "no", True),
        ("→Yes", "yes", True),
        ("✔\ufe0fyes\ufe0f", "yes", True),
        ("a matrix of 1,024", "1024", True),
        ("这是不正常的", "不正常", True),  # "this is not normal" says no
        ("是，没有异常", "是", True),
        ("答案：不是", "不是", True),
        ("答案是：没有。", "没有", True),
        ("答案是否", "否", True),
        ("肺是健康的吗？不是。", "不是", True),  # repeats the question first
        ("图中是否有肺？没有", "没有", True),
        ("无法判断", "不是", False),  # does not know, which is no "no"
        ("不确定是否存在", "存在", False),
        ("没错", "是", True),
        ("沒有", "没有", True),
        ("不健康", "健康", False),
        ("的", "是", False),
        ("", "是", False),
        ("是", "", False),
    ],
)
def test_strict_closed_scores_do_not_depend_on_marks_or_the_language_of_yes_and_no(
    answer: str, truth: str, right: bool
) -> None:
    assert score_closed(answer, truth).word_accuracy is right


@pytest.mark.parametrize(
    ("answer", "truth", "recall"),
    [
        ("**Left** “lung”", "left lung", 1.0),
        ("左肺，右上。", "左肺,右上", 1.0),
        ("肺结节。", "肺结节", 1.0),
        ("左肺", "右肺", 1 / 2),  # one of two characters
        ("肺", "心脏", 0.0),
        ("", "肺", 0.0),
        ("肺", "", 0.0),
    ],
)
def test_strict_recall_of_open_answers_does_not_depend_on_marks(
    answer: str, truth: str, recall: float
) -> None:
    assert score_open(answer, truth).multiset_recall == recall


def test_the_released_scores_see_marks_as_the_authors_do() -> None:
    assert score_closed("是。", "是").accuracy is False  # neither yes nor no in it: zero by construction
    assert score_open("肺。", "肺").recall == 0  # the stop is a part of the word


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("a b c d e", "a b c d e"),
        ("a b c d x", "a b c d e"),
        ("a b c d", "a b c d e f"),
        ("a", "a"),
        ("a a a a", "a a"),
        ("a b", "a c"),
        ("x y", "a b"),
        ("", "a"),
        ("a", ""),
        ("a b a b a b", "a b a b"),
    ],
)
def test_bleu_is_nltks_to_the_last_digit(answer: str, truth: str) -> None:
    _assert_same_as_nltk(answer.split(), truth.split())


_words = st.lists(st.sampled_from("abc"), max_size=12)


@settings(deadline=None)
@given(_words, _words)
def test_bleu_is_nltks_for_any_words(answer: list[str], truth: list[str]) -> None:
    _assert_same_as_nltk(answer, truth)


def _assert_same_as_nltk(words: list[str], truth: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sentence_bleu(words, truth) == nltk_bleu([truth], words)


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I'm sorry, but I can’t tell.", True),
        ("As an AI language model, I see", True),
        ("It is not possible to\ndetermine the plane", True),
        ("The nodule cannot be seen on the left", False),
        ("yes", False),
        ("", False),
    ],
)
def test_refusals(answer: str, refuses: bool) -> None:
    assert is_refusal(answer) is refuses
