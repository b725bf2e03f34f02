"""The report of a review: reject rates, and how far reviewers agree."""

from pathlib import Path

import pytest
from rich.console import Console

from llavamed_data.agreement import wilson
from llavamed_data.dataset.reader import Dataset
from llavamed_data.review import DecisionFile, DecisionKind
from llavamed_data.review.agreement import RejectRate, review_report
from llavamed_data.review.flags import Flag
from tests.llavamed_data.validation.sets import instruct_row, write_set


def test_a_report_counts_rows_domains_reviewers_and_a_models_verdicts(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(10)]
    dataset = Dataset(str(write_set(tmp_path / "set", rows)))
    file = DecisionFile(tmp_path / "decisions.jsonl")

    def decide(number: int, kind: str, reviewer: str = "anna") -> None:
        fields = {"reason": "x"} if kind == "reject" else {}
        file.decide(rows[number], DecisionKind(kind), reviewer=reviewer, dataset="set", **fields)

    for number in range(6):
        decide(number, "reject" if number in (0, 5) else "accept")
    for number in range(4):
        decide(number, "reject" if number in (0, 1) else "accept", "bert")
    file.decide(rows[8] | {"caption": "old"}, DecisionKind.ACCEPT, reviewer="anna", dataset="set")
    file.decide(rows[9], DecisionKind.NOTE, text="?", reviewer="anna", dataset="set")
    flags = {
        rows[0]["id"]: [
            Flag(rows[0]["id"], 1, "gpt", "Reject", ""),
            Flag(rows[0]["id"], None, "gpt", "accept", ""),
        ],
        rows[2]["id"]: [
            Flag(rows[2]["id"], None, "gpt", "accept", ""),
            Flag(rows[2]["id"], 1, "cleaning", "x", ""),
        ],
    }
    report = review_report(dataset, file, flags)
    assert (report.rows, report.decided, report.changed) == (10, 6, 1)
    file.decide(rows[1], DecisionKind.DOMAIN, domain="mri", reviewer="anna", dataset="set")
    for turn in (0, 2):
        file.decide(rows[7], DecisionKind.DELETE, turn=turn, reviewer="anna", dataset="set")
    file.decide(rows[7], DecisionKind.ACCEPT, reviewer="anna", dataset="set")
    corrected = review_report(dataset, file).rates
    assert corrected["mri"].rejected == report.rates["mri"].rejected + (rows[1]["domain"] != "mri")
    assert (corrected[""].rejected, corrected[""].decided) == (4, 7)  # no round of row 7 is left
    # bert's words on rows 0 to 3 are the last ones: 0, 1 and 5 are rejected
    assert report.rates[""] == RejectRate(3, 6, *wilson(3, 6))
    assert report.rates["chest_xray"].rejected == 2
    assert report.rates["gross"] == RejectRate(0, 1, *wilson(0, 1))
    both, model, _ = report.agreements
    assert (both.one, both.other, both.rows, both.same, both.kappa) == (
        "anna",
        "bert",
        4,
        3,
        pytest.approx(0.5),
    )
    assert (model.other, model.rows, model.same, model.kappa) == ("gpt (flags)", 2, 2, 1.0)
    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    report.render(console)
    printed = console.export_text()
    assert "set: 6 of 10 rows decided; 1 row changed since, to be seen again" in printed
    assert "anna and bert: the same verdict on 3 of 4 rows, kappa 0.50" in printed
