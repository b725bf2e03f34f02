"""Intervals and p values, beside what theory and scipy say."""

import numpy as np
import pytest

from llavamed_trainer.evaluation.scoring import Resampling, mcnemar_p
from llavamed_trainer.evaluation.scoring.resample import intervals, permutation_p


def test_the_interval_of_a_share_is_that_of_the_textbook() -> None:
    values = np.repeat([0.0, 1.0], 200)[:, None]  # share 0.5, standard error sqrt(0.25 / 400) = 0.025
    low, high = intervals(values, [None] * 400, Resampling(draws=4000))[:, 0]
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.004)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.004)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    values = np.random.default_rng(1).random((50, 2))
    first, again, other = (intervals(values, [None] * 50, Resampling(seed=seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_answers_that_depend_on_one_image_widen_the_interval() -> None:
    # 40 images with 10 equal answers each: 400 rows tell no more than 40.
    values = np.repeat([0.0, 1.0] * 20, 10)[:, None]
    images = [f"{row // 10}.jpg" for row in range(400)]
    by_row = intervals(values, images, Resampling(draws=4000))[:, 0]
    by_image = intervals(values, images, Resampling(draws=4000, by_image=True))[:, 0]
    assert (by_image[1] - by_image[0]) / (by_row[1] - by_row[0]) == pytest.approx(10**0.5, rel=0.1)


def test_rows_without_an_image_are_drawn_one_by_one() -> None:
    values = np.arange(6.0)[:, None]
    alone = intervals(values, [None] * 6, Resampling(by_image=True))
    assert (alone == intervals(values, [None] * 6, Resampling())).all()


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),  # 2 · 1/2
        (5, 1, 2 * (1 + 6) / 2**6),
        (1, 5, 2 * (1 + 6) / 2**6),
        (10, 2, 2 * (1 + 12 + 66) / 2**12),
        (3, 3, 1),
        (1500, 1500, 1),
    ],
)
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int, p: float) -> None:
    assert mcnemar_p(first, second) == p


def test_the_permutation_test_of_few_rows_comes_near_the_exact_p() -> None:
    # Six equal differences: of 64 patterns of signs the two extreme ones reach the sum: p = 1/32.
    p = permutation_p(np.ones((6, 1)), [None] * 6, Resampling(draws=20_000))
    assert p[0] == pytest.approx(1 / 32, abs=0.005)


def test_no_difference_is_never_significant() -> None:
    assert permutation_p(np.zeros((10, 1)), [None] * 10, Resampling())[0] == 1
