"""The paper's values as data: what they add up to, and that what does not is marked."""

from statistics import fmean

import pytest

from llavamed_trainer.evaluation.tables import NUMBERS, paper_table

AVERAGED = ("4a", "4b", "9", "10a", "10b")


def test_every_table_has_as_many_rows_and_values_as_the_paper_prints() -> None:
    counts = {
        number: (sum(len(rows) for _, rows in table.groups), len(table.columns))
        for number in NUMBERS
        if (table := paper_table(number))
    }
    assert counts == {
        "1": (5, 8),
        "3": (10, 6),
        "4a": (23, 7),
        "4b": (4, 7),
        "5": (12, 1),
        "9": (13, 7),
        "10a": (14, 7),
        "10b": (8, 7),
        "11": (11, 2),
        "12": (0, 6),
    }


@pytest.mark.parametrize("number", AVERAGED)
def test_an_average_is_the_mean_of_its_row_or_marked_as_an_error(number: str) -> None:
    table = paper_table(number)
    for group, rows in table.groups:
        for row in rows:
            *values, average = (value or 0.0 for value in row.paper)
            marked = any(
                each.row == row.label and each.group in (None, group) and "average" in each.columns
                for each in table.errata
            )
            assert abs(fmean(values) - average) <= 0.0051 or marked, row.label


@pytest.mark.parametrize("number", AVERAGED)
def test_the_same_model_has_the_same_values_in_every_table(number: str) -> None:
    first = {row.variant: row.paper for _, rows in paper_table("4a").groups for row in rows}
    for _, rows in paper_table(number).groups:
        for row in rows:
            if row.variant in first and not row.seeded:
                assert row.paper == first[row.variant]


def test_table_3_repeats_tables_4_and_9_but_for_what_is_marked() -> None:
    table = paper_table("3")
    others = {
        row.variant: row.paper
        for number in ("4a", "9")
        for _, rows in paper_table(number).groups
        for row in rows
    }
    differ = {
        (row.label, column)
        for row in table.groups[0][1]
        for column, printed, other in zip(table.columns, row.paper, others[row.variant], strict=False)
        if printed != other
    }
    assert differ == {(each.row, column) for each in table.errata for column in each.columns}


def test_the_means_of_table_10_b_are_those_of_its_runs_but_for_what_is_marked() -> None:
    table = paper_table("10b")
    differ = set()
    for group, rows in table.groups:
        *runs, mean = (row.paper for row in rows)
        for column, printed, *values in zip(table.columns, mean, *runs, strict=True):
            if abs(fmean(each or 0.0 for each in values) - (printed or 0.0)) > 0.0051:
                differ.add((group, column))
    first = table.errata[0]
    assert differ == {(first.group, column) for column in first.columns}


def test_table_11_repeats_averages_and_hours() -> None:
    averages = {row.variant: row.paper[-1] for _, rows in paper_table("4a").groups for row in rows}
    hours = {row.runs: row.paper[0] for _, rows in paper_table("5").groups for row in rows}
    table = paper_table("11")
    differ = [
        row.label
        for _, rows in table.groups
        for row in rows
        if averages.get(row.variant, row.paper[0]) != row.paper[0]
    ]
    assert differ == []  # 10K at 1 epoch, the erratum, has no row in Table 4
    assert [(each.row, each.columns) for each in table.errata] == [("10K, 1 epoch", ("performance",))]
    for row in table.groups[0][1][:3]:
        assert row.paper[1] == hours[row.runs]
    for row in table.groups[1][1][1:3]:  # Table 11 (b): means over the benchmarks of Table 5
        assert row.paper[1] == pytest.approx(fmean(hours[(run,)] or 0.0 for run in row.runs), abs=0.005)
