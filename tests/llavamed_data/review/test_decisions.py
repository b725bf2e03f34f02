"""Decisions are never lost, never doubled, and count for the row that was seen and for no other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.dataset.messages import turns_of
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.review import Decision, DecisionFile, DecisionKind, row_digest
from llavamed_data.review.decisions import images_part, texts_part
from tests.conftest import CHECKOUT
from tests.llavamed_data.validation.sets import instruct_row

Kind = DecisionKind
ROW = instruct_row(0)


def decide(file: DecisionFile, kind: Kind, row: Any = ROW, reviewer: str = "anna", **fields: Any) -> Decision:
    return file.decide(row, kind, reviewer=reviewer, dataset="10k", **fields)


def test_decisions_come_to_a_row(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="A phantom.")
    decide(file, Kind.DELETE, turn=2)
    decide(file, Kind.DOMAIN, domain="mri")
    decide(file, Kind.NOTE, text="胸部 X 线\r\n— ask again")
    decide(file, Kind.ACCEPT)
    read = DecisionFile(tmp_path / "decisions.jsonl")
    assert read.decisions == file.decisions
    done = read.review(ROW)
    assert done.row is not None
    assert turns_of(done.row["messages"]) == [
        ("user", "What does the image show?"),
        ("assistant", "A phantom."),
    ]
    assert done.row["domain"] == "mri"
    assert done.review.verdict == "accept"
    assert done.review.notes == (("anna", "胸部 X 线\r\n— ask again"),)
    assert done.applied == {decision.key for decision in file.decisions}
    assert turns_of(ROW["messages"])[1] == ("assistant", "A synthetic phantom.")


def test_the_image_stays_with_the_first_round_that_is_left(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.DELETE, turn=1)
    row = file.review(ROW).row
    assert row is not None
    assert [part["type"] for part in row["messages"][0]["content"]] == ["image", "text"]
    decide(file, Kind.DELETE, turn=2)
    drop = file.review(ROW).drop
    assert drop is not None
    assert drop.reason is Reason.NO_CONVERSATION


def test_a_rejected_row_is_dropped_with_its_reason_until_that_is_undone(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.ACCEPT)
    decide(file, Kind.REJECT, reason="wrong organ")
    drop = file.review(ROW).drop
    assert str(drop) == "rejected in review: wrong organ"
    decide(file, Kind.UNDO)
    assert file.review(ROW).review.verdict == "accept"
    decide(file, Kind.UNDO)
    assert file.review(ROW).review.verdict == ""
    with pytest.raises(UsageError, match="anna has decided nothing about 9000_F1"):
        decide(file, Kind.UNDO)


def test_an_undo_takes_back_nothing_of_another_reviewer(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.REJECT, reason="x")
    with pytest.raises(UsageError):
        decide(file, Kind.UNDO, reviewer="bert")
    assert file.review(ROW).drop is not None


def test_the_last_verdict_counts_and_reviewers_who_differ_are_known(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.REJECT, reason="x")
    decide(file, Kind.ACCEPT, reviewer="bert")
    review = file.review(ROW).review
    assert review.verdict == "accept"
    assert review.verdicts == {"anna": "reject", "bert": "accept"}
    assert review.disagree


@pytest.mark.parametrize("column", ["caption", "domain", "inline_mentions", "license", "messages", "images"])
def test_a_decision_about_a_row_that_has_changed_does_not_count(tmp_path: Path, column: str) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.REJECT, reason="x")
    changed = ROW | {column: instruct_row(1)[column] if column == "images" else None}
    if column == "messages":
        changed[column] = ROW["messages"][:2]
    assert file.review(changed).row == changed
    assert file.review(changed).applied == frozenset()


def test_two_rows_of_one_id_are_told_apart(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    twin = ROW | {"caption": "Another caption."}
    decide(file, Kind.REJECT, twin, reason="twin")
    assert file.review(twin).row is None
    assert file.review(ROW).row == ROW


def test_a_row_that_was_built_with_decisions_is_known(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="A phantom.")
    decide(file, Kind.ACCEPT)
    built = file.review(ROW).row
    again = file.review(built)
    assert again.row == built
    assert again.review.verdict == "accept"
    assert len(again.applied) == 2
    decide(file, Kind.EDIT, built, turn=3, text="No.")
    for start in (ROW, built):
        final = file.review(start)
        assert final.row is not None
        assert [text for _, text in turns_of(final.row["messages"])][1::2] == ["A phantom.", "No."]
        assert len(final.applied) == 3
    decide(file, Kind.EDIT, file.review(ROW).row, turn=1, text="A synthetic phantom.")
    decide(file, Kind.EDIT, file.review(ROW).row, turn=3, text="No, it is noise.")
    assert file.review(ROW).row == ROW


def test_an_edit_and_its_undo_leave_the_row_as_it_was(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="x")
    decide(file, Kind.UNDO)
    assert file.review(ROW).row == ROW
    assert file.decisions[-1].after == file.decisions[-1].row


def test_the_digest_has_a_half_of_the_texts_and_a_half_of_the_images() -> None:
    other_image, other_text = ROW | {"images": instruct_row(1)["images"]}, ROW | {"caption": "x"}
    assert (
        texts_part(row_digest(ROW))
        == texts_part(row_digest(other_image))
        != texts_part(row_digest(other_text))
    )
    assert (
        images_part(row_digest(ROW))
        == images_part(row_digest(other_text))
        != images_part(row_digest(other_image))
    )
    moved = ROW | {"provenance": None, "images": [{"bytes": ROW["images"][0]["bytes"], "path": "other"}]}
    assert row_digest(moved) == row_digest(ROW)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (Kind.EDIT, {"turn": 1, "text": " "}, "the new text is empty"),
        (Kind.EDIT, {"turn": 4, "text": "x"}, "has no turn 5"),
        (Kind.EDIT, {"turn": 1, "text": "an <image>"}, "no text may hold <image>"),
        (Kind.EDIT, {"turn": 1, "text": "\ud83d"}, "half a character"),
        (Kind.REJECT, {"reason": ""}, "the reason is empty"),
        (Kind.DOMAIN, {"domain": "eeg"}, "no domain is called 'eeg'"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_not_written(
    tmp_path: Path, kind: Kind, fields: dict[str, Any], said: str
) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    with pytest.raises(UsageError, match=said):
        decide(file, kind, **fields)
    with pytest.raises(UsageError, match="give --reviewer NAME"):
        decide(file, Kind.ACCEPT, reviewer=" ")
    assert not file.path.exists()


def test_what_the_dataset_may_not_hold_is_refused(tmp_path: Path) -> None:
    def refuse(row: Any) -> None:
        raise Drop(Reason.MALFORMED_ROW, "too long")

    file = DecisionFile(tmp_path / "decisions.jsonl")
    with pytest.raises(UsageError, match="not possible: malformed row: too long"):
        decide(file, Kind.EDIT, turn=1, text="x", check=refuse)
    assert DecisionFile(file.path).decisions == []


def test_the_same_decision_sent_twice_is_one(tmp_path: Path) -> None:
    file, other_tab = (DecisionFile(tmp_path / "decisions.jsonl") for _ in range(2))
    assert decide(file, Kind.ACCEPT, key="k1") == decide(other_tab, Kind.ACCEPT, key="k1")
    assert len(file.path.read_bytes().splitlines()) == 1


def test_another_tab_sees_what_was_added(tmp_path: Path) -> None:
    one, two = (DecisionFile(tmp_path / "decisions.jsonl") for _ in range(2))
    made = decide(one, Kind.ACCEPT)
    assert two.refresh() == [made]
    assert two.refresh() == []
    one.path.write_bytes(b"")  # somebody empties the file
    assert two.refresh() == []
    assert two.decisions == []


@pytest.mark.parametrize("cut", [2, 40, 400])
def test_a_line_that_a_crash_left_unfinished_is_passed_over_and_said(tmp_path: Path, cut: int) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.ACCEPT)
    decide(file, Kind.REJECT, reason="x")
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-cut] if cut < 300 else whole[: -len(whole.splitlines()[1]) + 5])
    torn = DecisionFile(file.path)
    assert [each.kind for each in torn.decisions] == [Kind.ACCEPT]
    said = [f"{file.path}, line 2: an unfinished or damaged line was passed over"]
    assert torn.problems == said
    decide(torn, Kind.NOTE, text="after the crash")
    for again in (torn, DecisionFile(file.path)):
        assert [each.kind for each in again.decisions] == [Kind.ACCEPT, Kind.NOTE]
        assert again.problems == said


def test_a_whole_last_line_counts_without_its_line_end(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.ACCEPT)
    decide(file, Kind.REJECT, reason="x")
    file.path.write_bytes(file.path.read_bytes().rstrip(b"\n"))
    read = DecisionFile(file.path)
    assert read.review(ROW).row is None
    decide(read, Kind.NOTE, text="x")
    for each in (read, DecisionFile(file.path)):
        assert [made.kind for made in each.decisions] == [Kind.ACCEPT, Kind.REJECT, Kind.NOTE]
        assert each.problems == []
    assert file.path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("content", [b"# A card\n\ntext\n", b"PAR1\x15\x04\n\x00PAR1", b"hello", b"[]\n"])
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"README\.md holds no decision: give the file that `review` wrote"):
        DecisionFile(path)
    path.unlink()
    file = DecisionFile(path)
    path.write_bytes(content)  # while the page is open
    for _ in range(2):
        with pytest.raises(UsageError, match="holds no decision"):
            decide(file, Kind.ACCEPT)
    assert path.read_bytes() == content


def test_few_of_many_damaged_lines_are_named(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.ACCEPT)
    file.path.write_bytes(file.path.read_bytes() + b"x\n" * 2_000)
    problems = DecisionFile(file.path).problems
    assert len(problems) == 6
    assert problems[-1] == f"{file.path}: 1,995 more damaged lines were passed over"


def test_a_file_that_was_changed_in_place_or_removed_is_read_anew_and_that_is_said(tmp_path: Path) -> None:
    file, other = DecisionFile(tmp_path / "decisions.jsonl"), DecisionFile(tmp_path / "other.jsonl")
    for number in range(3):
        decide(file, Kind.ACCEPT, instruct_row(number))
    decide(other, Kind.REJECT, instruct_row(5), reason="long " * 200)
    lines = file.path.read_bytes().splitlines(keepends=True)
    with file.path.open("r+b") as opened:  # the same file, and longer than before
        opened.write(lines[0] + lines[2] + other.path.read_bytes())
        opened.truncate()
    file.refresh()
    assert [(each.kind, each.id) for each in file.decisions] == [
        (Kind.ACCEPT, "9000_F1"),
        (Kind.ACCEPT, "9002_F1"),
        (Kind.REJECT, "9005_F1"),
    ]
    said = f"{file.path} was changed by hand, replaced or removed while it was open: what it holds now counts"
    assert file.problems == [said]
    file.path.unlink()
    assert file.refresh() == []
    assert (file.decisions, file.problems) == ([], [said])


def test_decisions_about_a_built_row_count_for_its_source_by_the_turns_of_the_source(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.DELETE, turn=1)
    built = file.review(ROW).row
    assert built is not None
    decide(file, Kind.EDIT, built, turn=1, text="Noise.")  # turn 3 of the source
    done = file.review(ROW)
    assert done.review.texts == {3: "Noise."}
    assert done.review.edit(ROW) == done.row == file.review(built).row


def test_a_row_that_was_edited_back_after_a_build_stays_so(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="New.")
    built = file.review(ROW).row
    decide(file, Kind.EDIT, built, turn=1, text="A synthetic phantom.")
    decide(file, Kind.EDIT, turn=3, text="Noise.")  # on the source, which shows the first text again
    for start in (ROW, built):
        done = file.review(start)
        assert done.row is not None
        assert [text for _, text in turns_of(done.row["messages"])][1::2] == [
            "A synthetic phantom.",
            "Noise.",
        ]
        assert not done.outdated
    assert file.review(ROW).review.texts == {3: "Noise."}


def test_a_row_that_undone_decisions_made_is_known(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="New.")
    built = file.review(ROW).row
    assert not file.review(built).outdated
    decide(file, Kind.UNDO)
    assert file.review(built).outdated
    assert not file.review(ROW).outdated


def test_a_verdict_given_before_the_build_is_undone_in_the_built_set_and_a_change_is_not(
    tmp_path: Path,
) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="New.")
    decide(file, Kind.ACCEPT)
    decide(file, Kind.ACCEPT, reviewer="bert")
    built = file.review(ROW).row
    decide(file, Kind.UNDO, built)
    for start in (ROW, built):
        assert file.review(start).review.verdicts == {"bert": "accept"}
        assert file.review(start).row == built
        assert not file.review(start).outdated
    with pytest.raises(UsageError, match="9000_F1 was built with this change, which cannot be undone here"):
        decide(file, Kind.UNDO, built)
    edit = decide(file, Kind.EDIT, built, turn=3, text="Noise.")
    assert decide(file, Kind.UNDO).fields["undoes"] == edit.key  # on the source, which shows the edit too
    for start in (ROW, built):
        assert file.review(start).row == built


def test_the_last_edit_counts_wherever_it_was_made(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.EDIT, turn=1, text="New.")
    built = file.review(ROW).row
    decide(file, Kind.EDIT, built, turn=1, text="Newest.")
    newest = file.review(ROW).row
    decide(file, Kind.EDIT, turn=1, text="New.")  # on the source, which showed the newest text
    for start in (ROW, built):
        assert file.review(start).row == built
    decide(file, Kind.UNDO)
    for start in (ROW, built):
        assert file.review(start).row == newest


@pytest.mark.parametrize("text", ["a <IMAGE> b", "<image >", "the end<|im_end|>", "a\0b"])
def test_marks_of_trainers_and_nul_are_refused_in_an_edit(tmp_path: Path, text: str) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    with pytest.raises(UsageError, match=r"no text may hold|NUL"):
        decide(file, Kind.EDIT, turn=1, text=text)
    decide(file, Kind.EDIT, turn=1, text="p < 0.05 in the image, > 3 | 4")


def test_line_ends_and_a_byte_order_mark_of_other_systems_are_read(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    decide(file, Kind.NOTE, text="a\u2028b\u0085c")
    decide(file, Kind.ACCEPT)
    text = file.path.read_bytes()
    file.path.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") + b"\r\n")
    read = DecisionFile(file.path)
    assert read.decisions == file.decisions
    assert read.problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "approve"}, "no decision is called 'approve'"),
        ({"kind": "edit"}, "its field turn is missing or wrong"),
        ({"kind": "edit", "turn": -1, "text": "x"}, "its field turn"),
        ({"kind": "edit", "turn": True, "text": "x"}, "its field turn"),
        ({"row": None}, "its field row is missing or no text"),
        ({"kind": "prefer", "choice": "A", "other": "", "other_dataset": ""}, "its choice is none of"),
    ],
)
def test_a_line_that_states_something_else_is_refused_by_its_number(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = DecisionFile(tmp_path / "decisions.jsonl")
    made = decide(file, Kind.ACCEPT)
    with file.path.open("a") as added:
        added.write(json.dumps(made.to_json() | {"decision": "other"} | change) + "\n")
    with pytest.raises(UsageError, match=f"line 2 is no decision: {said}.*correct or remove this line"):
        DecisionFile(file.path)


def test_a_folder_or_a_pipe_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(UsageError, match="cannot be read: it is a"):
            DecisionFile(tmp_path / name)


def test_a_full_disk_keeps_the_file_as_it_was(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from llavamed_data.errors import LlavaMedError
from tests.llavamed_data.review.test_decisions import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = DecisionFile(Path(sys.argv[1]))
decide(file, Kind.ACCEPT)
size = file.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, size + 50))
try: decide(file, Kind.REJECT, reason="x")
except LlavaMedError as error: print(error)
print(file.path.stat().st_size == size, len(DecisionFile(file.path).decisions))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "d.jsonl"], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert done.stdout.endswith("True 1\n"), done.stderr
    assert done.stdout.startswith("the decision was not kept: ")


WRITER = """
import sys
from pathlib import Path
from tests.llavamed_data.review.test_decisions import *
file = DecisionFile(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    made = decide(file, Kind.NOTE, reviewer=sys.argv[2], text=f"{number}", key=f"{sys.argv[2]}-{number}")
    print(number, flush=True)
"""


def writer(path: Path, reviewer: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), reviewer, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)


def test_what_two_programs_write_at_once_is_all_there_once(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    running = [writer(path, name, 40) for name in ("anna", "bert", "cleo")]
    assert [each.wait(60) for each in running] == [0, 0, 0]
    for each in running:
        assert each.stdout
        each.stdout.close()
    found = DecisionFile(path)
    assert found.problems == []
    assert Counter(each.reviewer for each in found.decisions) == {"anna": 40, "bert": 40, "cleo": 40}
    for name in ("anna", "bert", "cleo"):
        own = [each.fields["text"] for each in found.decisions if each.reviewer == name]
        assert own == [str(number) for number in range(40)]


def test_a_kill_loses_no_decision_that_was_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    confirmed = 0
    for attempt in range(4):
        running = writer(path, f"r{attempt}", 100_000)
        assert running.stdout
        running.stdout.readline()
        time.sleep(0.02 * (attempt + 1))
        running.send_signal(signal.SIGKILL)
        confirmed += 1 + len(running.stdout.read().split())
        running.wait()
        running.stdout.close()
    found = DecisionFile(path)
    assert confirmed <= len(found.decisions) <= confirmed + 4
    decide(found, Kind.ACCEPT)
    assert DecisionFile(path).decisions[-1].kind is Kind.ACCEPT


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = DecisionFile(tmp_path / "decisions.jsonl")
    file.path = tmp_path / "file" / "decisions.jsonl"
    with pytest.raises(LlavaMedError, match="the decision was not kept"):
        decide(file, Kind.ACCEPT)


words = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
).filter(str.strip)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 3), words),
        st.tuples(st.just("delete"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["accept", "undo"])),
        st.tuples(st.just("reject"), st.sampled_from(["a", "b"])),
        st.tuples(st.just("domain"), st.sampled_from(["mri", "gross"])),
    ),
    max_size=12,
)

FIELDS = {"edit": ("turn", "text"), "delete": ("turn",), "reject": ("reason",), "domain": ("domain",)}


def by_hand(stack: list[tuple[str, dict[str, Any]]]) -> tuple[list[str], str, str]:
    """The texts, the domain and the verdict of the row once all of this is done to it."""
    texts = dict(enumerate(text for _, text in turns_of(ROW["messages"])))
    gone, domain, verdict = set[int](), ROW["domain"], ""
    for kind, fields in stack:
        if kind == "edit":
            texts[fields["turn"]] = fields["text"]
            gone.discard(fields["turn"] // 2)
        elif kind == "delete":
            gone.add(fields["turn"] // 2)
        elif kind == "domain":
            domain = fields["domain"]
        else:
            verdict = kind
    return [text for number, text in texts.items() if number // 2 not in gone], domain, verdict


@settings(max_examples=60, deadline=None)
@given(operations)
def test_folding_is_the_same_as_doing_and_undoing_by_hand(tmp_path_factory: Any, done: list[Any]) -> None:
    """A stack of what was done, from which undo takes the last, gives the same row as the file does."""
    file = DecisionFile(tmp_path_factory.mktemp("d") / "decisions.jsonl")
    stack: list[Any] = []
    for kind, *values in done:
        fields = dict(zip(FIELDS.get(kind, ()), values, strict=True))
        if kind == "undo" and not stack:
            with pytest.raises(UsageError):
                decide(file, Kind.UNDO)
            continue
        decide(file, Kind(kind), **fields)
        if kind == "undo":
            stack.pop()
        else:
            stack.append((kind, fields))
    expected, domain, verdict = by_hand(stack)
    for read in (file, DecisionFile(file.path)):
        outcome = read.review(ROW)
        if verdict == "reject" or not expected:
            assert outcome.row is None
            continue
        assert outcome.row is not None
        assert [text for _, text in turns_of(outcome.row["messages"])] == expected
        assert outcome.row["domain"] == domain
        assert read.review(outcome.row).row == outcome.row
