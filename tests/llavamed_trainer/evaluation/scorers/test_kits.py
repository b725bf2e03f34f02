"""Each kit's rule gives the values of the kit's own code, its errors included.

The expected values come from running the kits' own functions on the same answers (MedEvalKit 9b12e3b, lmms-eval 0.7.3,
VLMEvalKit e8e78f0); `tests/benchmarks/compare_kits.py` runs them again, on many more.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_trainer.evaluation.questions import AnswerSet, Prediction, Question, QuestionSet
from llavamed_trainer.evaluation.questions.question_set import AnswerType
from llavamed_trainer.evaluation.scorers import KITS, RULES, AnswerScore, compare_scorers
from llavamed_trainer.evaluation.scoring import Resampling
from tests.benchmarks import compare_kits

CHOICES = ("Pneumothorax", "Pleural effusion", "No abnormality")


def scored(
    scorer: str,
    benchmark: str,
    answer: str,
    reference: str,
    answer_type: AnswerType = "OPEN",
    choices: tuple[str, ...] = (),
) -> AnswerScore:
    rule = RULES[scorer] if scorer in RULES else KITS[scorer].rule_for(benchmark)
    assert rule
    score = rule.score(
        Prediction(Question("1", "?", reference, answer_type, choices=choices), "?", "plain", answer, "m")
    )
    assert score
    return score


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("Yes.", "yes", True),
        ("No fracture", "no", True),
        ("Yes, abnormal", "yes", False),
        ("Normal", "no", True),
        ("I do not know", "no", True),
        ("**Answer**: yes", "yes", True),
        (r"It is \boxed{no}, yes", "no", True),
        ("<answer>yes</answer> not no", "yes", True),
        ("是的", "yes", False),
        ("", "yes", False),
        ("none", "No ", True),
        (r"yes \boxed{", "yes", False),
    ],
)
def test_medevalkit_looks_for_yes_or_no_in_any_part_of_a_word(
    answer: str, reference: str, is_right: bool
) -> None:
    score = scored("medevalkit", "vqa-rad", answer, reference)
    assert score.kind == "closed"  # whatever the set says of the question
    assert score.values["closed_accuracy"] == is_right
    assert scored("medevalkit", "path-vqa", answer, reference) == score


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("yes", "Yes", True),
        ("Yes.", "Yes", True),
        (" Yes", "Yes", False),
        ("Yes, abnormal", "Yes", False),
        ("left lung.\n", "Left Lung", True),
        ("是的", "是的", True),
        ("是", "是的", False),
        ("The answer is MRI", "MRI", False),
        (r"\boxed{MRI}", "MRI", True),
    ],
)
def test_medevalkit_compares_closed_answers_of_slake_exactly(
    answer: str, reference: str, is_right: bool
) -> None:
    score = scored("medevalkit", "slake", answer, reference, "CLOSED")
    assert (score.kind, score.values["closed_accuracy"]) == ("closed", is_right)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        # em, BLEU-1 to 4, ROUGE-1, 2, L, and what the kit calls precision, recall and F1
        ("left lung", "left lung", (1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1)),
        (
            "There is a pleural effusion. It is large.",
            "Pleural effusion",
            (0, 0.2, 0.149071, 0, 0, 0.444444, 0.25, 0.444444, 0.222222, 0.142857, 0.5),
        ),
        ("t1", "T1", (1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1)),
        ("small round mass. small", "small, round", (0, 0.2, 0, 0, 0, 0.4, 0, 0.4, 0.4, 0.333333, 0.5)),
        (
            "the left lung and the heart",
            "the heart and the left lung",
            (0, 1, 0.894427, 0.584804, 0, 1, 0.8, 0.6, 1, 1, 1),
        ),
        ("a", "b", (0,) * 11),
    ],
)
def test_medevalkit_scores_open_answers_with_mixed_up_names(
    answer: str, reference: str, expected: tuple[float, ...]
) -> None:
    """What the kit calls precision is F1, what it calls recall is precision, and what it calls F1 is recall."""
    names = (
        *("exact_match", "bleu1", "bleu2", "bleu3", "bleu4", "rouge1", "rouge2", "rouge_l"),
        *("precision", "recall", "f1"),
    )
    values = scored("medevalkit", "slake", answer, reference).values
    assert [values[f"open_{name}"] for name in names] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "reference", "error"),
    [
        ("", "left", "ValueError"),
        ("...", "left", "ValueError"),
        ("left", "", "ValueError"),
        ("\n ", "left", "TypeError"),
    ],
)
def test_where_medevalkit_stops_an_answer_counts_zero_and_the_score_says_so(
    answer: str, reference: str, error: str
) -> None:
    score = scored("medevalkit", "slake", answer, reference)
    assert error in score.kit_stops
    assert set(score.values.values()) == {0.0}


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("B", "B", True),
        ("b.", "B", True),
        ("(B)", "B", False),
        ("Answer: B", "B", True),
        ("The answer is B", "B", True),
        ("B. Pleural effusion", "B", True),
        ("Pleural effusion", "B", True),
        ("", "A", True),  # what cannot be read counts as the first choice
        ("", "B", False),
        ("The image shows an effusion", "B", True),
        ("I think C\n\nB", "B", True),
        (r"\boxed{B}", "B", True),
        ("<answer>B</answer>", "B", True),
        ("nothing abnormal here", "C", True),
        ("It is B, not A", "B", False),
    ],
)
def test_medevalkit_takes_the_most_similar_choice(answer: str, reference: str, is_right: bool) -> None:
    score = scored("medevalkit", "medxpertqa-mm", answer, reference, "CHOICE", CHOICES)
    assert (score.kind, score.values) == ("choice", {"accuracy": is_right})


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "Z"),
        ("(B)", "B"),
        ("Answer: B", "B"),
        ("The answer is B because of the fluid level on the right", "B"),
        ("The answer is a fracture of the rib here", "A"),
        ("A chest film", "A"),
        ("pleural effusion", "B"),
        ("pneumothorax or pleural effusion", "Z"),
        ("", "Z"),
        ("Z", "Z"),
        ("B or C", "Z"),
        ("I'm sorry, but without the image provided I cannot", "Z"),
        ("It is B: the costophrenic angle is blunted here", "Z"),
    ],
)
def test_vlmevalkit_takes_the_only_letter_at_the_end_or_the_only_choice(answer: str, letter: str) -> None:
    """Z is what the kit says where it would ask an LLM."""
    score = scored("vlmevalkit", "pathmmu", answer, "B", "CHOICE", CHOICES)
    assert (score.compared, score.values) == (letter, {"accuracy": letter == "B"})


@pytest.mark.parametrize(
    ("answer", "lmms_eval", "medevalkit"),
    [
        ("B", 1, 1),
        ("(B)", 1, 1),
        ("Answer: B", 1, 1),
        ("MRA of it", 0, 1 / 3),  # lmms-eval takes the A at the end of a word for the letter
        ("(A) no, (B)", 1, 1),
        ("It shows clearly a pleural effusion on the left", 1, 1),
        ("effusion", 1 / 3, 1 / 3),  # both draw a letter
        ("", 1 / 3, 1 / 3),
        ("B\nbecause", 1 / 3, 1 / 3),
    ],
)
def test_where_a_kit_draws_a_letter_its_chance_of_being_right_counts(
    answer: str, lmms_eval: float, medevalkit: float
) -> None:
    for scorer, expected in (("lmms-eval", lmms_eval), ("medevalkit", medevalkit)):
        score = scored(scorer, "mmmu-medical", answer, "B", "CHOICE", CHOICES)
        assert score.values["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("It is 7.50 mm", "7.5", True),
        ("so it is the renal artery", "renal artery", True),
        ("13", "3", False),
        ("3", "3", True),
        ("x", "x", True),
        ("= 1200", "1,200", True),
    ],
)
def test_open_questions_of_mmmu_are_read_by_lmms_eval_and_always_wrong_in_medevalkit(
    answer: str, reference: str, is_right: bool
) -> None:
    assert scored("lmms-eval", "mmmu-medical", answer, reference).values == {"accuracy": is_right}
    assert scored("medevalkit", "mmmu-medical", answer, reference).values == {"accuracy": 0.0}


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("Yes.", "yes"),
        ("yeah", "yes"),
        ("True", "yes"),
        ("(probably) Yes", "yes"),
        ("x-ray", "xray"),
        ("X Ray", "xray"),
        ("是的。", "yes"),
        ("有", "yes"),
        ("正常", "yes"),
        ("异常", "no"),
        ("No!", "no"),
        ("Yes, it is", "yes it is"),
        ("left（左）lung", "left lung"),
    ],
)
def test_lmms_eval_compares_whole_normalised_answers(answer: str, normalised: str) -> None:
    score = scored("lmms-eval", "slake", answer, "Yes", "CLOSED")
    assert score.compared == normalised
    assert score.values["closed_accuracy"] == (normalised == "yes")


def test_the_released_answers_score_as_the_kits_score_them(shared_data: Path) -> None:
    """MedEvalKit's `cal_metrics` and lmms-eval's `slake_process_results` on the 451 released answers."""
    benchmark, rows = compare_kits.vqa_rad_released()
    medevalkit, lmms = whole_set(benchmark, rows, "medevalkit", "lmms-eval-slake-rule")
    assert {name: round(value, 6) for name, value in medevalkit.items()} == {
        "accuracy": 10.199557,
        "closed_accuracy": 18.326693,
        "open_exact_match": 0.0,
        "open_accuracy": 0.0,
        "open_bleu1": 1.225604,
        "open_bleu2": 0.230493,
        "open_bleu3": 0.0,
        "open_bleu4": 0.0,
        "open_rouge1": 2.519932,
        "open_rouge2": 0.302771,
        "open_rouge_l": 2.499524,
        "open_precision": 2.123028,
        "open_recall": 1.30473,
        "open_f1": 9.192262,
    }
    assert set(lmms.values()) == {0.0}


def test_slake_in_both_languages_scores_as_lmms_eval_scores_it(shared_data: Path) -> None:
    """lmms-eval's own aggregates on answers of 31 forms to the 2,099 validation questions."""
    benchmark, rows = compare_kits.slake_validation("all")
    (found,) = whole_set(benchmark, rows, "lmms-eval")
    assert {name: round(value, 6) for name, value in found.items()} == {
        "accuracy": 25.393044,
        "accuracy_en": 24.596391,
        "accuracy_zh": 26.195029,
        "open_accuracy": 23.665339,
        "closed_accuracy": 27.962085,
    }


def whole_set(benchmark: str, rows: compare_kits.Rows, *scorers: str) -> list[dict[str, float]]:
    answers = AnswerSet("plain", "m", tuple(rows), ())
    questions = QuestionSet(benchmark, "test", tuple(row.question for row in rows))
    found = compare_scorers(answers, questions, scorers, Resampling(draws=100)).results
    return [{name: each.value for name, each in result.estimates.items()} for result in found]


PIECES = ("yes", "no", "A", "(A)", ".", r"\boxed{", "}", "<answer>", "</answer>", "是", "答案:", "answer is")
MORE_PIECES = (" ", "\n\n", "1,200", "7e5", "=", "is ", "z", "（", "**", "’", "\ufeff", "\x00")
texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES + MORE_PIECES), max_size=12).map("".join),
)


@given(
    answer=texts,
    reference=texts,
    answer_type=st.sampled_from(["OPEN", "CLOSED", None]),
    choices=st.lists(texts, min_size=1, max_size=27).map(tuple),
    letter=st.sampled_from("ABZ"),
)
def test_no_answer_and_no_reference_stops_a_scorer(
    answer: str,
    reference: str,
    answer_type: AnswerType | None,
    choices: tuple[str, ...],
    letter: str,
) -> None:
    """Each rule scores any text against any other, or says nothing of it; every value is between 0 and 1."""
    asked = [
        Question("1", "?", reference, answer_type),
        Question("2", "?", letter, "CHOICE", choices=choices),
        Question("3", "?", reference, "CHOICE", choices=choices),
    ]
    rules = {rule.name: rule for kit in KITS.values() for rule in (*kit.rules.values(), *kit.by_name)}
    rules |= {kit.name: kit.any_set for kit in KITS.values() if kit.any_set}
    for question in asked:
        for rule in rules.values():
            score = rule.score(Prediction(question, "?", "plain", answer, "m"))
            if score is not None:
                assert score.why.endswith(".")
                assert all(0 <= value <= 1 + 1e-9 for value in score.values.values())
                assert score.values.keys() <= {metric.name for metric in rule.metrics}
