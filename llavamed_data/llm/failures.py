"""What a failed request calls for: another attempt, giving that request up, or stopping the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from llavamed_data.errors import LlavaMedError, one_line
from llavamed_data.io.backoff import retry_after_seconds
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class TemporaryFailure:
    """A failure that may pass, so that the request is worth another attempt.

    Attributes:
        message: what failed, for the error if it does not pass.
        retry_after: seconds that the server asks to wait; None if it does not say.
        rate_limited: the server answered only that requests come too fast (HTTP 429).
    """

    message: str
    retry_after: float | None = None
    rate_limited: bool = False


Failure = TemporaryFailure | Drop | LlavaMedError
"""Another attempt, giving one request up (with its reason), or stopping the run (with the message for the user)."""

_MESSAGE_CHARACTERS = 300
_TEMPORARY_STATUS = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 that may pass; all from 500 may."""

_STOPPING_STATUS: Mapping[int, str] = {
    401: "the server does not accept the key in OPENAI_API_KEY: set the right one and rerun the same command",
    403: "the key in OPENAI_API_KEY may not use the model {model}: {message}",
    404: "the server has no model {model} at this address: check --model and --base-url ({message})",
}
"""HTTP statuses that every request would get, with the message for the user."""

_REFUSALS: Mapping[str, Reason] = {
    "content_filter": Reason.CONTENT_FILTER,
    "content_policy_violation": Reason.CONTENT_FILTER,
    "context_length_exceeded": Reason.REQUEST_REFUSED,
    "maximum context length": Reason.REQUEST_REFUSED,
    "image": Reason.REQUEST_REFUSED,
    "multimodal": Reason.REQUEST_REFUSED,
}
"""Parts of an error's code or message that mean that this one request is refused, and the reason of its drop."""


def failure_of(error: openai.APIError, *, model: str) -> Failure:
    """What an error of the openai client calls for.

    Args:
        error: the error that the client raised.
        model: the model asked for, for messages.
    """
    if isinstance(error, openai.APITimeoutError):
        return TemporaryFailure("the server did not answer in time")
    if not isinstance(error, openai.APIStatusError):
        cause = one_line(error.__cause__ or error, _MESSAGE_CHARACTERS)
        return TemporaryFailure(f"the connection failed ({cause})")
    if error.code == "insufficient_quota":
        return LlavaMedError(
            "the account's quota is spent: add to it and rerun the same command, answers are kept"
        )
    status, headers = error.status_code, error.response.headers
    if status in _TEMPORARY_STATUS or status >= 500:
        asked = retry_after_seconds(headers.get("retry-after"))
        if (milliseconds := retry_after_seconds(headers.get("retry-after-ms"))) is not None:
            asked = milliseconds / 1000
        return TemporaryFailure(f"the server answers {status}", asked, rate_limited=status == 429)
    return _permanent_failure(status, str(error.code or ""), error.message, model=model)


def batch_failure_of(row: Mapping[str, Any], *, model: str) -> Failure | None:
    """What a line of a batch's error file calls for; None if the batch ended before it came to this request."""
    response = row.get("response") or {}
    error = row.get("error") or (response.get("body") or {}).get("error") or {}
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    if code in ("batch_expired", "batch_cancelled"):
        return None
    status = int(response.get("status_code") or 500)
    if status in _TEMPORARY_STATUS or status >= 500 or status == 200:
        return TemporaryFailure(one_line(f"the batch answers {status} {message}", _MESSAGE_CHARACTERS))
    return _permanent_failure(status, code, message, model=model)


def _permanent_failure(status: int, code: str, message: str, *, model: str) -> Drop | LlavaMedError:
    """What an error calls for that no further attempt would help against."""
    message = one_line(message, _MESSAGE_CHARACTERS) if message else ""
    if status in _STOPPING_STATUS:
        return LlavaMedError(_STOPPING_STATUS[status].format(model=model, message=message))
    for sign, reason in _REFUSALS.items():
        if sign in code or sign in message:
            return Drop(reason, message)
    return LlavaMedError(f"the server refuses the request ({status}): {message}")
