"""The LLM generator turns each pair into a conversation or a drop, in spite of failures and kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavamed_data.instruct import find_leaks
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.reasons import Reason
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import PASSING_FAULTS, Server, running
from tests.servers.openai import Settings as ServerSettings


def test_each_pair_has_one_outcome_in_order(make_client: MakeClient) -> None:
    pairs = make_pairs(200)
    outcomes = list(make_generator(make_client()).generate(pairs))
    ids = [outcome.pair_id if isinstance(outcome, Conversation) else outcome[0] for outcome in outcomes]
    assert ids == [pair.pair_id for pair in pairs]
    conversations = [outcome for outcome in outcomes if isinstance(outcome, Conversation)]
    assert len(conversations) > 190
    for conversation in conversations:
        assert conversation.model == "gpt-4o-2026-01-01"
        for question, answer in conversation.rounds:
            assert question
            assert not find_leaks(answer)
    # the server's answers do leak: cleaning did this
    assert any(conversation.rule_counts for conversation in conversations)


def test_an_unreadable_answer_is_asked_for_once_more_with_a_reminder(
    make_client: MakeClient, server: Server
) -> None:
    pairs = make_pairs(200)
    outcomes = list(make_generator(make_client()).generate(pairs))
    dropped = [outcome[1].reason for outcome in outcomes if not isinstance(outcome, Conversation)]
    assert Reason.UNREADABLE_ANSWER not in dropped
    assert 200 < len(server.asked) < 230


def test_an_answer_that_stays_unreadable_is_dropped_with_its_text(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"view 5 ": "prose", "Please write the conversation again": "prose"}
    outcomes = list(make_generator(make_client()).generate(make_pairs(6)))
    dropped = outcomes[5]
    assert isinstance(dropped, tuple)
    assert dropped[0] == "5_F1"
    assert dropped[1].reason == Reason.UNREADABLE_ANSWER
    assert dropped[1].detail == "It is a fine image."
    assert len(server.asked) == 7


def test_a_conversation_without_rounds_after_cleaning_is_dropped(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"view 2 ": "apology"}
    outcomes = list(make_generator(make_client()).generate(make_pairs(3)))
    dropped = outcomes[2]
    assert isinstance(dropped, tuple)
    assert dropped[1].reason == Reason.NO_CONVERSATION


def test_requests_can_be_looked_at_before_they_are_sent(make_client: MakeClient, server: Server) -> None:
    generator = make_generator(make_client(), mentions=True)
    bodies = [dict(generator.request(pair).body) for pair in make_pairs(3)]
    assert bodies[0]["model"] == "gpt-4o"
    assert bodies[0]["temperature"] == 0
    assert bodies[0]["seed"] == 0
    assert "Figure Context" in bodies[0]["messages"][-1]["content"]
    assert json.loads(json.dumps(bodies)) == bodies
    assert server.asked == []


def test_a_generator_names_what_decides_its_text(make_client: MakeClient) -> None:
    generator = make_generator(make_client())
    assert generator.name == "openai"
    assert generator.model == "gpt-4o"
    assert set(generator.versions) == {"prompt_sha256", "few_shots_sha256", "rules_version"}
    assert len(generator.versions["prompt_sha256"]) == len(generator.versions["few_shots_sha256"]) == 64


def start(server: Server, folder: Path, count: int) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "tests.llavamed_data.instruct.run_generator",
        server.url,
        str(folder),
        str(count),
    ]
    return subprocess.Popen(command)


def undisturbed(folder: Path, count: int) -> bytes:
    folder.mkdir()
    with running() as server:
        assert start(server, folder, count).wait() == 0
    return (folder / "set.jsonl").read_bytes()


def lines(folder: Path) -> int:
    path = folder / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def on_file(folder: Path) -> set[str]:
    """Keys of the whole lines of the journal, read without the toolkit."""
    path = folder / "journal.jsonl"
    whole = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return {json.loads(line)["key"] for line in whole if line.endswith(b"\n")}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_failures_and_kills_lose_no_answer_and_pay_none_twice(tmp_path: Path) -> None:
    """2,000 pairs, 30 % of requests failing, 20 kills: the set is that of an undisturbed run."""
    count, kills, chance = 2000, 20, random.Random(7)
    expected = undisturbed(tmp_path / "calm", count)
    folder = tmp_path / "wild"
    folder.mkdir()
    # a request that is not answered three times is dropped: so hangs are rare enough for no request to meet three
    others = tuple(kind for kind in PASSING_FAULTS if kind != "hang")
    kinds = ("hang", *others * 5)
    faulty = ServerSettings(fault_share=0.3, fault_kinds=kinds, seed=3, latency=0.01, hang=3.0)
    with running(faulty) as server:
        for kill in range(kills + 1):
            held, asked_before = on_file(folder), len(server.asked)
            process = start(server, folder, count)
            if kill < kills:
                target = len(held) + chance.randint(20, 80)
                while lines(folder) < target:
                    assert process.poll() is None  # it has not ended by itself
                    time.sleep(0.01)
                os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == (-signal.SIGKILL if kill < kills else 0)
            assert not held & set(server.asked[asked_before:])
        bought_twice = len(server.answered) - len(set(server.answered))
    assert (folder / "set.jsonl").read_bytes() == expected
    # a kill costs what was under way (32 at a time), a broken connection or a time-out its one answer
    assert bought_twice <= kills * 32
