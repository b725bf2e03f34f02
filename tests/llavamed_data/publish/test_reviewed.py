"""`publish --decisions` sends no dataset that does not follow what reviewers decided."""

from pathlib import Path
from typing import Any

import pytest

from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.review import DecisionFile, DecisionKind
from llavamed_data.review.decisions import check_follows
from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.validation.sets import instruct_row, write_set


def decide(path: Path, row: dict[str, Any], kind: str, **fields: Any) -> None:
    DecisionFile(path).decide(row, DecisionKind(kind), reviewer="anna", dataset="set", **fields)


def test_a_set_with_a_rejected_row_is_not_published(
    ada: Client, dataset: Path, repo: str, tmp_path: Path
) -> None:
    decisions, row = tmp_path / "decisions.jsonl", Dataset(str(dataset)).row(0)
    decide(decisions, row, "reject", reason="two panels")
    given = ["--repo-id", repo, "--decisions", str(decisions), "--json"]
    refused = ada.publish(dataset, *given)
    assert f"rejected in review (1, such as {row['id']}); build it with --decisions" in refused.error()
    decide(decisions, row, "undo")
    decide(decisions, row, "accept")
    assert ada.publish(dataset, *given).code == 0


def test_edits_and_rows_that_have_changed_hold_it_back(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(6)]
    plain = Dataset(str(write_set(tmp_path / "plain" / "set", rows)))
    decisions = tmp_path / "decisions.jsonl"
    decide(decisions, rows[1], "edit", turn=1, text="An edit.")
    decide(decisions, rows[2] | {"id": "elsewhere"}, "reject", reason="of another set")
    with pytest.raises(LlavaMedError, match="does not follow the edits of reviewers"):
        check_follows(plain, DecisionFile(decisions))
    rows[1] = DecisionFile(decisions).review(rows[1]).row or {}
    built = Dataset(str(write_set(tmp_path / "built" / "set", rows)))
    check_follows(built, DecisionFile(decisions))
    decide(decisions, rows[3] | {"caption": "as it was"}, "accept")
    with pytest.raises(LlavaMedError, match="have changed since .1, such as 9003_F1"):
        check_follows(built, DecisionFile(decisions))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file of decisions"):
        DecisionFile(tmp_path / "none.jsonl", must_exist=True)
