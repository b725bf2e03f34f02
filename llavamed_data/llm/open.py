"""Opens one of two clients: single requests, many at a time, or the Batch API, at half the price and within a day."""

from pathlib import Path

from llavamed_data.llm.client import LlmClient, RunLimits
from llavamed_data.llm.costs import Budget, find_prices
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.request import ChatModel


def open_client(
    back_end: str,
    model: ChatModel,
    journal: Journal,
    *,
    endpoint: Endpoint | None = None,
    limits: RunLimits | None = None,
    prices: Path | None = None,
    budget: Budget | None = None,
) -> LlmClient:
    """The client for a back end.

    Args:
        back_end: `openai` (single requests) or `openai-batch` (the Batch API).
        model: the model that is asked.
        journal: where answers are kept; the caller opens and closes it.
        endpoint: the server that is asked; OpenAI, or what `OPENAI_BASE_URL` names, by default.
        limits: limits of the run; batches take only `max_cost` from it.
        prices: a price table in place of the project's.
        budget: a budget shared with other clients, in place of one of `limits.max_cost`.

    Raises:
        UsageError: there is no key, no price for a cost limit, or the price table cannot be read.
    """
    endpoint, limits = endpoint or Endpoint(), limits or RunLimits()
    known = find_prices(model.name, prices)
    budget = budget or Budget(limits.max_cost)
    if back_end == "openai":
        from llavamed_data.llm.chat import ChatClient  # here, as the openai package takes long to import

        price = known.price if known else None
        return ChatClient(model, endpoint, journal, limits=limits, price=price, budget=budget)
    from llavamed_data.llm.batch import BatchClient, BatchLimits

    return BatchClient(
        model,
        endpoint,
        journal,
        limits=BatchLimits(known.batch_requests, known.batch_bytes) if known else BatchLimits(),
        price=known.batch_price if known else None,
        budget=budget,
    )
