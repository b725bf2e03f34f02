"""What a model thinks is no part of its answer, in whatever marks it comes, and nothing else is taken from a text."""

import json
import time
from pathlib import Path

import pytest

from llavamed_data.instruct.conversation import Conversation
from llavamed_data.llm import Answer, ChatModel, Journal, Request, RunLimits
from llavamed_data.llm.answer import UnusableAnswerError, read_answer
from llavamed_data.llm.reasoning import split_reasoning
from llavamed_data.reasons import Drop, Reason
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import CUT_THINKING, DRAFT, THINKING, Server

ROUNDS = "User: What is seen?\nAssistant: A nodule."


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n{DRAFT}\n</think>\n\n{ROUNDS}",
        f"\n<thinking>{DRAFT}</thinking>{ROUNDS}",
        f"<Thought>{DRAFT}</Thought>\n<Output>\n{ROUNDS}\n</Output>",
        f"<seed:think>{DRAFT}</seed:think>{ROUNDS}",
        f"{DRAFT}\n</think>\n\n{ROUNDS}",
        f"{DRAFT}</think>{ROUNDS}",
        f"<think>I close with </think> when I am done. {DRAFT}\n</think>\n{ROUNDS}",
        f"<think>{DRAFT}</think>\n<think>\n\n</think>\n{ROUNDS}",
        f"<think>{DRAFT}</think>\n{ROUNDS}\n</think>",
        f"<think>{DRAFT}</think>\n\n<answer>{ROUNDS}</answer>",
        f"<think>{DRAFT}</think>\n\n<response>\n{ROUNDS}\n</response>\n",
        f"</think>\n\n{ROUNDS}",
        f"[THINK]{DRAFT}[/THINK]{ROUNDS}",
        f"◁think▷{DRAFT}◁/think▷{ROUNDS}",
        f"<unused94>thought\n{DRAFT}<unused95>{ROUNDS}",
        f"<|channel>thought\n{DRAFT}<channel|>{ROUNDS}",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>\n\n<|begin_of_solution|>{ROUNDS}<|end_of_solution|>",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{ROUNDS}<|END_RESPONSE|>",
        f"Here is my thought process:\n{DRAFT}\nHere is my response:\n{ROUNDS}",
        f"## Thinking\n\n{DRAFT}\n\n## Final Response\n\n{ROUNDS}",
        f"<SUMMARY>{DRAFT}</SUMMARY>\n\n<CONCLUSION>\n{ROUNDS}\n</CONCLUSION>",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ROUNDS}<|return|>",
        f"<|channel|>analysis {DRAFT}<|channel|>final<|message|>{ROUNDS}",
        f"analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ROUNDS}",
        f"<|start|>assistant<|channel|>final<|message|>{ROUNDS}",
        f"analysis{DRAFT}assistantfinal{ROUNDS}",
        f"{DRAFT}<|channel|>final<|message|>{ROUNDS}",
        f"<seed:think>{DRAFT}<seed:cot_budget_reflect>Enough.</seed:cot_budget_reflect>{DRAFT}</seed:think>{ROUNDS}",
        f"<thinking>{DRAFT}\n<reflection>No.</reflection>\n{DRAFT}</thinking>\n<output>{ROUNDS}</output>",
        f"<chain_of_thought>{DRAFT}</chain_of_thought>\n{ROUNDS}",
        f"<thought-process>{DRAFT}</thought-process>\n{ROUNDS}",
        f"<antThinking>{DRAFT}</antThinking>\n{ROUNDS}",
        f"<internal_monologue>{DRAFT}</internal_monologue>{ROUNDS}",
        f"&lt;think&gt;{DRAFT}&lt;/think&gt;\n{ROUNDS}",
        f"<｜begin▁of▁thinking｜>{DRAFT}<｜end▁of▁thinking｜>{ROUNDS}",
        f"<|begin_of_thinking|>{DRAFT}<|end_of_thinking|>{ROUNDS}",
        f"<start_thought>{DRAFT}<end_thought>{ROUNDS}",
        f"<think/>\n\n{ROUNDS}",
        f"\ufeff<think>A cyst?</think>{ROUNDS}",
        f"assistant\n<think>{DRAFT}</think>{ROUNDS}<|im_end|>",
        f"[REASONING]{DRAFT}[/REASONING]{ROUNDS}",
        f"<think>{DRAFT}</think>\nSo this it is.\n<answer>{ROUNDS}</answer>",
        f"<response><think>{DRAFT}</think>{ROUNDS}</response>",
        f"<SUMMARY>To do.</SUMMARY>\n<CAPTION>A lung.</CAPTION>\n<REASONING>{DRAFT}</REASONING>\n"
        f"<CONCLUSION> {ROUNDS} </CONCLUSION>",
        f'<details type="reasoning" done="true">\n<summary>Thought for 3 seconds</summary>\n'
        f"> {DRAFT}\n</details>\n{ROUNDS}",
        f"Thinking...\n{DRAFT}\n...done thinking.\n\n{ROUNDS}",
        f"```thinking\n{DRAFT}\n```\n\n{ROUNDS}",
        f"**Thinking**\n\n{DRAFT}\n\n**Final Answer:**\n{ROUNDS}",
        f"<|im_start|>assistant/think\n{DRAFT}<|im_end|>\n<|im_start|>assistant\n{ROUNDS}<|im_end|>",
        f"thought\n{DRAFT}<unused95>{ROUNDS}",
    ],
)
def test_the_answer_is_what_stands_outside_the_reasoning(text: str) -> None:
    thought, answer = split_reasoning(text)
    assert answer == ROUNDS
    assert thought
    assert split_reasoning(answer) == ("", answer)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n{DRAFT}",
        f"{DRAFT}\n</think>",
        f"[THINK]{DRAFT}",
        f"<unused94>thought\n{DRAFT}",
        f"Sure.\n<think>\n{DRAFT}",
        f"<|channel|>analysis<|message|>{DRAFT}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>commentary<|message|>{DRAFT}",
        f"analysis{DRAFT}",
        f"## Thinking\n\n{DRAFT}",
        f"Sure.\n<think>{DRAFT}",
        f"Sure. <think>{DRAFT}",
        f"Assistant: <think>{DRAFT}",
        f"<think>I close with `</think>` then. {DRAFT}",
        f'<think>\nThe prompt says "</think>" ends it.\n{DRAFT}',
        f"Thinking...\n{DRAFT}",
        f"```thinking\n{DRAFT}",
        f"<SUMMARY>To do.</SUMMARY>\n<CAPTION>{DRAFT}",
        f"analysis\n{DRAFT}",
        f"thought\n{DRAFT}",
    ],
)
def test_a_message_that_ends_within_the_reasoning_has_no_answer(text: str) -> None:
    assert split_reasoning(text) == (text, "")


def test_a_mark_that_a_cut_off_reasoning_speaks_of_does_not_end_it() -> None:
    text = f"<think>\nFirst I reason, then </think> and the answer.\n{DRAFT}"
    assert split_reasoning(text, cut=True) == (text, "")
    assert split_reasoning("<think>surely not </think> no cyst is seen")[1] == "no cyst is seen"


def test_reasoning_between_parts_of_an_answer_goes_and_the_parts_stay() -> None:
    text = "User: What is seen?\nAssistant: <think>A cyst? No.</think> A nodule."
    assert split_reasoning(text)[1] == "User: What is seen?\nAssistant: A nodule."
    assert split_reasoning("Let me see.\n<think>\nA cyst?\n</think>\nYes")[1] == "Let me see.\nYes"


@pytest.mark.parametrize(
    "text",
    [
        "The model writes <think> before and </think> after its reasoning.",
        "User: What is <think>?\nAssistant: The <think> tag opens the reasoning; </think> ends it.",
        "The tags <think>…</think> hold what is not meant for the reader.",
        "Marks such as `<think>` and `</think>` are cut.",
        "A model of this kind writes <|channel|>final<|message|> before its answer.",
        "Wrap it in <answer>Yes</answer>, as the prompt says.",
        "Analysis of the CT shows a cyst. The analysis is final.",
        "p < 0.05 and <i>E. coli</i> [1] [THINK is no word].",
        "  Yes \n",
        "# Findings\nA nodule.",
        "User: What does <think> do?\nAssistant: <think> opens the reasoning, and </think> closes it.",
        'User: Which tag?\nAssistant: It is "<think>".\nUser: And then?\nAssistant: "</think>".',
        "User: What is in the chart?\nAssistant: Boxes labelled <input>, <think> and <output>.",
        "Here is my answer: yes.",
    ],
)
def test_a_text_that_only_mentions_such_marks_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text) == ("", text)


@pytest.mark.parametrize(
    "part", ["</think>", "<think>", "\n", "`</think>` ", "<answer>", "- \n", "<|channel|>"]
)
def test_a_message_of_endless_repetitions_is_read_at_once(part: str) -> None:
    started = time.monotonic()
    split_reasoning(f"<think>A cyst?</think>{part * 4_000}")
    assert time.monotonic() - started < 5


def test_contents_in_parts_are_joined_and_reasoning_in_fields_is_no_answer() -> None:
    def read(finish: str = "stop", **message: object) -> Answer:
        choice = {"message": message, "finish_reason": finish}
        return read_answer(json.dumps({"choices": [choice]}).encode(), model="m")

    assert (
        read(content=[{"type": "text", "text": "A no"}, {"type": "text", "text": "dule."}]).text
        == "A nodule."
    )
    assert read(content=["Yes"]).text == "Yes"
    assert (
        read(content=[{"type": "reasoning", "text": "Hm"}, {"type": "output_text", "text": "Yes"}]).text
        == "Yes"
    )
    for part in (
        {"type": "reasoning.text", "text": "Hm"},
        {"type": "summary_text", "text": "Hm"},
        {"reasoningContent": {"reasoningText": {"text": "Hm"}}},
        {"text": "Hm", "thought": True},
    ):
        assert read(content=[part, {"text": "Yes"}]).text == "Yes"
        assert read(content=[part]).is_missing
    assert read(content={"parts": [{"text": "Yes"}]}).text == "Yes"
    assert (
        read(content=[{"type": "message", "content": [{"type": "output_text", "text": "Yes"}]}]).text == "Yes"
    )
    assert read(content="Yes", reasoning_content="Hm").text == "Yes"
    assert read(content=None, refusal="I cannot.").text == "I cannot."
    for missing in (
        read("length", content=None, reasoning_content="Hm"),
        read("stop", content="", reasoning="Hm"),
        read("MAX_TOKENS"),
        read("stop", content="<think>Hm"),
        read("stop", content=[{"type": "thinking", "thinking": "Hm"}]),
    ):
        assert missing.text == ""
        assert missing.is_missing
    assert not read("stop", content="").is_missing
    assert read("stop", content="half a \ud83d character").text == "half a � character"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("STOP", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("content_filter: RECITATION", "content_filter"),
        ("SAFETY", "content_filter"),
        ("sensitive", "content_filter"),
        ("refusal", "content_filter"),
        (None, "stop"),
        ("tool_calls", "tool_calls"),
    ],
)
def test_the_ends_of_answers_are_read_in_the_words_of_all_servers(said: str | None, read: str) -> None:
    answer = read_answer({"choices": [{"message": {"content": "Yes"}, "finish_reason": said}]}, model="m")
    assert answer.finish_reason == read


@pytest.mark.parametrize("said", ["error", "network_error", "abort", "insufficient_system_resource"])
def test_a_part_of_an_answer_that_the_server_failed_to_finish_is_no_answer(said: str) -> None:
    with pytest.raises(UnusableAnswerError):
        read_answer({"choices": [{"message": {"content": ROUNDS}, "finish_reason": said}]}, model="m")


@pytest.mark.parametrize("kind", THINKING)
def test_a_model_that_thinks_writes_the_same_conversations(
    kind: str, make_client: MakeClient, server: Server, tmp_path: Path
) -> None:
    expected = list(make_generator(make_client()).generate(make_pairs(40)))
    server.settings.thinks = kind
    with Journal(tmp_path / "thinking.jsonl") as journal:
        client = make_client()
        client.journal = journal
        assert list(make_generator(client).generate(make_pairs(40))) == expected
        asked = len(server.asked)
        assert list(make_generator(client).generate(make_pairs(40))) == expected
    assert len(server.asked) == asked


@pytest.mark.parametrize("kind", CUT_THINKING)
def test_an_answer_cut_off_within_the_reasoning_is_asked_for_once_with_more_room(
    kind: str, make_client: MakeClient, server: Server
) -> None:
    server.settings.thinks = "think-closed-only"
    server.settings.triggers = {"view 3 ": kind, "view 4 ": kind}
    outcomes = list(make_generator(make_client()).generate(make_pairs(6)))
    assert isinstance(outcomes[3], Conversation)
    assert DRAFT[:20] not in str(outcomes)
    assert "tumour" not in str(outcomes)
    assert len(server.asked) == 8
    assert list(make_generator(make_client()).generate(make_pairs(6))) == outcomes
    assert len(server.asked) == 8


@pytest.mark.parametrize("kind", CUT_THINKING)
def test_an_answer_that_stays_cut_off_is_dropped(kind: str, make_client: MakeClient, server: Server) -> None:
    server.settings.thinks, server.settings.needs_room = "think-closed-only", False
    client = make_client()
    list(make_generator(client).generate(make_pairs(3)))
    server.settings.triggers = {"view 3 ": kind}
    outcome = list(make_generator(client).generate(make_pairs(4)))[3]
    assert isinstance(outcome, tuple)
    assert outcome[1].reason == Reason.NO_ANSWER
    assert "4096 tokens" in outcome[1].detail


def test_a_window_too_small_for_more_room_is_stated(make_client: MakeClient, server: Server) -> None:
    server.settings.queue = ["think-cut", "too-long"]
    (outcome,) = make_generator(make_client()).generate(make_pairs(1))
    assert isinstance(outcome, tuple)
    assert outcome[1].reason == Reason.NO_ANSWER
    assert "maximum context length" in outcome[1].detail


def test_a_plain_answer_that_reached_its_limit_counts_as_it_is(
    make_client: MakeClient, server: Server
) -> None:
    client = make_client()
    list(make_generator(client).generate(make_pairs(3)))
    server.settings.triggers = {"view 3 ": "length"}
    assert isinstance(list(make_generator(client).generate(make_pairs(4)))[3], Conversation)
    assert len(server.asked) == 4


def test_a_plain_model_that_always_reaches_its_limit_is_not_asked_twice_for_long(
    make_client: MakeClient, server: Server
) -> None:
    server.settings.triggers = {"view": "length"}
    client = make_client(RunLimits(concurrency=1))
    outcomes = list(make_generator(client).generate(make_pairs(20)))
    assert sum(isinstance(outcome, Conversation) for outcome in outcomes) >= 15
    assert (len(server.asked), client.counts.asked_again) == (20 + 3, 3)
    again = make_client(RunLimits(concurrency=1))
    assert str(list(make_generator(again).generate(make_pairs(20)))) == str(outcomes)
    assert len(server.asked) == 20 + 3


def test_answers_of_older_journals_are_read_without_their_reasoning(tmp_path: Path) -> None:
    keys = [Request({"n": number}).key for number in range(3)]
    texts = [
        f"<think>\n{DRAFT}\n</think>\n\n{ROUNDS}",
        f"[{{'type': 'text', 'text': {ROUNDS!r}}}]",
        f"<think>{DRAFT}",
    ]
    path = tmp_path / "journal.jsonl"
    path.write_text(
        "".join(
            json.dumps({"key": key, "text": text, "model": "m", "finish_reason": "stop", "usage": [1, 2]})
            + "\n"
            for key, text in zip(keys, texts, strict=True)
        )
    )
    with Journal(path) as journal:
        answers = [journal.answer(key) for key in keys]
    assert [answer.text for answer in answers if answer] == [ROUNDS, ROUNDS, ""]
    assert [answer.is_missing for answer in answers if answer] == [False, False, True]


def test_a_request_with_more_room_keeps_all_but_its_limit() -> None:
    small = ChatModel("m", max_tokens=200).request([{"role": "user", "content": "?"}])
    assert dict(small.with_more_room().body) == {**small.body, "max_tokens": 4096}
    newer = ChatModel("m", max_tokens=2000, length_parameter="max_completion_tokens").request([])
    assert newer.with_more_room().body["max_completion_tokens"] == 8000


def test_an_answer_without_text_but_with_reasoning_is_a_drop(make_client: MakeClient, server: Server) -> None:
    server.settings.needs_room, server.settings.queue = False, ["think-cut", "think-cut"]
    client = make_client()
    request = client.model.request([{"role": "user", "content": "?"}])
    ((_, outcome),) = client.complete([(0, request)])
    assert isinstance(outcome, Drop)
