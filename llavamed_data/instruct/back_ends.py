"""The LLM back ends by name, ready to generate."""

from pathlib import Path

from llavamed_data.instruct.batch import BatchClient, BatchLimits
from llavamed_data.instruct.chat import ChatClient, Limits
from llavamed_data.instruct.cost import find_tariff
from llavamed_data.instruct.generate import Completer, LlmGenerator
from llavamed_data.instruct.journal import Journal
from llavamed_data.instruct.prompts import Prompt, load_few_shots
from llavamed_data.instruct.quality import Quality
from llavamed_data.instruct.server import Model, Server


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


def open_generator(
    name: str,
    model: str,
    journal: Journal,
    *,
    mentions: bool,
    few_shots: Path | None = None,
    server: Server | None = None,
    limits: Limits | None = None,
    prices: Path | None = None,
    quality: Quality | None = None,
) -> LlmGenerator:
    """The back end `name`, ready to generate.

    Args:
        name: `openai` or `openai-batch`.
        model: as the server knows it.
        journal: where answers are kept; the caller opens and closes it.
        mentions: send the pairs' inline mentions (60K-IM and eval).
        few_shots: a file of few-shot examples other than the project's.
        server, limits, prices: as `open_completer` takes them.
        quality: the checks beyond the cleaning rules.

    Raises:
        UsageError: no key, no price for a cost limit, a faulty file.
    """
    settings = model_settings(model, prices)
    return LlmGenerator(
        name=name,
        completer=open_completer(name, settings, journal, server=server, limits=limits, prices=prices),
        chat_model=settings,
        prompt=Prompt.build(load_few_shots(few_shots), mentions=mentions),
        quality=quality or Quality(),
    )
