"""The chat client answers requests in order and once, in spite of every failure that passes."""

import itertools
import re
import time
from collections.abc import Iterator

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm import Answer, ChatModel, Endpoint, Journal, Request, RunLimits, Usage
from llavamed_data.llm.chat import ChatClient
from llavamed_data.llm.costs import Price
from llavamed_data.llm.request import Message
from llavamed_data.llm.request_form import RequestForm
from llavamed_data.llm.server_error import read_error
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
        ("no-money", "quota is spent .Insufficient Balance"),
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
    with pytest.raises(
        UsageError, match="OPENAI_API_KEY is not set.*--base-url http://127.0.0.1.*needs no key"
    ):
        ChatClient(ChatModel("gpt-4o"), Endpoint(), journal)
    ChatClient(ChatModel("m"), Endpoint("http://127.0.0.1:8000/v1"), journal)  # a local server needs none
    for key in ("sk-\u00e9", "sk a b"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(UsageError, match="a character that no key has"):
            ChatClient(ChatModel("gpt-4o"), Endpoint(), journal)
    monkeypatch.setenv("OPENAI_API_KEY", " sk-test\n")
    assert Endpoint().connect().api_key == "sk-test"
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    with pytest.raises(UsageError, match="no http address"):
        ChatClient(ChatModel("gpt-4o"), Endpoint("localhost:80"), journal)


def test_a_server_that_asks_for_a_key_that_is_not_set_says_which_variable(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    client = make_client()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LlavaMedError, match=f"{server.url} asks for a key, and OPENAI_API_KEY is not set"):
        list(client.complete(jobs(client, 3)))


def test_a_server_that_is_not_there_is_told(journal: Journal) -> None:
    client = ChatClient(
        ChatModel("gpt-4o"),
        Endpoint("http://127.0.0.1:9/v1"),
        journal,
        limits=RunLimits(backoff=0.001, attempts=3),
    )
    with pytest.raises(LlavaMedError, match="connection failed"):
        list(client.complete(jobs(client, 2)))


def test_a_server_that_cannot_be_reached_is_given_up_soon(journal: Journal) -> None:
    client = ChatClient(
        ChatModel("gpt-4o"),
        Endpoint("http://user:secret@127.0.0.1:9/v1"),
        journal,
        limits=RunLimits(backoff=0.1, attempts=10_000, unreachable=1.5),
    )
    start = time.monotonic()
    with pytest.raises(
        LlavaMedError, match=r"no server can be reached at http://127.0.0.1:9/v1 .*--base-url"
    ):
        list(client.complete(jobs(client, 40)))
    assert 1.5 <= time.monotonic() - start < 10
    assert (
        RunLimits().unreachable <= 100
    )  # with the longest pause before the last attempt, within two minutes


def test_a_server_that_takes_requests_and_stays_silent_is_given_up_after_the_timeout(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"Figure": "hang"}
    client = make_client(timeout=1.5)
    start = time.monotonic()
    with pytest.raises(
        LlavaMedError, match=f"{server.url} took the requests and answered none within --timeout 1.5"
    ):
        list(client.complete(jobs(client, 40)))
    assert 1.5 <= time.monotonic() - start < 6


def test_a_request_that_alone_is_never_answered_is_dropped_after_three_attempts(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers, server.settings.latency = {"Figure 3:": "hang"}, 0.02
    client = make_client(RunLimits(backoff=0.01, concurrency=2), timeout=0.4)
    outcomes = dict(client.complete(jobs(client, 100)))
    dropped = {tag: outcome.detail for tag, outcome in outcomes.items() if isinstance(outcome, Drop)}
    assert dropped == {3: "the server did not answer in time, 3 times"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [("slow", r"each may take 30 seconds \(--timeout\)"), ("503-wait", "the server answers 503")],
)
def test_silence_is_reported_within_ten_seconds(
    fault: str, words: str, make_client: MakeClient, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.settings.queue, server.settings.retry_after = [fault], "9.5"
    server.settings.latency = 9.5 if fault == "slow" else 0.0
    client = make_client(timeout=30)
    start = time.time()
    list(client.complete(jobs(client, 1)))
    first = caplog.records[0]
    assert first.created - start <= 10
    assert first.levelname == "WARNING"
    assert re.search(
        rf"no answer of {server.url} for \d+ seconds; requests that wait: 1; {words}", first.message
    )


@pytest.mark.slow
def test_a_server_that_answers_is_not_reported(
    make_client: MakeClient, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.settings.latency = 0.5
    client = make_client(RunLimits(concurrency=1))
    for _, outcome in client.complete(jobs(client, 4)):
        assert isinstance(outcome, Answer)
        time.sleep(2.2)  # the caller takes its time: that is no silence of the server
    assert not caplog.records


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("content-filter", Reason.CONTENT_FILTER),
        ("content-filter-400", Reason.CONTENT_FILTER),
        ("filter-proxy", Reason.CONTENT_FILTER),
        ("filter-403", Reason.CONTENT_FILTER),
        ("filter-list", Reason.CONTENT_FILTER),
        ("too-long", Reason.REQUEST_REFUSED),
        ("context-llama.cpp", Reason.REQUEST_REFUSED),
        ("context-vllm", Reason.REQUEST_REFUSED),
        ("context-500", Reason.REQUEST_REFUSED),
        ("too-large-429", Reason.REQUEST_REFUSED),
        ("odd-400", Reason.REQUEST_REFUSED),
        ("odd-422", Reason.REQUEST_REFUSED),
        ("odd-418-html", Reason.REQUEST_REFUSED),
        ("bad-parameter", Reason.REQUEST_REFUSED),
        ("context-200", Reason.REQUEST_REFUSED),
        ("filter-200", Reason.CONTENT_FILTER),
        ("filter-200-bare", Reason.CONTENT_FILTER),
        ("failed-200", Reason.REQUEST_FAILED),
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


def test_a_refused_request_is_dropped_with_the_words_of_the_server(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"Figure 3:": "odd-400", "Figure 4:": "odd-418-html", "Figure 5:": "odd-422"}
    client = make_client()
    outcomes = dict(client.complete(jobs(client, 6)))
    words = [outcome.detail for outcome in outcomes.values() if isinstance(outcome, Drop)]
    assert words == ["no way with this caption", "I am a teapot", "body.messages: odd"]
    # a form that one odd request seemed to ask for is not kept
    assert client.form == RequestForm()


def test_a_server_that_refuses_the_first_requests_stops_the_run(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"Figure": "odd-400"}
    client = make_client(RunLimits(concurrency=4))
    with pytest.raises(LlavaMedError, match="each of the first 20 requests: no way with this caption"):
        list(client.complete(jobs(client, 1000)))
    assert 20 <= len(server.asked) <= 30


def test_a_server_that_begins_to_refuse_requests_stops_the_run(
    make_client: MakeClient, server: Server
) -> None:
    client = make_client()
    list(client.complete(jobs(client, 200)))
    server.settings.triggers = {"Figure": "odd-400"}
    outcomes = client.complete(jobs(client, 1000))
    answered = [next(outcomes)[1] for _ in range(250)]
    assert sum(isinstance(outcome, Drop) for outcome in answered) == 50
    with pytest.raises(LlavaMedError, match="51 of the last 100 requests"):
        list(outcomes)


def test_a_third_of_requests_may_be_refused_in_every_run(make_client: MakeClient, server: Server) -> None:
    server.settings.triggers = {f"{digit}: a plain caption": "context-llama.cpp" for digit in "147"}
    client = make_client()
    first = list(client.complete(jobs(client, 300)))
    assert sum(isinstance(outcome, Drop) for _, outcome in first) == 90
    again = make_client()
    assert [tag for tag, outcome in again.complete(jobs(again, 300)) if isinstance(outcome, Drop)] == [
        tag for tag, outcome in first if isinstance(outcome, Drop)
    ]


def test_a_short_run_all_of_whose_requests_are_refused_stops_with_the_words_of_the_server(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"Figure": "odd-400"}
    client = make_client()
    with pytest.raises(LlavaMedError, match="every request: no way with this caption"):
        list(client.complete(jobs(client, 6)))


@pytest.mark.parametrize(
    ("refused", "form"),
    [
        ({"system"}, RequestForm(system_in_user_turn=True)),
        (
            {"max_tokens", "temperature"},
            RequestForm(False, "max_completion_tokens", frozenset({"temperature"})),
        ),
        ({"seed"}, RequestForm(left_out=frozenset({"seed"}))),
        (
            {"system", "max_tokens", "temperature", "seed"},
            RequestForm(True, "max_completion_tokens", frozenset({"temperature", "seed"})),
        ),
    ],
)
def test_a_model_that_refuses_the_usual_form_is_asked_in_the_one_that_it_takes(
    refused: set[str], form: RequestForm, make_client: MakeClient, server: Server, journal: Journal
) -> None:
    server.settings.refuses = frozenset(refused)
    client = make_client(RunLimits(concurrency=1))
    outcomes = list(client.complete(jobs(client, 30)))
    assert all(isinstance(outcome, Answer) for _, outcome in outcomes)
    assert client.form == form
    assert len(server.asked) == 30 + len(refused)
    # the keys are those of the usual form: what is answered is not asked again
    assert all(request.key in journal for _, request in jobs(client, 30))
    server.settings.refuses = frozenset()
    again = make_client()
    assert list(again.complete(jobs(again, 30))) == outcomes
    assert again.form == RequestForm()
    assert len(server.asked) == 30 + len(refused)


def test_requests_in_flight_while_the_form_is_found_are_asked_again_in_it(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.refuses = frozenset({"system", "max_tokens", "temperature"})
    server.settings.refusal_latency = 0.05  # later ones are refused when the first has been answered
    client = make_client(RunLimits(concurrency=8))
    outcomes = list(client.complete(jobs(client, 24)))
    assert [outcome for _, outcome in outcomes if not isinstance(outcome, Answer)] == []


def test_the_system_text_is_sent_at_the_start_of_the_first_user_turn() -> None:
    form = RequestForm(system_in_user_turn=True)
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
    ]
    sent = form.applied({"model": "m", "messages": messages, "seed": 0})
    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "Be short.\n\nOne?"}, *messages[2:]],
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            RequestForm(True),
        ),
        ("Developer instruction is not enabled for models/gemma-3-1b-it", RequestForm(True)),
        ("Conversation roles must alternate user/assistant/user/assistant/...", RequestForm(True)),
        ("Only user and assistant roles are supported!", RequestForm(True)),
        ('messages: Unexpected role "system".', RequestForm(True)),
        ("messages.0.role: Input should be 'user' or 'assistant'", RequestForm(True)),
        ("Only 'user' and 'assistant' roles are allowed", RequestForm(True)),
        ("the role of message with even index must be user or function", RequestForm(True)),
        ("system_prompt is not supported by this model", RequestForm(True)),
        (
            "this model is not supported MaxTokens, use MaxCompletionTokens",
            RequestForm(False, "max_completion_tokens"),
        ),
        ("temperature range is (0, 1.0]", RequestForm(left_out=frozenset({"temperature"}))),
        ("temperature 0 is too low", RequestForm(left_out=frozenset({"temperature"}))),
        ("`temperature` must be strictly positive", RequestForm(left_out=frozenset({"temperature"}))),
        ("m models don't support temperature=0.0", RequestForm(left_out=frozenset({"temperature"}))),
        (
            'Invalid JSON payload received. Unknown name "seed": no field.',
            RequestForm(left_out=frozenset({"seed"})),
        ),
        (
            "max_tokens is not supported, use max_completion_tokens",
            RequestForm(False, "max_completion_tokens"),
        ),
        ("max_tokens is too large: 4096. This model supports at most 2048 completion tokens", None),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: this model's maximum context length is 10",
            None,
        ),
        ("the body temperature is 38", None),
        ("internal error of the file system", None),
    ],
)
def test_the_form_that_a_server_takes_is_read_from_its_words(words: str, form: RequestForm | None) -> None:
    messages: list[Message] = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    body = ChatModel("m").request(messages).body
    assert RequestForm().adapted(read_error(400, {"error": {"message": words}}), body) == form


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 20, "completion_tokens": "many"},
        {"prompt_tokens": -5, "completion_tokens": 7},
        {"prompt_tokens": 5, "completion_tokens": -7},
        {"prompt_tokens": [1], "completion_tokens": {}},
        {"prompt_tokens": 1e300, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": "12", "completion_tokens": 2},
        ["many"],
        "many",
        7,
    ],
)
def test_usage_that_is_no_count_is_replaced_by_an_estimate(
    usage: object, make_client: MakeClient, server: Server
) -> None:
    server.settings.usage = usage
    client = make_client(RunLimits(max_cost=1.0), price=Price(prompt=10.0, completion=10.0))
    outcomes = list(client.complete(jobs(client, 3)))
    assert [outcome.usage for _, outcome in outcomes if isinstance(outcome, Answer)] == [Usage(0, 0)] * 3
    assert client.counts.retries == 0
    # 200 tokens of an answer, and a prompt of some 70 bytes at two bytes a token: 235 tokens at 10 dollars a million
    assert 3 * 0.002 < client.budget.spent < 3 * 0.003
    assert client.counts.dollars == pytest.approx(client.budget.spent)


def test_usage_may_be_missing_or_given_in_decimals(make_client: MakeClient, server: Server) -> None:
    client = make_client()
    for number, (usage, counted) in enumerate(
        (
            (None, Usage(0, 0)),
            ({}, Usage(0, 0)),
            ({"prompt_tokens": 12}, Usage(12, 0)),
            ({"prompt_tokens": 12.0, "completion_tokens": 3.0}, Usage(12, 3)),
        )
    ):
        server.settings.usage = usage
        ((_, outcome),) = client.complete(jobs(client, 1, mark=f"{number} "))
        assert isinstance(outcome, Answer)
        assert outcome.usage == counted


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

    def faulty() -> Iterator[tuple[int, Request]]:
        yield from jobs(client, 3)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(client.complete(faulty()))


def test_every_request_is_counted_once(make_client: MakeClient, server: Server) -> None:
    def louder(request: Request, answer: Answer) -> Request | None:
        quiet = request.body["messages"][-1]["content"] != "Again"
        return request.continued(answer.text, "Again") if quiet and "Figure 2:" in str(request.body) else None

    earlier = make_client()
    list(earlier.complete(jobs(earlier, 10)))
    server.settings.latency = 0.02
    server.settings.triggers = {"Figure 15:": "odd-400"}
    client = make_client(RunLimits(concurrency=3))
    # 20 requests, 10 of them in the journal (the one of figure 2 without what follows it), each asked for 3 times
    found = list(client.complete([*jobs(client, 20), *jobs(client, 20), *jobs(client, 20)], follow_up=louder))
    assert len(found) == 60
    counts = client.counts
    # 9 figures of the second ten, and what follows on figure 2; what failed may be asked for again
    assert (counts.answered, counts.asked_again, counts.from_journal) == (10, 0, 27)
    assert 1 <= counts.unanswered <= 3
    assert (
        counts.answered - counts.asked_again + counts.from_journal + counts.shared + counts.unanswered == 60
    )
    assert f"{counts.shared} shared with another request" in counts.details()


def test_second_answers_are_counted_apart(make_client: MakeClient) -> None:
    client = make_client()
    list(
        client.complete(
            jobs(client, 10),
            follow_up=lambda request, answer: (
                request.continued(answer.text, "Again") if len(request.body["messages"]) == 2 else None
            ),
        )
    )
    assert (client.counts.answered, client.counts.asked_again) == (20, 10)
    assert client.counts.details() == "0 from the journal, 10 of the answers asked for again"


def test_a_follow_up_is_sent_once_and_its_answer_counts(make_client: MakeClient, server: Server) -> None:
    def louder(request: Request, answer: Answer) -> Request | None:
        body = {**request.body, "messages": [*request.body["messages"], {"role": "user", "content": "Again"}]}
        return None if request.body["messages"][-1]["content"] == "Again" else Request(body)

    for _ in range(2):
        client = make_client()
        list(client.complete(jobs(client, 10), follow_up=louder))
        assert len(server.asked) == 20
