"""A pace never passes its limit in any minute, and uses nearly all of it."""

from bisect import bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.llm.rate_limits import Pace

RPM = 600


def taken(delays: list[float], count: int = 1500) -> list[float]:
    """When each of `count` units is taken by someone who wakes up late by `delays` in turn."""
    pace, now, times = Pace(RPM), 0.0, []
    for number in range(count):
        now += pace.wait(now) + delays[number % len(delays)]
        pace.take(now, 1)
        times.append(now)
    return times


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_no_minute_holds_more_than_the_limit(delays: list[float]) -> None:
    times = taken(delays)
    for number, time in enumerate(times):
        assert bisect_right(times, time + 60) - number <= RPM


def test_late_wake_ups_leave_almost_none_of_the_rate_unused() -> None:
    times = taken([0.0, 0.003, 0.05, 0.0, 0.02])
    assert len(times) / times[-1] * 60 > 0.97 * RPM


def test_an_estimate_that_was_too_high_is_given_back() -> None:
    pace = Pace(60)
    pace.take(100.0, 10)
    assert 9 < pace.wait(100.0) < 11
    pace.adjust(-9)
    assert pace.wait(100.0) < 1.1
