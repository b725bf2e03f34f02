"""Batches are split at the limits, found again after a kill, and submitted again only for what is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_data.instruct import LlmGenerator, Prompt, load_few_shots
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.llm import Budget, ChatModel, Endpoint, Journal
from llavamed_data.llm.batch import BatchClient, BatchLimits
from llavamed_data.llm.costs import Price
from llavamed_data.reasons import Reason
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import Server

QUICK = {"poll": 0.01, "backoff": 0.01}
MakeBatch = Callable[..., LlmGenerator]


@pytest.fixture
def make_batch(server: Server, journal: Journal) -> MakeBatch:
    def make(
        limits: BatchLimits | None = None,
        *,
        price: Price | None = None,
        max_cost: float | None = None,
        timeout: float = 60.0,
    ) -> LlmGenerator:
        client = BatchClient(
            ChatModel("gpt-4o", max_tokens=200), Endpoint(server.url, timeout), journal,
            limits=limits or BatchLimits(**QUICK), price=price, budget=Budget(max_cost),
        )  # fmt: skip
        return LlmGenerator("openai-batch", client, Prompt.build(load_few_shots(), mentions=False))

    return make


def rows(generator: LlmGenerator, count: int = 60) -> list[object]:
    found = generator.generate(make_pairs(count))
    return [row if isinstance(row, Conversation) else (row[0], row[1].reason) for row in found]


def inputs(server: Server) -> list[list[str]]:
    """Custom ids of each submitted batch."""
    files = [server.files[batch["input_file_id"]] for batch in server.batches.values()]
    return [[json.loads(line)["custom_id"] for line in file.splitlines()] for file in files]


def test_batch_mode_gives_what_chat_mode_gives(
    make_batch: MakeBatch, make_client: MakeClient, tmp_path: Path, server: Server
) -> None:
    batch = rows(make_batch())
    with Journal(tmp_path / "chat.jsonl") as journal:
        client = make_client()
        client.journal = journal
        assert rows(make_generator(client)) == batch
    assert len(server.batches) == 2  # the second asks for unreadable answers again, with the reminder


def test_a_second_run_submits_nothing(make_batch: MakeBatch, server: Server) -> None:
    first = rows(make_batch())
    batches = len(server.batches)
    assert rows(make_batch()) == first
    assert len(server.batches) == batches


def test_files_are_split_at_the_limits(make_batch: MakeBatch, server: Server) -> None:
    rows(make_batch(BatchLimits(max_requests=25, **QUICK)))
    assert [len(batch) for batch in inputs(server)][:3] == [25, 25, 10]
    assert len({key for batch in inputs(server) for key in batch}) == sum(map(len, inputs(server)))


def test_files_are_split_by_bytes(make_batch: MakeBatch, server: Server) -> None:
    server.settings.batch_bytes = 100_000
    rows(make_batch(BatchLimits(max_bytes=100_000, **QUICK)))
    sizes = [len(server.files[batch["input_file_id"]]) for batch in server.batches.values()]
    assert len(sizes) > 4
    assert max(sizes) <= 100_000


@pytest.mark.parametrize("fault", ["expired", "partial", "failed"])
def test_only_what_is_missing_is_submitted_again(
    fault: str, make_batch: MakeBatch, server: Server, journal: Journal
) -> None:
    server.settings.batch_faults = [fault]
    found = rows(make_batch())
    assert len(found) == 60
    assert ("0_F1", Reason.REQUEST_FAILED) not in found
    assert len(server.answered) == len(set(server.answered))
    first, second = inputs(server)[:2]
    answered_at_first = {"expired": 30, "partial": 40, "failed": 0}[fault]
    assert len(set(first) & set(second)) == 60 - answered_at_first
    assert len(journal) == len(server.answered)


def test_batches_that_come_back_empty_twice_stop_the_run(make_batch: MakeBatch, server: Server) -> None:
    server.settings.batch_faults = ["failed"] * 9
    with pytest.raises(LlavaMedError, match="validation failed"):
        rows(make_batch())


def test_calls_that_fail_are_tried_again(make_batch: MakeBatch, server: Server) -> None:
    server.settings.call_faults = ["500", "429", "503", "429-bare"]
    assert len(rows(make_batch())) == 60
    assert len(server.batches) == 2
    assert server.statuses[500] == 1


def test_a_call_that_cannot_succeed_stops_the_run(make_batch: MakeBatch, server: Server) -> None:
    server.settings.call_faults = ["quota"]
    with pytest.raises(LlavaMedError, match="quota is spent"):
        rows(make_batch())
    server.settings.call_faults = ["500"] * 99
    with pytest.raises(LlavaMedError, match="fails again and again"):
        rows(make_batch())


def test_only_the_request_that_a_batch_cannot_answer_is_dropped(
    make_batch: MakeBatch, server: Server
) -> None:
    server.settings.triggers = {"view 7 ": "content-filter-400", "view 9 ": "500"}
    found = rows(make_batch(BatchLimits(attempts=2, **QUICK)))
    dropped = [row for row in found if isinstance(row, tuple)]
    assert ("7_F1", Reason.CONTENT_FILTER) in dropped
    assert ("9_F1", Reason.REQUEST_FAILED) in dropped
    assert {reason for _, reason in dropped} <= {
        Reason.CONTENT_FILTER, Reason.REQUEST_FAILED, Reason.NO_CONVERSATION,
    }  # fmt: skip


def test_batches_are_submitted_again_in_the_form_that_the_model_takes(
    make_batch: MakeBatch, server: Server
) -> None:
    server.settings.refuses = frozenset({"max_tokens", "temperature"})
    found = rows(make_batch())
    assert not [row for row in found if isinstance(row, tuple) and row[1] is Reason.REQUEST_REFUSED]
    assert [len(batch) for batch in inputs(server)][:3] == [60, 60, 60]
    assert len(rows(make_batch())) == 60
    assert len(server.answered) == len(set(server.answered))


def test_a_server_that_refuses_all_of_a_batch_stops_the_run(make_batch: MakeBatch, server: Server) -> None:
    server.settings.triggers = {"view": "bad-parameter"}
    with pytest.raises(LlavaMedError, match="does not support 0"):
        rows(make_batch())


@pytest.mark.slow
def test_a_long_wait_for_batches_is_reported(
    make_batch: MakeBatch, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.settings.batch_polls = 90
    rows(make_batch(BatchLimits(poll=0.1, backoff=0.01)), count=4)
    assert f"waiting for 1 batches at {server.url} (state of the latest: in_progress" in caplog.text


@pytest.mark.slow
def test_a_silent_batch_api_is_given_up_after_the_timeout(
    make_batch: MakeBatch, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.settings.call_latency = 60.0
    generator = make_batch(timeout=9.5)
    with pytest.raises(LlavaMedError, match="answered none within --timeout 9.5 seconds"):
        rows(generator)
    assert f"no answer of {server.url} yet" in caplog.text


def test_a_server_without_a_batch_api_is_named(make_batch: MakeBatch, server: Server) -> None:
    server.settings.call_faults = ["wrong-model"]
    with pytest.raises(LlavaMedError, match="no Batch API at this address: choose --generator openai"):
        rows(make_batch())


def test_every_request_of_a_batch_is_counted_once(make_batch: MakeBatch, server: Server) -> None:
    earlier = make_batch()
    list(earlier.generate(make_pairs(20)))
    server.settings.triggers = {"view 33 ": "content-filter-400"}
    generator = make_batch()
    list(generator.generate([*make_pairs(60), *make_pairs(60)]))
    counts = generator.client.counts
    assert (counts.from_journal, counts.unanswered, counts.shared) == (40, 1, 40)
    assert counts.answered - counts.asked_again == 39
    assert counts.answered == len(server.answered) - earlier.client.counts.answered


def test_a_wrong_model_stops_the_run(make_batch: MakeBatch, server: Server) -> None:
    server.settings.models = ()
    with pytest.raises(LlavaMedError, match="no model gpt-4o"):
        rows(make_batch())


def test_a_cost_limit_submits_only_what_it_covers(
    make_batch: MakeBatch, server: Server, journal: Journal
) -> None:
    generator = make_batch(price=Price(10.0, 10.0), max_cost=0.5)
    with pytest.raises(LlavaMedError, match="--max-cost"):
        rows(generator)
    assert 0 < len(journal) < 60
    assert 0.4 < generator.client.budget.spent <= 0.5


RUN = """
import sys
from pathlib import Path
from llavamed_data.instruct import LlmGenerator, Prompt, load_few_shots
from llavamed_data.llm import ChatModel, Endpoint, Journal
from llavamed_data.llm.batch import BatchClient, BatchLimits
from tests.llavamed_data.instruct.conftest import make_pairs
model, limits = ChatModel("gpt-4o", max_tokens=200), BatchLimits(max_requests=25, poll=0.05)
with Journal(Path(sys.argv[2])) as journal:
    client = BatchClient(model, Endpoint(sys.argv[1]), journal, limits=limits)
    prompt = Prompt.build(load_few_shots(), mentions=False)
    list(LlmGenerator("openai-batch", client, prompt).generate(make_pairs(60)))
"""


def test_a_run_killed_after_submitting_finds_its_batches_again(
    server: Server, make_batch: MakeBatch, journal: Journal
) -> None:
    journal.close()
    server.settings.batch_polls = 10**9
    process = subprocess.Popen([sys.executable, "-c", RUN, server.url, str(journal.path)])
    while len(server.batches) < 3:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    server.settings.batch_polls = 1
    with Journal(journal.path) as reopened:
        generator = make_batch()
        generator.client.journal = reopened
        found = rows(generator)
    assert len(found) == 60
    assert len(server.answered) == len(set(server.answered))
    assert [len(batch) for batch in inputs(server)][:3] == [25, 25, 10]
    assert len(inputs(server)) == 4


def test_a_batch_submitted_just_before_a_kill_is_found_on_the_server(
    server: Server, make_batch: MakeBatch, journal: Journal
) -> None:
    rows(make_batch())
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.close()
    journal.path.write_bytes(lines[0])  # the note of what was meant, and nothing after it
    assert json.loads(lines[0])["state"] == "intended"
    with Journal(journal.path) as reopened:
        generator = make_batch()
        generator.client.journal = reopened
        rows(generator)
        states = [facts["state"] for facts in reopened.batches().values()]
    assert states[0] == "collected"
    assert len(server.batches) == 3  # the first, found again; the reminders, submitted twice
