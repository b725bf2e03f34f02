"""Pauses before a request is repeated double up to a limit, and what a server asks for replaces them."""

import pytest

from llavamed_data.io.backoff import backoff_seconds, retry_after_seconds


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1.0), (4, 4.0), (8, 60.0), (10_000, 60.0)])
def test_a_pause_doubles_with_each_failure_and_is_shortened_by_at_most_half(
    failures: int, longest: float
) -> None:
    pauses = [backoff_seconds(failures, first=0.5, longest=60.0) for _ in range(1000)]
    assert longest / 2 <= min(pauses) < 0.6 * longest
    assert 0.9 * longest < max(pauses) <= longest


def test_what_the_server_asks_for_is_waited_for_and_at_most_a_tenth_more() -> None:
    pauses = [backoff_seconds(9, first=0.5, longest=60.0, asked=100.0) for _ in range(1000)]
    assert min(pauses) >= 100.0
    assert max(pauses) <= 110.0
    assert backoff_seconds(9, first=0.5, longest=60.0, asked=0.0) == 0.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2.5", 2.5),
        ("120", 120.0),
        ("-3", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_date_in_the_future_is_waited_for() -> None:
    waited = retry_after_seconds("Fri, 31 Dec 9999 23:59:59 GMT")
    assert waited is not None
    assert waited > 1e9
