"""Faults on command: what a request that fits a pattern meets in place of its answer."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for which requests.

    Attributes:
        match: a pattern searched for in `METHOD /path?query`.
        act: `status` answers `code`; `slow` waits `seconds` and then serves; `die` ends the server `seconds` after
            half the body is read, `reset` the connection at once; `lose` serves and ends the server before it answers.
        skip: requests that fit and are served first.
        times: requests that meet it, after those.
    """

    match: str
    act: Literal["status", "slow", "die", "reset", "lose"]
    skip: int = 0
    times: int = 1
    code: int = 503
    seconds: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Faults:
    """The faults that wait for requests."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, list[int]]] = []

    def put(self, faults: list[dict[str, Any]]) -> None:
        """Replaces those that wait."""
        self._waiting = [(Fault(**fault), [0]) for fault in faults]

    def meet(self, request: str) -> Fault | None:
        """The fault of this request, if any."""
        for fault, seen in self._waiting:
            if re.search(fault.match, request):
                seen[0] += 1
                if fault.skip < seen[0] <= fault.skip + fault.times:
                    return fault
        return None
