"""The rows under review: which are chosen, what is found to have changed, and how much is held in memory."""

import time
from pathlib import Path
from typing import Any

import pytest

from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.review import DecisionFile, DecisionKind
from llavamed_data.review.agreement import review_report
from llavamed_data.review.filters import ReviewFilter
from llavamed_data.review.flags import Flag
from llavamed_data.review.review_set import ReviewSet, RowChangedError
from tests.llavamed_data.validation.sets import instruct_row, jpeg, write_set


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [instruct_row(number) for number in range(20)]


def decide(path: Path, row: dict[str, Any], kind: str, reviewer: str = "anna", **fields: Any) -> None:
    DecisionFile(path).decide(row, DecisionKind(kind), reviewer=reviewer, dataset="set", **fields)


def test_a_random_sample_is_the_same_by_its_seed_and_the_beginning_of_a_larger_one(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    five, ten = (review.find(ReviewFilter(sample=count, seed=3)) for count in (5, 10))
    assert list(ten)[:5] == list(five)
    assert len(set(ten)) == 10
    assert list(review.find(ReviewFilter(sample=5, seed=4))) != list(five)
    assert sorted(review.find(ReviewFilter(sample=99))) == list(range(20))


def test_rows_are_chosen_by_what_was_decided_about_them(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    decide(path, rows[0], "accept")
    decide(path, rows[1], "reject", reason="x")
    decide(path, rows[2], "edit", turn=1, text="x")
    decide(path, rows[3], "note", text="x")
    decide(path, rows[4], "accept")
    decide(path, rows[4], "reject", "bert", reason="x")
    decide(path, rows[5] | {"caption": "as it was"}, "accept")
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    chosen = {
        state: list(review.find(ReviewFilter(state=state)))
        for state in ("accepted", "rejected", "edited", "noted", "reviewers disagree", "to be seen again")
    }
    assert chosen == {
        "accepted": [0],
        "rejected": [1, 4],
        "edited": [2],
        "noted": [3],
        "reviewers disagree": [4],
        "to be seen again": [5],
    }
    assert review.find(ReviewFilter(state="undecided"))[:3] == [2, 3, 5]
    by_anna, by_bert = (
        review.find(ReviewFilter(state="undecided by me", reviewer=name)) for name in ("anna", "bert ")
    )
    assert by_anna[:3] == [2, 3, 5]
    assert by_bert[:5] == [0, 1, 2, 3, 5]
    assert review.first_undecided(range(20)) == 2
    assert review.progress()[:3] == (20, 3, 2)
    assert review.progress("chest_xray")[:3] == (4, 1, 0)


def test_an_image_that_alone_has_changed_is_found(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    decide(path, rows[0], "accept")
    decide(path, rows[1], "accept")
    rows[1]["images"] = [{"bytes": jpeg(77), "path": "x.jpg"}]
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    assert review.view(1).again
    review.check_images()
    assert list(review.find(ReviewFilter(state="to be seen again"))) == [1]
    assert list(review.find(ReviewFilter(state="accepted"))) == [0]


def test_saying_what_holds_already_adds_nothing(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    rows[0]["messages"][1]["content"][0]["text"] = "two\r\nlines"
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    for _ in range(2):
        review.decide(review.view(0), DecisionKind.ACCEPT, "anna")
        review.decide(review.view(0), DecisionKind.DOMAIN, "anna", domain="chest_xray")
        review.decide(review.view(0), DecisionKind.EDIT, "anna", turn=1, text="two\nlines")
    assert [each.kind for each in review.file.decisions] == [DecisionKind.ACCEPT]
    review.decide(review.view(0), DecisionKind.ACCEPT, "bert")
    assert len(review.file.decisions) == 2


def test_rows_of_one_id_are_not_changed_because_another_was_decided_about(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    twin = rows[1] | {"id": rows[0]["id"]}
    folder, path = write_set(tmp_path / "set", [*rows, twin]), tmp_path / "d.jsonl"
    review = ReviewSet(str(folder), path)
    review.decide(review.view(20), DecisionKind.REJECT, "anna", reason="x")
    for each in (review, ReviewSet(str(folder), path)):
        each.check_images()
        assert [each.view(number).again for number in (0, 20)] == [False, False]
        assert list(each.find(ReviewFilter(state="to be seen again"))) == []
        assert list(each.find(ReviewFilter(state="rejected"))) == [20]
    assert review_report(Dataset(str(folder)), review.file).changed == 0


def test_a_row_without_a_round_left_counts_as_rejected(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    for turn in (0, 2):
        review.decide(review.view(0), DecisionKind.DELETE, "anna", turn=turn)
    review.decide(review.view(0), DecisionKind.ACCEPT, "anna")
    assert review.progress()[:3] == (20, 1, 1)


def test_a_flag_on_a_turn_that_a_row_does_not_have_is_one_on_the_row(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    name = rows[0]["id"]
    flags = {name: [Flag(name, 3, "me", "reject", "no"), Flag(name, 99, "me", "reject", "no")]}
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl", flags=flags)
    assert review.view(0).flags == [flags[name][0], Flag(name, None, "me", "reject", "on turn 100 of 4: no")]


def test_a_preference_given_again_adds_nothing_and_a_set_is_not_compared_with_itself(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    one, two = (str(write_set(tmp_path / name, rows)) for name in ("a", "b"))
    review = ReviewSet(one, tmp_path / "d.jsonl", compare=two)
    seen = review.view(0)
    assert seen.other
    for choice in ("tie", "tie", "this"):
        given = {"choice": choice, "other": seen.other.digest, "other_dataset": "b"}
        review.decide(seen, DecisionKind.PREFER, "anna", **given)
    assert [each.fields["choice"] for each in review.file.decisions] == ["tie", "this"]
    with pytest.raises(UsageError, match="are the same dataset: name another one with --compare"):
        ReviewSet(one, tmp_path / "d.jsonl", compare=one)


def test_an_edit_that_the_schema_does_not_allow_is_refused(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    with pytest.raises(UsageError, match="characters at most"):
        review.decide(review.view(0), DecisionKind.EDIT, "anna", turn=1, text="x" * 200_000)


def test_two_sets_without_a_common_row_are_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    ours, theirs = write_set(tmp_path / "a", rows[:10]), write_set(tmp_path / "b", rows[10:])
    with pytest.raises(UsageError, match="share no id of a row"):
        ReviewSet(str(ours), tmp_path / "d.jsonl", compare=str(theirs))


def test_decisions_of_another_dataset_are_named(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    decide(tmp_path / "d.jsonl", rows[0] | {"id": "elsewhere"}, "accept")
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    assert review.problems() == ["decisions about 1 id that this dataset does not have are not shown"]
    assert review.progress()[1] == 0


def test_words_are_found_in_every_text_of_a_row_as_they_stand(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows[3]["messages"][2]["content"][0]["text"] = "Is the T2* signal (hyper-intense)?"
    rows[4]["inline_mentions"] = ["Nothing.", "See the ÖDEM and the ΟΔΟΣ."]
    rows[5] |= {"caption": None, "inline_mentions": []}
    rows[6]["messages"][0]["content"] = [{"type": "image", "text": None}]
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), tmp_path / "d.jsonl")
    for words, found in (
        ("t2* (HYPER", [3]),
        ("9004_f1 ödem", [4]),
        ("οδος", [4]),
        ("made phantom 900", [*range(5), *range(6, 10)]),  # row 5 has no caption
        ("t.*", []),
        ("9003_F1 ödem", []),
        ("user", []),  # the role is no text
    ):
        assert list(review.find(ReviewFilter(words=words))) == found, words
    assert list(review.find(ReviewFilter(words="noise", domain="chest_xray"))) == [0, 5, 10, 15]


def test_another_file_of_decisions_takes_the_place_of_the_first(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "d.jsonl"
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    for number in range(3):
        review.decide(review.view(number), DecisionKind.ACCEPT, "anna")
    decide(tmp_path / "other.jsonl", rows[7], "reject", "bert", reason="x")
    (tmp_path / "other.jsonl").replace(path)
    review.refresh()
    assert review.progress()[:3] == (20, 1, 1)
    assert list(review.find(ReviewFilter(state="rejected"))) == [7]


def test_what_another_program_decides_just_before_is_taken_in(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "d.jsonl"
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    seen = review.view(0)
    decide(path, rows[5], "reject", "bert", reason="x")
    review.decide(seen, DecisionKind.ACCEPT, "anna")
    assert review.progress()[:3] == (20, 2, 1)
    path.unlink()
    review.refresh()
    assert review.progress()[:3] == (20, 0, 0)
    assert any("replaced or removed" in said for said in review.problems())


def test_decisions_that_another_program_adds_are_taken_in_few_or_many(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llavamed_data.review.review_set._MOST_ROWS_BY_ROW", 3)
    path = tmp_path / "d.jsonl"
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    decide(path, rows[0], "accept")
    review.refresh()
    assert review.progress()[:3] == (20, 1, 0)
    decide(path, rows[0], "reject", reason="on second thoughts")
    for number in range(1, 9):
        decide(path, rows[number], "accept")
    decide(path, rows[0] | {"id": "elsewhere"}, "accept")
    review.refresh()
    assert review.progress()[:3] == (20, 9, 1)
    assert review.progress("chest_xray")[:3] == (4, 2, 1)
    assert review.problems() == ["decisions about 1 id that this dataset does not have are not shown"]


def test_an_id_that_only_the_decisions_know_is_no_row(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    decide(path, rows[0] | {"id": "elsewhere"}, "accept")
    review = ReviewSet(str(write_set(tmp_path / "set", rows)), path)
    with pytest.raises(UsageError, match="set has no row elsewhere"):
        review.number_of("elsewhere")


def test_rows_are_not_kept_in_memory(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    import tracemalloc

    folder = write_set(tmp_path / "set", [row | {"caption": "x" * 50_000} for row in rows * 5], shards=1)
    tracemalloc.start()
    review = ReviewSet(str(folder), tmp_path / "d.jsonl")
    for number in range(100):
        review.view(number)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2_000_000
    assert len(Dataset(str(folder))) == 100


def prefer(review: ReviewSet, number: int, reviewer: str = "anna", choice: str = "this") -> None:
    view = review.view(number)
    assert view.other is not None
    fields = {"choice": choice, "other": view.other.digest, "other_dataset": review.other_name}
    review.decide(view, DecisionKind.PREFER, reviewer, **fields)


def replace_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Puts other files in the place of those of a dataset."""
    write_set(folder.parent / "replacing", rows)
    for path in (folder.parent / "replacing" / "data").iterdir():
        path.replace(folder / "data" / path.name)


def answer_replaced(row: dict[str, Any], text: str) -> dict[str, Any]:
    changed: dict[str, Any] = row | {"messages": [*row["messages"][:1], {**row["messages"][1]}]}
    changed["messages"][1]["content"] = [{"type": "text", "text": text}]
    return changed


def test_undo_takes_back_the_last_of_the_reviewer_in_the_same_kind_of_review(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    ours = write_set(tmp_path / "a", rows)
    second = write_set(tmp_path / "b", [answer_replaced(row, "b") for row in rows])
    third = write_set(tmp_path / "c", [answer_replaced(row, "c") for row in rows])
    path = tmp_path / "d.jsonl"
    review = ReviewSet(str(ours), path)
    review.decide(review.view(3), DecisionKind.ACCEPT, "anna")
    review.decide(review.view(4), DecisionKind.ACCEPT, "anna")
    review.decide(review.view(5), DecisionKind.ACCEPT, "bert")
    with_b, with_c = (ReviewSet(str(ours), path, compare=str(other)) for other in (second, third))
    with pytest.raises(UsageError, match="anna has decided nothing"):
        with_b.undo("anna")
    prefer(with_b, 6)
    with_c.refresh()
    with pytest.raises(UsageError, match="anna has decided nothing"):
        with_c.undo("anna")
    review.refresh()
    assert [review.undo("anna")[1], review.undo("anna")[1]] == [4, 3]
    with pytest.raises(UsageError, match="anna has decided nothing"):
        review.undo("anna")
    assert review.progress()[1] == 1
    with_b.refresh()
    assert with_b.undo("anna")[1] == 6


def test_a_comparison_counts_and_resumes_by_the_reviewer_and_the_other_dataset(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    ours, path = write_set(tmp_path / "a", rows), tmp_path / "d.jsonl"
    second = write_set(tmp_path / "b", [answer_replaced(row, "b") for row in rows])
    third = write_set(tmp_path / "c", [answer_replaced(row, "c") for row in rows])
    review = ReviewSet(str(ours), path, compare=str(second))
    for number in range(3):
        prefer(review, number)
    assert review.compared("anna") == (20, 3)
    assert (review.first_to_compare(range(20), "anna"), review.first_to_compare(range(20), "bert")) == (3, 0)
    assert ReviewSet(str(ours), path, compare=str(third)).compared("anna") == (20, 0)


def test_words_are_looked_for_in_both_of_two_compared_datasets(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    theirs = [answer_replaced(rows[7], "An effusion."), *rows[:6]]
    rows[2] = answer_replaced(rows[2], "Another effusion.")
    rows[9] = answer_replaced(rows[9], "An effusion that the other dataset does not have.")
    ours, other = write_set(tmp_path / "a", rows), write_set(tmp_path / "b", theirs)
    review = ReviewSet(str(ours), tmp_path / "d.jsonl", compare=str(other))
    assert list(review.find(ReviewFilter(words="effusion"))) == [2, 7]


def test_the_compared_dataset_is_read_again_when_its_files_change(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    ours, other = write_set(tmp_path / "a", rows), write_set(tmp_path / "b", rows)
    review = ReviewSet(str(ours), tmp_path / "d.jsonl", compare=str(other))
    seen = review.view(2)
    replace_rows(other, [answer_replaced(row, "new") for row in rows[::-1]])
    assert review.refresh()
    now = review.view(2)
    assert now.other is not None
    assert (now.other.row["id"], len(now.other.row["messages"])) == (rows[2]["id"], 2)
    assert seen.other is not None
    fields = {"choice": "this", "other": seen.other.digest, "other_dataset": "b"}
    with pytest.raises(RowChangedError):
        review.decide(seen, DecisionKind.PREFER, "anna", **fields)


def test_an_image_that_changes_while_the_page_is_open_is_found(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "set", rows)
    review = ReviewSet(str(folder), tmp_path / "d.jsonl")
    review.check_images_later()
    review.decide(review.view(1), DecisionKind.ACCEPT, "anna")
    replace_rows(folder, [*rows[:1], rows[1] | {"images": rows[5]["images"]}, *rows[2:]])
    assert review.refresh()
    for _ in range(600):
        if review.find(ReviewFilter(state="to be seen again")):
            break
        time.sleep(0.05)
    assert list(review.find(ReviewFilter(state="to be seen again"))) == [1]
    assert review.progress()[1] == 0


def test_what_another_made_of_a_row_meanwhile_is_not_decided_about_unseen(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder, path = write_set(tmp_path / "set", rows), tmp_path / "d.jsonl"
    review = ReviewSet(str(folder), path)
    seen = review.view(0)
    decide(path, rows[0], "accept", "bert")
    decide(path, rows[0], "edit", "bert", turn=1, text="by bert")
    review.refresh()
    for kind, fields in ((DecisionKind.ACCEPT, {}), (DecisionKind.EDIT, {"turn": 1, "text": "by anna"})):
        with pytest.raises(RowChangedError, match="was changed since it was shown"):
            review.decide(seen, kind, "anna", **fields)
    review.decide(review.view(0), DecisionKind.ACCEPT, "anna")
    assert [each.reviewer for each in review.file.decisions] == ["bert", "bert", "anna"]


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 101, "anna\nbert", "an\x00na", "\u202eanna", None, {"a": 1}]
)
def test_a_name_that_is_not_one_line_of_text_decides_nothing(
    rows: list[dict[str, Any]], tmp_path: Path, name: Any
) -> None:
    review = ReviewSet(str(write_set(tmp_path / "set", rows[:2])), tmp_path / "d.jsonl")
    with pytest.raises(UsageError, match="name"):
        review.decide(review.view(0), DecisionKind.ACCEPT, name)
    with pytest.raises(UsageError, match="name"):
        review.undo(name)
    assert not review.file.decisions
