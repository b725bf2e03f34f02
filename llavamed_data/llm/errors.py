"""What to do about a failed request: try again, give the pair up, or stop the run."""

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from llavamed_data.errors import LlavaMedError
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class Retry:
    """The fault may pass.

    Attributes:
        why: for the message, should it not pass.
        after: seconds that the server asks to wait; None where it does not say.
        throttled: the server is well and only says that we are too fast.
    """

    why: str
    after: float | None = None
    throttled: bool = False


Fault = Retry | Drop | LlavaMedError

_PASSING_STATUS = frozenset({408, 409, 425, 429})
_REFUSED: Mapping[str, Reason] = {
    "content_filter": Reason.CONTENT_FILTER,
    "content_policy_violation": Reason.CONTENT_FILTER,
    "context_length_exceeded": Reason.REQUEST_REFUSED,
    "maximum context length": Reason.REQUEST_REFUSED,
    "image": Reason.REQUEST_REFUSED,
    "multimodal": Reason.REQUEST_REFUSED,
}
_STOPPING_STATUS: Mapping[int, str] = {
    401: "the server does not accept the key in OPENAI_API_KEY: set the right one and run again",
    403: "the key in OPENAI_API_KEY may not use the model {model}: {said}",
    404: "the server has no model {model} at this address: check --model and --base-url ({said})",
}


def fault_of(error: openai.APIError, *, model: str) -> Fault:
    """What an error of the openai client calls for.

    Args:
        error: as the client raised it.
        model: the model asked for, for messages.
    """
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error, openai.APITimeoutError):
            return Retry("the server did not answer in time")
        return Retry(f"the connection failed ({_one_line(str(error.__cause__ or error))})")
    said = _one_line(error.message)
    code = str(error.code or "")
    if code == "insufficient_quota":
        return LlavaMedError(
            "the account's quota is spent: add to it and run again, what was answered is kept"
        )
    if error.status_code in _PASSING_STATUS or error.status_code >= 500:
        after = retry_after(error.response.headers)
        return Retry(f"the server answers {error.status_code}", after, throttled=error.status_code == 429)
    return _lasting(error.status_code, code, said, model=model)


def line_fault(row: Mapping[str, Any], *, model: str) -> Fault | None:
    """What a line of a batch's error file calls for; None where the batch ended before the request's turn."""
    response = row.get("response") or {}
    told = row.get("error") or (response.get("body") or {}).get("error") or {}
    code, said = str(told.get("code") or ""), _one_line(str(told.get("message") or ""))
    if code in ("batch_expired", "batch_cancelled"):
        return None
    status = int(response.get("status_code") or 500)
    if status in _PASSING_STATUS or status >= 500 or status == 200:
        return Retry(f"the batch answers {status} {said}".strip())
    return _lasting(status, code, said, model=model)


def _lasting(status: int, code: str, said: str, *, model: str) -> Drop | LlavaMedError:
    """A fault that stays: of this request, or of the run."""
    if status in _STOPPING_STATUS:
        return LlavaMedError(_STOPPING_STATUS[status].format(model=model, said=said))
    for mark, reason in _REFUSED.items():
        if mark in code or mark in said:
            return Drop(reason, said)
    return LlavaMedError(f"the server refuses the request ({status}): {said}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if seconds := headers.get("retry-after"):
            return max(0.0, float(seconds))
    except ValueError:
        date = email.utils.parsedate_tz(headers.get("retry-after"))
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
