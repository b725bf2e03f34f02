"""Wilson's interval and Cohen's kappa, against values from elsewhere."""

import doctest

import pytest

from llavamed_data import agreement as module
from llavamed_data.agreement import cohens_kappa, wilson


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (81, 263, 0.25529, 0.36621), (15, 148, 0.06237, 0.16049)],
)
def test_the_interval_is_that_of_newcombe(hits: int, trials: int, low: float, high: float) -> None:
    """81 of 263 and 15 of 148 are in table I of Newcombe 1998, method 3."""
    assert wilson(hits, trials) == pytest.approx((low, high), abs=5e-5)


def test_kappa_is_not_defined_without_rows_or_where_both_say_one_thing() -> None:
    assert cohens_kappa([]) is None
    assert cohens_kappa([("accept", "accept")] * 5) is None
    assert cohens_kappa([("accept", "reject")] * 5) == 0.0
