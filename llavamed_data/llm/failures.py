"""What a failed request calls for: another attempt, giving that request up, or stopping the run."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from llavamed_data.errors import LlavaMedError, one_line
from llavamed_data.io.backoff import retry_after_seconds
from llavamed_data.llm.answer import Answer, Outcome, UnusableAnswerError
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.server_error import ServerError, read_error
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class TemporaryFailure:
    """A failure that may pass, so that the request is worth another attempt.

    Attributes:
        message: what failed, for the error if it does not pass.
        retry_after: seconds that the server asks to wait; None if it does not say.
        rate_limited: the server answered only that requests come too fast (HTTP 429).
        timed_out: the server took the request and did not answer it in time.
        unreachable: there was no connection to the server.
    """

    message: str
    retry_after: float | None = None
    rate_limited: bool = False
    timed_out: bool = False
    unreachable: bool = False


TIMED_OUT = TemporaryFailure("the server did not answer in time", timed_out=True)

Failure = TemporaryFailure | Drop | LlavaMedError
"""Another attempt, giving one request up (with its reason), or stopping the run (with the message for the user)."""

_CAUSE_CHARACTERS = 300
_TEMPORARY_STATUS = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 that may pass; all from 500 may."""

_FIRST_REFUSED = 20
_LATEST = 100
_MOST_REFUSED = 50


def failure_of(error: openai.APIError, *, model: str, endpoint: Endpoint) -> Failure:
    """What an error of the openai client calls for.

    Args:
        error: the error that the client raised.
        model: the model asked for, for messages.
        endpoint: the server, for messages.
    """
    if not isinstance(error, openai.APIStatusError):
        # by name, as the package that raises it (httpx, httpx2) depends on the version of the openai package
        unreachable = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
        if isinstance(error, openai.APITimeoutError) and not unreachable:
            return TIMED_OUT
        cause = one_line(error.__cause__ or error, _CAUSE_CHARACTERS)
        return TemporaryFailure(f"the connection failed ({cause})", unreachable=unreachable)
    headers = error.response.headers
    asked = retry_after_seconds(headers.get("retry-after"))
    if (milliseconds := retry_after_seconds(headers.get("retry-after-ms"))) is not None:
        asked = milliseconds / 1000
    said = server_error_of(error)
    return _failure_of(said, asked, model=model, endpoint=endpoint)


def failure_in_answer(error: UnusableAnswerError, *, model: str, endpoint: Endpoint) -> Failure:
    """What a response calls for that reports success and holds no answer, but perhaps an error with its own status."""
    if not error.error:
        return TemporaryFailure(str(error))
    return _failure_of(
        read_error(_stated_status(error.error), error.error), None, model=model, endpoint=endpoint
    )


def _stated_status(error: object) -> int:
    """The HTTP status that an error states as its code; 500 if it states none."""
    code = str(error.get("code") or error.get("status") if isinstance(error, Mapping) else "")
    return int(code) if re.fullmatch(r"[45]\d\d", code) else 500


def server_error_of(error: openai.APIStatusError) -> ServerError:
    """What the server says in an error of the openai client."""
    return read_error(error.status_code, error.response.content)


def batch_error_of(row: Mapping[str, Any]) -> ServerError | None:
    """What a line of a batch's error file says; None if the batch ended before it came to this request."""
    response = row.get("response") or {}
    body = {"error": row["error"]} if row.get("error") else response.get("body") or {}
    status = int(response.get("status_code") or 500)
    error = read_error(500 if status == 200 else status, body)
    return None if "batch_expired" in error.text or "batch_cancelled" in error.text else error


def batch_failure_of(error: ServerError, *, model: str, endpoint: Endpoint) -> Failure:
    """What an error that stands in a batch's error file calls for."""
    return _failure_of(error, None, model=model, endpoint=endpoint)


def _failure_of(error: ServerError, retry_after: float | None, *, model: str, endpoint: Endpoint) -> Failure:
    status, words = error.status, error.words
    if error.quota_is_spent and status < 500:
        return LlavaMedError(
            f"the account's quota is spent ({words}): add to it and rerun the same command, answers are kept"
        )
    if status in _TEMPORARY_STATUS and not (status == 429 and "request too large" in error.text):
        return TemporaryFailure(
            f"the server answers {status} ({words})", retry_after, rate_limited=status == 429
        )
    if reason := error.refusal:
        return Drop(reason, words)
    if status >= 500:
        return TemporaryFailure(f"the server answers {status} ({words})", retry_after)
    if error.key_is_refused:
        return LlavaMedError(endpoint.key_refused())
    if status == 403:
        return LlavaMedError(f"the key in OPENAI_API_KEY may not use the model {model}: {words}")
    if error.model_is_unknown:
        return LlavaMedError(
            f"the server has no model {model} at this address: check --model and --base-url ({words})"
        )
    return Drop(Reason.REQUEST_REFUSED, words)


class RefusalLimit:
    """Finds a server that refuses requests for what they have in common, where giving up each one is of no use.

    A run stops if its first 20 requests are refused, or more than half of any 100 in a row, or all of them if there
    are fewer.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._all_refused = True
        self._words = ""
        self._latest: deque[bool] = deque(maxlen=_LATEST)

    def add(self, outcome: Outcome) -> LlavaMedError | None:
        """Takes the next outcome in the order of the requests; returns the error that stops the run, if one does."""
        refused = not isinstance(outcome, Answer) and outcome.reason is Reason.REQUEST_REFUSED
        self._seen += 1
        self._all_refused &= refused
        self._latest.append(refused)
        if not isinstance(outcome, Answer) and refused:
            self._words = outcome.detail
        if self._all_refused and self._seen == _FIRST_REFUSED:
            return self._error(f"each of the first {_FIRST_REFUSED} requests")
        if sum(self._latest) > _MOST_REFUSED:
            return self._error(f"{sum(self._latest)} of the last {len(self._latest)} requests")
        return None

    def at_end(self) -> LlavaMedError | None:
        """The error of a run all of whose requests were refused."""
        return self._error("every request") if self._seen and self._all_refused else None

    def _error(self, which: str) -> LlavaMedError:
        return LlavaMedError(
            f"the server refuses {which}: {self._words} (change the model, its settings on the server or the source, "
            "then rerun the same command; answers are kept)"
        )
