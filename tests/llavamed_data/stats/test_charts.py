"""The charts of a report, against shares and labels worked out by hand."""

import re

import pytest
from lxml import etree

from llavamed_data.charts import Spec, to_svg
from llavamed_data.stats.charts import bars, histogram, sunburst


def texts(spec: Spec) -> list[str]:
    return [element.text for element in etree.fromstring(to_svg(spec)).iter("{*}text") if element.text]


def hints(spec: Spec) -> list[str]:
    """What shows when the pointer rests on a bar, a column or a piece of a ring, in their order."""
    return [element.text for element in etree.fromstring(to_svg(spec)).iter("{*}title")]


def bar_widths(spec: Spec) -> list[float]:
    """How far each bar reaches: the greatest number behind an x of its outline."""
    bars_drawn = [title.getparent().get("d") for title in etree.fromstring(to_svg(spec)).iter("{*}title")]
    return [max(float(x) for x in re.findall(r"[ML]([\d.]+),", outline)) for outline in bars_drawn]


def test_bars_of_two_sets_are_shares_of_each() -> None:
    spec = bars([("small", {"mri": 3, "gross": 1}), ("large", {"mri": 300, "gross": 100})], "Images")
    assert hints(spec) == ["mri: 3 (75.0%)", "gross: 1 (25.0%)", "mri: 300 (75.0%)", "gross: 100 (25.0%)"]
    small_mri, small_gross, large_mri, large_gross = bar_widths(spec)
    assert (small_mri, small_gross) == (large_mri, large_gross)
    assert small_mri > 2.9 * small_gross
    assert {"small", "large", "mri", "gross", "3 · 75%", "300 · 75%", "1 · 25%", "100 · 25%"} <= set(
        texts(spec)
    )


def test_one_set_needs_no_legend() -> None:
    assert texts(bars([("set", {"mri": 3})], "Images")) == ["mri", "3 · 100%"]


def test_two_sets_of_one_name_are_told_apart() -> None:
    assert {"set (1)", "set (2)"} <= set(texts(bars([("set", {"a": 1}), ("set", {"b": 1})], "Images")))


def test_a_long_name_is_cut_and_whole_in_the_hint() -> None:
    name = "a licence with a name that is much longer than there is room for"
    spec = bars([("set", {name: 1})], "Licences")
    assert texts(spec)[0].endswith("…")
    assert hints(spec) == [f"{name}: 1 (100.0%)"]


def test_names_beyond_the_thirtieth_are_one_bar() -> None:
    spec = bars([("set", {f"domain {number}": 1 for number in range(50)})], "Images")
    assert len(hints(spec)) == 31
    assert hints(spec)[-1] == "20 others: 20 (40.0%)"


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "datum['x']", "\x1b[31m"])
def test_names_that_mean_something_to_javascript_or_a_terminal_are_names(name: str) -> None:
    first, second = bar_widths(bars([("set", {name: 1, "mri": 1})], "Images"))
    assert first == second > 0
    assert hints(sunburst({name: {name: 3}}, "responses"))[0].endswith(": 3 (100.0% of those shown)")


def test_a_histogram_puts_the_rest_into_the_last_column_and_marks_the_median() -> None:
    spec = histogram([("set", {1: 50, 2: 49, 900: 1})], "Lengths", "words")
    assert hints(spec) == ["1 words: 50.0%", "2 words: 50.0%"]
    assert "median 1" in texts(spec)


def test_a_histogram_of_many_numbers_has_forty_columns_at_most() -> None:
    spec = histogram([("set", dict.fromkeys(range(1, 1001), 1))], "Lengths", "words")
    # The 99th percentile is 990, so 40 columns of 25 numbers would do; the last holds 976 to 1,000.
    assert len(hints(spec)) == 40
    assert hints(spec)[0] == "1–25 words: 2.5%"
    assert hints(spec)[-1] == "976–1000 and more words: 2.5%"


@pytest.mark.parametrize("spec", [histogram([("set", {})], "L", "words"), bars([("set", {})], "Images")])
def test_a_chart_of_nothing_says_so(spec: Spec) -> None:
    assert texts(spec) == ["not counted"]


def test_a_sunburst_names_what_has_room() -> None:
    spec = sunburst({"describe": {"lesion": 120, "image": 60}, "show": {"cyst": 19, "x": 1}}, "instructions")
    assert texts(spec) == ["describe", "lesion", "image", "show", "cyst", "instructions"]
    assert hints(spec)[:2] == [
        "describe: 180 (90.0% of those shown)",
        "describe lesion: 120 (60.0% of those shown)",
    ]
    assert texts(sunburst({}, "responses")) == ["responses", "no verb with a direct noun"]
