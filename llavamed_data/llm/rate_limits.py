"""Keeps requests under a server's limits without leaving any of its rate unused."""

import asyncio
from collections.abc import Mapping

_SHARE = 0.985
_SLACK = 0.25


class Pace:
    """An even pace of so many units a second: what is due when, no bursts.

    A server may count over any window, so nothing is saved up beyond what a late wake-up of the event loop
    costs (0.25 s); 1.5 % of the rate is left as a margin for the way that the server counts.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60 * _SHARE
        self._due = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next units may be taken."""
        return max(0.0, self._due - now)

    def take(self, now: float, units: float) -> None:
        """Books `units`; the next are due when these are worked off."""
        self._due = max(self._due, now - _SLACK) + units / self._per_second

    def settle(self, units: float) -> None:
        """Books `units` more (less where negative) than were taken."""
        self._due += units / self._per_second


class RateLimiter:
    """Requests and tokens a minute, and pauses that the server asks for.

    Args:
        rpm: requests a minute; None where no limit is known: then the server's headers tell it.
        tpm: tokens a minute, likewise.
    """

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        self.requests = Pace(rpm) if rpm else None
        self.tokens = Pace(tpm) if tpm else None
        self._paused_until = 0.0
        self._turn = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether any limit is known."""
        return bool(self.requests or self.tokens)

    async def take(self, tokens: float) -> None:
        """Waits for the turn of one request of `tokens` tokens; first come, first served."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            while True:  # a pause may have come while this slept
                wait = max([self._paused_until - clock(), *(pace.wait(clock()) for pace in self._paces())])
                if wait <= 0:
                    break
                await asyncio.sleep(wait)
            if self.requests:
                self.requests.take(clock(), 1)
            if self.tokens:
                self.tokens.take(clock(), tokens)

    def settle(self, taken: float, used: float) -> None:
        """Corrects what `take` booked once the server has counted."""
        if self.tokens:
            self.tokens.settle(used - taken)

    def pause(self, seconds: float) -> None:
        """Lets no request go for `seconds`: the server said so."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Takes the limits from a response's `x-ratelimit-limit-*`, where the user gave none."""
        if not self.requests and (rpm := _number(headers.get("x-ratelimit-limit-requests"))):
            self.requests = Pace(rpm)
        if not self.tokens and (tpm := _number(headers.get("x-ratelimit-limit-tokens"))):
            self.tokens = Pace(tpm)

    def _paces(self) -> list[Pace]:
        return [pace for pace in (self.requests, self.tokens) if pace]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text and float(text) > 0 else None
    except ValueError:
        return None
