"""An estimate adds up the tokens of every request, and shows the price and time of both LLM generators."""

import pytest
from rich.console import Console

from llavamed_data.cli.build import estimate_table
from llavamed_data.errors import UsageError
from llavamed_data.instruct import Prompt, estimate_conversations, load_few_shots
from llavamed_data.llm.tokens import count_tokens, load_encoding
from tests.llavamed_data.instruct.conftest import make_pairs

PROMPT = Prompt.build(load_few_shots(), mentions=True)


def test_estimate_adds_up() -> None:
    pairs = make_pairs(40)
    found = estimate_conversations(pairs, PROMPT, "gpt-4", rpm=10, tpm=40_000)
    encoding = load_encoding("cl100k_base")
    each = [count_tokens(PROMPT.messages(pair), encoding) + 3 for pair in pairs]
    assert found.requests == 40
    assert found.usage.prompt_tokens == sum(each)
    assert 40 * 60 < found.usage.completion_tokens < 40 * 400
    chat, batch = found.generators
    # gpt-4 costs 30 dollars a million prompt tokens and 60 a million completion tokens
    assert chat.dollars == pytest.approx((sum(each) * 30 + found.usage.completion_tokens * 60) / 1e6)
    assert batch.dollars == pytest.approx(chat.dollars / 2)
    assert batch.hours == 24
    assert chat.hours is not None
    assert chat.hours * 60 == pytest.approx(max(4.0, (sum(each) + found.usage.completion_tokens) / 40_000))


def test_estimate_is_shown_to_people_and_machines() -> None:
    found = estimate_conversations(make_pairs(3), PROMPT, "gpt-4", rpm=60)
    console = Console(record=True, width=140)
    console.print(estimate_table(found))
    text = console.export_text()
    assert "3 requests to gpt-4" in text
    assert "up to 24 h" in text
    assert found.as_of in text
    assert set(found.to_dict()["modes"]) == {"openai", "openai-batch"}


def test_a_model_without_a_price_is_reported() -> None:
    with pytest.raises(UsageError, match="no price known for the model llama-9"):
        estimate_conversations([], PROMPT, "llama-9")
