"""How long to wait before a failed request is repeated."""

import math
import random
import time
from email.utils import parsedate_to_datetime


def backoff_seconds(failures: int, *, first: float, longest: float, asked: float | None = None) -> float:
    """The pause after a failure: it doubles with each failure, and is random so that clients do not return together.

    Args:
        failures: how often the request has failed so far, from 1.
        first: the longest pause after the first failure, in seconds; the shortest is half of it.
        longest: the longest pause after any failure, in seconds.
        asked: seconds that the server asked to wait; they are taken in place of the doubling, and up to a tenth more.
    """
    jitter = random.uniform(0.5, 1.0)  # noqa: S311  (not a secret)
    if asked is not None:
        return asked * (1 + jitter / 10)
    return min(longest, first * 2.0 ** min(failures - 1, 32)) * jitter


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks to wait (RFC 9110, 10.2.3), which states them or a date.

    Returns:
        None if there is no header, or if it cannot be read.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
