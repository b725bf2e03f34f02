"""Answers chat requests one by one or in batches: what generation, references and judging stand on."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from llavamed_data.llm.batch import BatchClient, BatchLimits
from llavamed_data.llm.chat import ChatClient, FollowUp, Limits, Tally
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.prices import find_tariff
from llavamed_data.llm.request import Request
from llavamed_data.llm.server import Model, Outcome, Server

T = TypeVar("T")


class Completer(Protocol):
    """Answers requests in order: `ChatClient` or `BatchClient`; `tally` says what it did so far."""

    tally: Tally

    def complete(  # noqa: D102
        self, jobs: Iterable[tuple[T, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[T, Outcome]]: ...


def model_settings(model: str, prices: Path | None = None) -> Model:
    """How `model` is sampled: at temperature 0 with a seed, as far as the price table says that it takes them.

    Raises:
        UsageError: the price table cannot be read.
    """
    known = find_tariff(model, prices)
    return known.sampled() if known else Model(model)


def open_completer(
    name: str,
    model: Model,
    journal: Journal,
    *,
    server: Server | None = None,
    limits: Limits | None = None,
    prices: Path | None = None,
) -> Completer:
    """What answers requests for the back end `name`; also for `Judge` and `References`.

    Args:
        name: `openai` or `openai-batch`.
        model: what is asked.
        journal: where answers are kept; the caller opens and closes it.
        server: who is asked; None is OpenAI, or what `OPENAI_BASE_URL` names.
        limits: of the run; a batch heeds `max_cost` alone.
        prices: a price table other than the project's.

    Raises:
        UsageError: no key, no price for a cost limit, a faulty table.
    """
    server, limits = server or Server(), limits or Limits()
    known = find_tariff(model.name, prices)
    if name == "openai":
        price = known.price if known else None
        return ChatClient(model, server, journal, limits=limits, price=price)
    return BatchClient(
        model,
        server,
        journal,
        limits=known.batch_limits(max_cost=limits.max_cost)
        if known
        else BatchLimits(max_cost=limits.max_cost),
        price=known.batch_price if known else None,
    )
