"""Prices come from a table that users may replace, and a budget is never passed."""

from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.llm import Budget, Usage, chat_model
from llavamed_data.llm.costs import Price, find_prices, require_prices


def test_a_dated_name_has_the_prices_of_its_model() -> None:
    dated = require_prices("gpt-4o-2024-08-06")
    assert dated.price == Price(2.5, 10.0)
    assert dated.batch_price == Price(1.25, 5.0)
    assert dated.model == "gpt-4o-2024-08-06"


def test_a_price_is_in_dollars_per_million_tokens() -> None:
    assert Price(2.5, 10.0).of(Usage(2_000_000, 300_000)) == pytest.approx(8.0)


def test_a_model_that_the_table_does_not_list_is_reported_in_one_line() -> None:
    assert find_prices("llama-9") is None
    with pytest.raises(UsageError, match="no price known for the model llama-9") as caught:
        require_prices("llama-9")
    assert "--prices" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_price_table_is_used_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "as_of: 2026-01-01\nsource: us\nbatch: {share: 0.5, requests: 10, bytes: 20, hours: 1}\n"
        "models: {llama: {encoding: cl100k_base, prompt: 1, completion: 2}}\n"
    )
    own = require_prices("llama", path)
    assert (own.price, own.batch_price, own.batch_requests) == (Price(1, 2), Price(0.5, 1), 10)
    assert (own.batch_bytes, own.batch_hours) == (20, 1)
    path.write_text("models: {}\n")
    with pytest.raises(UsageError, match="lacks as_of, batch, source"):
        require_prices("llama", path)
    with pytest.raises(UsageError, match="cannot be read"):
        require_prices("llama", tmp_path / "none.yaml")


def test_reasoning_models_are_asked_without_parameters_that_they_refuse() -> None:
    assert chat_model("gpt-5").request([]).body == {
        "model": "gpt-5", "messages": [], "max_completion_tokens": 1024,
    }  # fmt: skip
    assert chat_model("gpt-4o").request([]).body == {
        "model": "gpt-4o", "messages": [], "max_tokens": 1024, "temperature": 0.0, "seed": 0,
    }  # fmt: skip
    assert chat_model("llama-9").request([]).body["temperature"] == 0.0


def test_a_budget_covers_what_is_left_of_its_limit_after_reservations() -> None:
    budget = Budget(1.0)
    budget.reserve(0.6)
    assert budget.covers(0.4)
    assert not budget.covers(0.5)
    budget.release(0.6)
    budget.spend(0.1)
    assert budget.covers(0.9)
    assert not budget.covers(1.0)
    assert Budget().covers(1e9)
