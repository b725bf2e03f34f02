"""`publish --decisions` sends a dataset as reviewers have decided, and leaves its folder as it is."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from llavamed_data import BuildOptions, build
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.review import DecisionFile, DecisionKind
from llavamed_data.validation import validate
from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import files_in


def decide(path: Path, row: dict[str, Any], kind: str, reviewer: str = "anna", **fields: Any) -> None:
    dataset = fields.pop("dataset", "60k-im")
    DecisionFile(path).decide(row, DecisionKind(kind), reviewer=reviewer, dataset=dataset, **fields)


def rows_on(client: Client, repo: str) -> list[dict[str, Any]]:
    shards = sorted((name, data) for name, data in client.files(repo).items() if name.startswith("data/"))
    return [row for _, data in shards for row in pq.read_table(io.BytesIO(data)).to_pylist()]


def test_what_reviewers_decided_is_followed_in_what_is_sent(
    ada: Client, new_set: Callable[..., Path], repo: str, tmp_path: Path
) -> None:
    folder, decisions = new_set(), tmp_path / "decisions.jsonl"
    rows = list(Dataset(str(folder)).rows(Dataset(str(folder)).schema.names))
    decide(decisions, rows[0], "accept")
    decide(decisions, rows[1], "edit", turn=1, text="An edit.")
    decide(decisions, rows[2], "reject", reason="two panels")
    decide(decisions, rows[3], "delete", turn=2)
    decide(decisions, rows[4], "domain", "bert", domain="gross")
    decide(decisions, rows[5] | {"caption": "as it was"}, "reject", reason="not this row")
    decide(decisions, rows[6] | {"id": "elsewhere"}, "reject", reason="of another set", dataset="other")
    for number in (6, 7, 8, 9, 10, 11):  # the whole second shard
        decide(decisions, rows[number], "reject", reason="x")
    (folder / "stats").mkdir()
    (folder / "stats" / "index.html").write_text("numbers of before")
    (folder / "NOTES.md").write_text("by hand")
    before = files_in(folder)
    given = ["--repo-id", repo, "--decisions", str(decisions), "--json"]
    done = ada.publish(folder, *given).report
    sentence = (
        "People reviewed 11 of 12 rows (2 reviewers): 1 accepted, 2 edited, 1 given another domain, 7 left out. "
        "1 decision about rows that have changed since was not followed."
    )
    assert done["review"] == [
        sentence,
        f"1 row to be looked at again in `review`: {rows[5]['id']}",
        "the statistics report is about the rows before the review and is not sent",
    ]
    sent = rows_on(ada, repo)
    assert [row["id"] for row in sent] == [rows[number]["id"] for number in (0, 1, 3, 4, 5)]
    assert sent[0] == rows[0]
    assert turns_of(sent[1]["messages"])[1] == ("assistant", "An edit.")
    assert turns_of(sent[2]["messages"]) == turns_of(rows[3]["messages"])[:2]
    assert sent[3] == rows[4] | {"domain": "gross"}
    assert sent[4] == rows[5]
    files = ada.files(repo)
    assert [name for name in files if name.startswith("data/")] == ["data/train-00000-of-00001.parquet"]
    assert "stats/index.html" not in files
    assert files["NOTES.md"] == b"by hand"
    card = files["README.md"].decode()
    assert f"## Review\n\n{sentence} Other numbers in this card are of the dataset before that." in card
    info = yaml.safe_load(card.split("---\n")[1])["dataset_info"]
    assert info["splits"] == [{"name": "train", "num_examples": 5}]
    assert files_in(folder) == before
    assert sorted(path.name for path in folder.parent.iterdir()) == [".60k-im-images", "60k-im"]
    again = ada.publish(folder, *given).report
    assert (again["changed"], again["new_bytes"]) == (False, 0)


def test_a_set_that_was_built_with_the_decisions_is_sent_as_it_is(
    ada: Client, new_set: Callable[..., Path], repo: str, tmp_path: Path
) -> None:
    folder, decisions = new_set(), tmp_path / "decisions.jsonl"
    row = Dataset(str(folder)).row(0)
    decide(decisions, row, "accept")
    ada.publish(folder, "--repo-id", repo, "--decisions", str(decisions), "--json")
    files = ada.files(repo)
    assert {name: data for name, data in files.items() if name.startswith("data/")} == {
        name: data for name, data in files_in(folder).items() if name.startswith("data/")
    }
    assert (
        "## Review\n\nPeople reviewed 1 of 12 rows (1 reviewer): 1 accepted," in files["README.md"].decode()
    )


def test_a_built_set_stays_sound_and_shows_no_rejected_row(ada: Client, repo: str, tmp_path: Path) -> None:
    out = tmp_path / "llava-med"
    build(["60k-im"], BuildOptions(source="sample", out=out, work=tmp_path / "work"))
    folder, decisions = out / "60k-im", tmp_path / "decisions.jsonl"
    row = Dataset(str(folder)).row(0)  # the card's example
    decide(decisions, row, "reject", reason="two panels")
    assert row["messages"][1]["content"][0]["text"][:40] in (folder / "README.md").read_text()
    ada.publish(folder, "--repo-id", repo, "--decisions", str(decisions), "--json")
    files = ada.files(repo)
    card = files["README.md"].decode()
    assert not any(name.startswith("example.") for name in files)
    assert "| column | type | holds |\n| --- | --- | --- |\n| `images` |" in card
    assert row["id"] not in card
    copy = tmp_path / "copy"
    for name, data in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    report = validate(str(copy), beside=[])
    assert report.ok, report.faults


def test_a_set_that_was_built_with_decisions_which_were_undone_is_refused(
    ada: Client, repo: str, tmp_path: Path
) -> None:
    source, decisions = tmp_path / "source", tmp_path / "decisions.jsonl"
    build(["60k-im"], BuildOptions(source="sample", out=source, work=tmp_path / "work"))
    first, second = (Dataset(str(source / "60k-im")).row(number) for number in range(2))
    decide(decisions, first, "edit", turn=1, text="New.")
    decide(decisions, second, "reject", reason="two panels")
    out = tmp_path / "llava-med"
    build(["60k-im"], BuildOptions(source="sample", out=out, work=tmp_path / "work", decisions=decisions))
    given = ["--repo-id", repo, "--decisions", str(decisions)]
    ada.publish(out / "60k-im", *given, "--json", "--dry-run")
    decide(decisions, second, "undo")
    notes = ada.publish(out / "60k-im", *given, "--json", "--dry-run").report["review"]
    assert notes[-1] == f"1 row no longer rejected, but not in this set (build it again): {second['id']}"
    decide(decisions, first, "undo")
    said = ada.publish(out / "60k-im", *given).error()
    assert f"was built with decisions that were undone or changed since, about 1 row ({first['id']})" in said
    assert "so nothing was sent: build it again with --decisions" in said


def test_rows_that_have_changed_are_named_in_a_folder_of_another_name_too(
    ada: Client, new_set: Callable[..., Path], repo: str, tmp_path: Path
) -> None:
    folder, decisions = new_set("another-name"), tmp_path / "decisions.jsonl"
    row = Dataset(str(folder)).row(0)
    decide(decisions, row | {"caption": "as it was"}, "reject", reason="x", dataset="60k-im")
    notes = ada.publish(folder, "--repo-id", repo, "--decisions", str(decisions), "--json").report["review"]
    assert notes[-1] == f"1 row to be looked at again in `review`: {row['id']}"


def test_the_review_of_a_repository_has_its_name_and_not_that_of_a_commit(
    ada: Client, new_set: Callable[..., Path], repo: str
) -> None:
    ada.publish(new_set(), "--repo-id", repo)
    said = ada.python(f"""
        from pathlib import Path
        from llavamed_data.review.review_set import ReviewSet
        print(ReviewSet("{repo}", Path("decisions.jsonl")).name)
        from typer.testing import CliRunner
        from llavamed_data.cli.app import app
        print(CliRunner().invoke(app, ["review", "{repo}", "--report"]).exception)
    """)
    name = repo.partition("/")[2]
    assert said.splitlines()[0] == name
    assert f"there is no file of decisions reviews/{name}.jsonl" in said


def test_all_sets_of_a_folder_follow_the_decisions_about_their_rows(
    ada: Client, new_set: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = new_set("one", rows=6), new_set("two", rows=6, first=6)
    decisions = tmp_path / "decisions.jsonl"
    decide(decisions, Dataset(str(one)).row(0), "reject", reason="x", dataset="one")
    decide(decisions, Dataset(str(two)).row(1), "reject", reason="x", dataset="two")
    done = ada.publish(
        one.parent, "--all", "--org", "med-lab", "--decisions", str(decisions), "--json"
    ).report
    assert [each["review"][0].partition(":")[0] for each in done["datasets"]] == [
        "People reviewed 1 of 6 rows (1 reviewer)"
    ] * 2
    assert [len(rows_on(ada, f"med-lab/{name}")) for name in ("one", "two")] == [5, 5]


def test_nothing_is_sent_where_no_row_is_left(
    ada: Client, new_set: Callable[..., Path], repo: str, tmp_path: Path
) -> None:
    folder, decisions = new_set(rows=3), tmp_path / "decisions.jsonl"
    for row in Dataset(str(folder)).rows(Dataset(str(folder)).schema.names):
        decide(decisions, row, "reject", reason="x")
    refused = ada.publish(folder, "--repo-id", repo, "--decisions", str(decisions))
    assert "no row of the split train is left after the review, so nothing was sent" in refused.error()
    assert sorted(path.name for path in folder.parent.iterdir()) == [".60k-im-images", "60k-im"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file of decisions"):
        DecisionFile(tmp_path / "none.jsonl", must_exist=True)
