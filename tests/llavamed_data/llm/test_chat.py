"""The chat client answers requests in order and once, in spite of every failure that passes."""

import itertools
import time

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm import Answer, ChatModel, Endpoint, Journal, Request, RunLimits
from llavamed_data.llm.chat import ChatClient
from llavamed_data.llm.costs import Price
from llavamed_data.reasons import Drop, Reason
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import PASSING_FAULTS, Server


def jobs(client: ChatClient, count: int, *, mark: str = "") -> list[tuple[int, Request]]:
    return [
        (
            n,
            client.model.request(
                [
                    {"role": "system", "content": "You are an AI assistant."},
                    {"role": "user", "content": f"Figure Caption:\n{mark}Figure {n}: a plain caption"},
                ]
            ),
        )
        for n in range(count)
    ]


def test_outcomes_come_in_order_and_as_the_server_gave_them(
    make_client: MakeClient, server: Server, journal: Journal
) -> None:
    client = make_client()
    outcomes = list(client.complete(iter(jobs(client, 100))))
    assert [tag for tag, _ in outcomes] == list(range(100))
    assert {outcome.model for _, outcome in outcomes if isinstance(outcome, Answer)} == {"gpt-4o-2026-01-01"}
    assert len(server.asked) == len(journal) == 100
    assert client.counts.answered == 100


def test_what_is_in_the_journal_is_not_asked_again(make_client: MakeClient, server: Server) -> None:
    first = list(make_client().complete(jobs(make_client(), 50)))
    again = make_client()
    assert list(again.complete(jobs(again, 50))) == first
    assert len(server.asked) == 50
    assert again.counts.from_journal == 50
    assert again.counts.answered == 0


def test_the_same_request_twice_is_asked_once(make_client: MakeClient, server: Server) -> None:
    server.settings.latency = 0.05
    client = make_client()
    twice = [*jobs(client, 5), *jobs(client, 5)]
    outcomes = [outcome for _, outcome in client.complete(twice)]
    assert outcomes[:5] == outcomes[5:]
    assert len(server.asked) == 5


@pytest.mark.parametrize("fault", PASSING_FAULTS)
def test_a_failure_that_passes_costs_a_retry_and_nothing_else(
    fault: str, make_client: MakeClient, server: Server
) -> None:
    calm = make_client()
    expected = list(calm.complete(jobs(calm, 3)))
    server.settings.queue = [fault, fault]
    client = make_client(timeout=0.3)
    found = list(client.complete(jobs(client, 3, mark="other ")))
    assert [tag for tag, outcome in found if isinstance(outcome, Answer)] == [tag for tag, _ in expected]
    assert client.counts.retries == 2
    assert client.counts.answered == 3


def test_all_requests_wait_as_long_as_the_server_asks(make_client: MakeClient, server: Server) -> None:
    server.settings.queue, server.settings.retry_after = ["429"], "0.6"
    client = make_client(RunLimits(backoff=0.01, concurrency=1))
    start = time.monotonic()
    list(client.complete(jobs(client, 3)))
    assert time.monotonic() - start >= 0.6
    assert len(server.asked) == 4


@pytest.mark.parametrize("fault", ["429", "503-wait"])
def test_a_server_that_asks_to_wait_for_a_day_ends_the_run(
    fault: str, make_client: MakeClient, server: Server
) -> None:
    server.settings.queue, server.settings.retry_after = [fault], "86400"
    client = make_client()
    with pytest.raises(LlavaMedError, match="86400 seconds"):
        list(client.complete(jobs(client, 3)))


def test_a_server_that_answers_only_too_many_requests_ends_the_run(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.queue = ["429-bare"] * 1000
    client = make_client(RunLimits(backoff=0.01, patience=0.3))
    with pytest.raises(LlavaMedError, match="too many requests"):
        list(client.complete(jobs(client, 3)))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("quota", "quota is spent"),
        ("wrong-model", "no model gpt-4o"),
        ("bad-parameter", "does not support 0"),
    ],
)
def test_an_error_that_every_request_would_get_stops_the_run_in_one_line(
    fault: str, said: str, make_client: MakeClient, server: Server, journal: Journal
) -> None:
    server.settings.latency = 0.05
    server.settings.triggers = {"Figure 40:": fault}
    client = make_client(RunLimits(concurrency=8))
    with pytest.raises(LlavaMedError, match=said) as caught:
        list(client.complete(jobs(client, 1000)))
    assert "\n" not in str(caught.value)
    assert len(server.asked) <= 41 + 8
    # what the server was working on when the run stopped is in the journal
    assert len(journal) == len(server.answered) >= 33


def test_a_wrong_key_is_reported_but_not_shown(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-and-wrong")
    client = make_client()
    with pytest.raises(LlavaMedError, match="OPENAI_API_KEY") as caught:
        list(client.complete(jobs(client, 3)))
    assert "sk-secret" not in str(caught.value)
    assert "sk-secret" not in journal.path.read_text()


def test_a_missing_key_is_reported_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        ChatClient(ChatModel("gpt-4o"), Endpoint(), journal)
    with pytest.raises(UsageError, match="no http address"):
        ChatClient(ChatModel("gpt-4o"), Endpoint("localhost:80"), journal)


def test_a_server_that_is_not_there_is_told(journal: Journal) -> None:
    client = ChatClient(
        ChatModel("gpt-4o"),
        Endpoint("http://127.0.0.1:9/v1"),
        journal,
        limits=RunLimits(backoff=0.001, attempts=3),
    )
    with pytest.raises(LlavaMedError, match="connection failed"):
        list(client.complete(jobs(client, 2)))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("content-filter", Reason.CONTENT_FILTER),
        ("content-filter-400", Reason.CONTENT_FILTER),
        ("too-long", Reason.REQUEST_REFUSED),
        ("500", Reason.REQUEST_FAILED),
        ("malformed", Reason.REQUEST_FAILED),
    ],
)
def test_only_the_request_that_the_server_cannot_answer_is_dropped(
    fault: str, reason: Reason, make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"Figure 3:": fault}
    server.settings.latency = 0.01
    client = make_client(RunLimits(backoff=0.005, attempts=3, concurrency=2))
    outcomes = dict(client.complete(jobs(client, 20)))
    dropped = {tag: outcome.reason for tag, outcome in outcomes.items() if isinstance(outcome, Drop)}
    assert dropped == {3: reason}
    assert len(outcomes) == 20


def test_an_answer_that_reached_its_limit_says_so(make_client: MakeClient, server: Server) -> None:
    server.settings.queue = ["length"]
    client = make_client()
    (outcome,) = dict(client.complete(jobs(client, 1))).values()
    assert isinstance(outcome, Answer)
    assert outcome.finish_reason == "length"


def test_max_cost_stops_before_it_is_passed(
    make_client: MakeClient, server: Server, journal: Journal
) -> None:
    price = Price(prompt=100.0, completion=1000.0)
    server.settings.latency = 0.01
    client = make_client(RunLimits(max_cost=5.0), price=price)
    with pytest.raises(LlavaMedError, match="--max-cost 5.0"):
        list(client.complete(jobs(client, 10_000)))
    assert 4.0 < client.budget.spent <= 5.0
    assert len(journal) == server.answers == client.counts.answered
    # a second run goes on where the first stopped
    again = make_client(RunLimits(max_cost=1.0), price=price)
    with pytest.raises(LlavaMedError):
        list(again.complete(jobs(again, 10_000)))
    assert again.counts.from_journal == client.counts.answered
    assert 0.5 < again.budget.spent <= 1.0


def test_a_cost_limit_without_a_price_is_an_error(make_client: MakeClient) -> None:
    with pytest.raises(UsageError, match="needs the price"):
        make_client(RunLimits(max_cost=1.0))


def test_a_caller_who_stops_early_ends_the_run(make_client: MakeClient, server: Server) -> None:
    server.settings.latency = 0.02
    client = make_client(RunLimits(concurrency=4))
    taken = list(itertools.islice(client.complete(jobs(client, 10_000)), 10))
    assert len(taken) == 10
    asked = len(server.asked)
    time.sleep(0.1)
    assert len(server.asked) == asked < 200


def test_rate_limits_are_neither_passed_nor_left_unused(make_client: MakeClient, server: Server) -> None:
    server.settings.rpm, server.settings.window, server.settings.latency = 3000, 1.0, 0.05
    client = make_client(RunLimits(rpm=3000))
    start = time.monotonic()
    list(client.complete(jobs(client, 150)))
    assert server.statuses[429] <= 15
    assert time.monotonic() - start > 2.7


def test_limits_are_taken_from_the_headers(make_client: MakeClient, server: Server) -> None:
    server.settings.rpm, server.settings.window = 3000, 1.0
    client = make_client()
    outcomes = list(client.complete(jobs(client, 130)))
    assert all(isinstance(outcome, Answer) for _, outcome in outcomes)
    assert server.statuses[429] < 40


def test_an_error_in_the_callers_requests_reaches_the_caller(make_client: MakeClient) -> None:
    client = make_client()

    def faulty() -> "itertools.chain[tuple[int, Request]]":
        yield from jobs(client, 3)  # type: ignore[misc]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(client.complete(faulty()))


def test_a_follow_up_is_sent_once_and_its_answer_counts(make_client: MakeClient, server: Server) -> None:
    def louder(request: Request, answer: Answer) -> Request | None:
        body = {**request.body, "messages": [*request.body["messages"], {"role": "user", "content": "Again"}]}
        return None if request.body["messages"][-1]["content"] == "Again" else Request(body)

    for _ in range(2):
        client = make_client()
        list(client.complete(jobs(client, 10), follow_up=louder))
        assert len(server.asked) == 20
