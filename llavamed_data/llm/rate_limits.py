"""Keeps requests within a server's rate limits without leaving any of the rate unused."""

import asyncio
from collections.abc import Mapping

_SHARE = 0.985
_SLACK_SECONDS = 0.25


class Pace:
    """Spreads units evenly over time, without bursts, at so many per minute.

    A server may count over a window of any length, so time that was not used is not saved up, except for the 0.25 s
    that a late wake-up of the event loop costs. 1.5 % of the rate stays unused, as servers differ in how they count.

    Args:
        per_minute: units per minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60 * _SHARE
        self._due = 0.0

    def wait(self, now: float) -> float:
        """Seconds from `now` until the next units may be taken."""
        return max(0.0, self._due - now)

    def take(self, now: float, units: float) -> None:
        """Takes `units` at the time `now`; the next may be taken when the pace allows for these."""
        self._due = max(self._due, now - _SLACK_SECONDS) + units / self._per_second

    def adjust(self, units: float) -> None:
        """Takes `units` more than were taken, or fewer if negative."""
        self._due += units / self._per_second


class RateLimiter:
    """Limits requests and tokens per minute, and holds all requests back if the server asks for it.

    Args:
        rpm: requests per minute; None takes the limit that the server's headers state, if any.
        tpm: tokens per minute; None likewise.
    """

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self._requests = Pace(rpm) if rpm else None
        self._tokens = Pace(tpm) if tpm else None
        self._paused_until = 0.0
        self._turn = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether any limit is known."""
        return bool(self._requests or self._tokens)

    async def take(self, tokens: float) -> None:
        """Waits until a request of `tokens` tokens may be sent; requests go in the order in which they asked."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            while True:  # limits may become known, and a pause be asked for, during the sleep
                paces = [pace for pace in (self._requests, self._tokens) if pace]
                wait = max([self._paused_until - clock(), *(pace.wait(clock()) for pace in paces)])
                if wait <= 0:
                    break
                await asyncio.sleep(wait)
            if self._requests:
                self._requests.take(clock(), 1)
            if self._tokens:
                self._tokens.take(clock(), tokens)

    def adjust_tokens(self, estimated: float, counted: float) -> None:
        """Corrects an estimate given to `take` by what the server counted."""
        if self._tokens:
            self._tokens.adjust(counted - estimated)

    def pause(self, seconds: float) -> None:
        """Lets no request be sent for `seconds`."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Takes the limits from a response's `x-ratelimit-limit-*` headers, where the user gave none."""
        if not self._requests and (rpm := _positive(headers.get("x-ratelimit-limit-requests"))):
            self._requests = Pace(rpm)
        if not self._tokens and (tpm := _positive(headers.get("x-ratelimit-limit-tokens"))):
            self._tokens = Pace(tpm)


def _positive(text: str | None) -> float | None:
    try:
        return float(text) if text and float(text) > 0 else None
    except ValueError:
        return None
