"""Which replies of a judge are read as scores, and the relative scores that come of them."""

import pytest

from llavamed_trainer.evaluation.judge import (
    ChatVerdict,
    JudgedQuestion,
    parse_scores,
    position_bias,
    relative_scores,
)
from llavamed_trainer.evaluation.questions import Question


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("8 6\nThe first is better.", (8, 6)),
        ("\n\n8, 6", (8, 6)),
        ("8.5 7", (8.5, 7)),
        ("8/10 6/10", (8, 6)),
        ("**Scores:** 8 and 6", (8, 6)),
        ("Assistant 1: 8, Assistant 2: 6", (8, 6)),
        ("10 1", (10, 1)),
        ("Assistant 1 is better than Assistant 2.", None),
        ("I give 8 points of 10 to the first.", None),
        ("8", None),
        ("8 6 7", None),
        ("0 6", None),
        ("8 11", None),
        ("-8 6", None),
        ("They are good.\n8 6", None),
        ("", None),
    ],
)
def test_scores_are_the_two_numbers_alone_on_the_first_line(
    reply: str, scores: tuple[float, float] | None
) -> None:
    assert parse_scores(reply) == scores


def judged(
    number: int, kind: str, domain: str | None, first: tuple[int, int], second: tuple[int, int]
) -> JudgedQuestion:
    """A question judged in both orders; scores are (reference, candidate), whichever stood first."""
    question = Question(str(number), "Q", "A", question_type=kind, domain=domain)
    return JudgedQuestion(
        question,
        ChatVerdict(str(number), False, first[0], first[1], ""),
        ChatVerdict(str(number), True, second[0], second[1], ""),
    )


def test_the_relative_score_is_the_mean_of_ratios_over_the_questions_of_a_group() -> None:
    groups = relative_scores(
        [
            judged(0, "conversation", "mri", (10, 5), (8, 6)),  # 50 and 75
            judged(1, "conversation", "gross", (8, 2), (4, 3)),  # 25 and 75
            judged(2, "detailed_description", "mri", (5, 5), (10, 9)),  # 100 and 90
            judged(3, "conversation", None, (10, 1), (10, 2)),  # 10 and 20; in no domain
        ]
    )
    assert [(name, group.questions) for name, group in groups.items()] == [
        ("conversation", 3), ("detailed_description", 1), ("chest_xray", 0), ("mri", 2), ("histology", 0),
        ("gross", 1), ("ct_scan", 0), ("overall", 4),
    ]  # fmt: skip
    assert groups["mri"].reference_first == pytest.approx(75)
    assert groups["mri"].swapped == pytest.approx(82.5)
    assert groups["conversation"].reference_first == pytest.approx(85 / 3)
    assert groups["overall"].reference_first == pytest.approx(46.25)
    assert groups["overall"].both == pytest.approx((46.25 + 65) / 2)
    assert groups["chest_xray"].reference_first is None


def test_position_bias_is_what_an_answer_gains_by_standing_first() -> None:
    bias = position_bias(
        [
            # the reference loses 2 and the candidate wins 1 when the candidate comes first: 1.5
            judged(0, "conversation", None, (9, 5), (7, 6)),
            # the reference loses 3, the candidate wins 1, and the winner changes: 2
            judged(1, "conversation", None, (8, 7), (5, 8)),
        ]
    )
    assert bias is not None
    assert bias.points == pytest.approx(1.75)
    assert bias.flipped == pytest.approx(0.5)
