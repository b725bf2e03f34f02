"""Answers in the journal survive kills, full disks and damaged lines; what it does not hold never counted."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm import Answer, Journal, Request, Usage

ANSWERS = {
    Request({"n": n}).key: Answer(f"User: é{n}\nAssistant: {n}", "gpt-x-2026", "stop", Usage(n, 2 * n))
    for n in range(5)
}


def filled(path: Path) -> Path:
    with Journal(path) as journal:
        for entry in ANSWERS.items():
            journal.record([entry])
    return path


def held(path: Path) -> dict[str, Answer]:
    with Journal(path) as journal:
        found = {key: journal.answer(key) for key in ANSWERS}
    return {key: answer for key, answer in found.items() if answer}


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert held(filled(tmp_path / "j.jsonl")) == ANSWERS


def test_a_key_depends_on_all_of_the_request_but_not_on_the_order_of_its_fields() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "é"}], "seed": 0}
    assert Request(body).key == Request(dict(reversed(body.items()))).key
    for changed in ({"model": "n"}, {"seed": 1}, {"temperature": 0}, {"messages": []}):
        assert Request(body | changed).key != Request(body).key


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0))
def test_a_kill_at_any_byte_costs_only_the_unfinished_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = filled(tmp_path_factory.mktemp("j") / "j.jsonl")
    whole = path.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    path.write_bytes(kept)
    survivors = dict(list(ANSWERS.items())[: kept.count(b"\n")])
    assert held(path) == survivors
    # and the repaired file takes the rest as if nothing had happened
    with Journal(path) as journal:
        journal.record((key, answer) for key, answer in ANSWERS.items() if key not in journal)
    assert path.read_bytes() == whole


def test_of_two_answers_to_one_request_the_first_counts(tmp_path: Path) -> None:
    path = filled(tmp_path / "j.jsonl")
    key = next(iter(ANSWERS))
    with Journal(path) as journal:
        journal.record([(key, Answer("other", "m", "stop"))])
    assert held(path) == ANSWERS


def test_a_damaged_line_is_counted_and_costs_only_its_own_request(tmp_path: Path) -> None:
    path = filled(tmp_path / "j.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * 20 + b"\n"
    lines[2] = b'{"key": "zz"}\n'
    path.write_bytes(b"".join(lines))
    with Journal(path) as journal:
        assert journal.damaged == 2
        assert len(journal) == 3


def test_notes_on_a_batch_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.note_batch("b1", state="intended", requests=3)
        journal.note_batch("b1", state="submitted", id="batch_1")
    with Journal(path) as journal:
        assert journal.batches() == {"b1": {"state": "submitted", "requests": 3, "id": "batch_1"}}


HOLD = "import sys,time; from pathlib import Path; from llavamed_data.llm import Journal; " + (
    "j = Journal(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


def test_a_second_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    path = filled(tmp_path / "j.jsonl")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LlavaMedError, match="in use by another run"):
        Journal(path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert held(path) == ANSWERS


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be opened"):
        Journal(tmp_path / "file" / "j.jsonl")


FILL = """
import resource, signal, sys
from pathlib import Path
from llavamed_data.errors import LlavaMedError
from llavamed_data.llm import Answer, Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
with Journal(Path(sys.argv[1])) as journal:
    for n in range(100):
        try:
            journal.record([(f"{n:064x}", Answer("x" * 100, "m", "stop"))])
        except LlavaMedError as error:
            print(n, error)
            break
"""


def test_a_full_disk_keeps_all_earlier_answers(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    told = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True
    ).stdout
    answered, message = told.split(" ", 1)
    assert "cannot be written" in message
    with Journal(path) as journal:
        assert len(journal) == int(answered) > 0
        assert journal.damaged == 0


def test_sixty_thousand_answers_take_less_than_15_megabytes_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    answer = Answer("x" * 500, "m", "stop").to_json()
    with path.open("w", encoding="utf-8") as file:
        for n in range(60_000):
            file.write(json.dumps({"key": f"{n:064x}", **answer}) + "\n")
    tracemalloc.start()
    with Journal(path) as journal:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(journal) == 60_000
        assert journal.answer(f"{59_999:064x}") == Answer("x" * 500, "m", "stop")
    assert path.stat().st_size > 35_000_000
    assert peak < 15_000_000
