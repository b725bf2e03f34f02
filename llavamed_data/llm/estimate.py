"""What a set of requests will take, before any is sent: how many there are, their tokens, and what they cost."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llavamed_data.llm.answer import Usage
from llavamed_data.llm.costs import require_prices
from llavamed_data.llm.request import Request
from llavamed_data.llm.tokens import TOKENS_BEFORE_ANSWER, count_tokens, load_encoding


@dataclass(frozen=True, slots=True)
class RequestEstimate:
    """What it takes to have requests answered by one model.

    Attributes:
        model: the model.
        requests: number of requests; equal ones are asked once.
        usage: prompt tokens, which are counted, and completion tokens, which are expected. Second requests after
            unreadable answers, the reasoning of models that reason, and the discount for cached prompts are left out.
        dollars: US dollars for all requests.
        minutes: the least that the rate limits allow; None without one.
        reasons: whether the model reasons, which is paid beyond what is expected here.
        as_of: date of the price table.
        source: where the table's prices come from.
    """

    model: str
    requests: int
    usage: Usage
    dollars: float
    minutes: float | None
    reasons: bool
    as_of: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """The estimate as `--json` prints it."""
        stated = {name: value for name, value in asdict(self).items() if name not in ("usage", "dollars")}
        return {**stated, **asdict(self.usage), "dollars": round(self.dollars, 4)}


def estimate_requests(
    requests: Iterable[Request],
    model: str,
    answer_tokens: int,
    *,
    rpm: float | None = None,
    tpm: float | None = None,
    prices: Path | None = None,
) -> RequestEstimate:
    """Estimates what it takes to have requests answered.

    Args:
        requests: requests whose messages are texts.
        model: a model of the price table.
        answer_tokens: tokens that an answer is expected to have.
        rpm: requests per minute that the account allows.
        tpm: tokens per minute that the account allows.
        prices: a price table in place of the project's.

    Raises:
        UsageError: the price table does not list the model, or there is no such encoding.
        LlavaMedError: the model's encoding cannot be downloaded.
    """
    known = require_prices(model, prices)
    encoding = load_encoding(known.encoding)
    different = {request.key: request for request in requests}.values()
    prompt = sum(
        count_tokens(request.body["messages"], encoding) + TOKENS_BEFORE_ANSWER for request in different
    )
    usage = Usage(prompt, len(different) * answer_tokens)
    minutes = [
        amount / limit for amount, limit in ((len(different), rpm), (usage.total_tokens, tpm)) if limit
    ]
    return RequestEstimate(
        model=model,
        requests=len(different),
        usage=usage,
        dollars=known.price.of(usage),
        minutes=max(minutes) if minutes else None,
        reasons=known.reasons,
        as_of=known.as_of,
        source=known.source,
    )
