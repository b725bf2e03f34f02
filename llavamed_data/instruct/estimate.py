"""What an LLM's conversations will cost and how long they will take, before anything is sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.prompts import Prompt
from llavamed_data.llm import Usage
from llavamed_data.llm.costs import require_prices
from llavamed_data.llm.tokens import TOKENS_BEFORE_ANSWER, TOKENS_PER_MESSAGE, count_tokens, load_encoding

_ANSWER_TOKENS_WITHOUT_EXAMPLES = 250


@dataclass(frozen=True, slots=True)
class GeneratorEstimate:
    """Cost and time with one of the LLM generators.

    Attributes:
        generator: `openai` or `openai-batch`.
        dollars: US dollars for all requests.
        hours: for `openai`, the least that the rate limits allow, or None without one; for `openai-batch`, the most.
    """

    generator: str
    dollars: float
    hours: float | None


@dataclass(frozen=True, slots=True)
class ConversationEstimate:
    """What it takes to have the conversations of a dataset written.

    Attributes:
        model: the model.
        requests: number of requests.
        usage: prompt tokens, which are counted, and completion tokens, which are expected: a conversation is taken to
            be as long as the few-shot examples are on average. Second requests after unreadable answers, and the
            discount for cached prompts, are left out.
        generators: cost and time with each LLM generator.
        as_of: date of the price table.
        source: where the table's prices come from.
    """

    model: str
    requests: int
    usage: Usage
    generators: tuple[GeneratorEstimate, ...]
    as_of: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """The estimate as `estimate --json` prints it."""
        return {
            "model": self.model,
            "requests": self.requests,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "modes": {
                each.generator: {"dollars": round(each.dollars, 4), "hours": each.hours}
                for each in self.generators
            },
            "as_of": self.as_of,
            "source": self.source,
        }


def estimate_conversations(
    pairs: Iterable[Pair],
    prompt: Prompt,
    model: str,
    *,
    rpm: float | None = None,
    tpm: float | None = None,
    prices: Path | None = None,
) -> ConversationEstimate:
    """Estimates what it takes to have conversations about `pairs` written.

    Args:
        pairs: the text of the dataset's figures.
        prompt: system prompt and few-shot examples.
        model: a model of the price table.
        rpm: requests per minute that the account allows.
        tpm: tokens per minute that the account allows.
        prices: a price table in place of the project's.

    Raises:
        UsageError: the price table does not list the model, or there is no such encoding.
        LlavaMedError: the model's encoding cannot be downloaded.
    """
    known = require_prices(model, prices)
    encoding = load_encoding(known.encoding)
    head = count_tokens(prompt.head, encoding)
    examples = [message for message in prompt.head if message["role"] == "assistant"]
    answer = (
        count_tokens(examples, encoding) / len(examples) - TOKENS_PER_MESSAGE
        if examples
        else _ANSWER_TOKENS_WITHOUT_EXAMPLES
    )
    requests = tokens = 0
    for pair in pairs:
        requests += 1
        tokens += head + count_tokens(prompt.messages(pair)[-1:], encoding) + TOKENS_BEFORE_ANSWER
    usage = Usage(tokens, round(requests * answer))
    minutes = [amount / limit for amount, limit in ((requests, rpm), (usage.total_tokens, tpm)) if limit]
    return ConversationEstimate(
        model=model,
        requests=requests,
        usage=usage,
        generators=(
            GeneratorEstimate("openai", known.price.of(usage), max(minutes) / 60 if minutes else None),
            GeneratorEstimate("openai-batch", known.batch_price.of(usage), known.batch_hours),
        ),
        as_of=known.as_of,
        source=known.source,
    )
