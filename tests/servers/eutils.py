"""A real HTTP server that answers as NCBI's ESearch does for PMC: pages, a history server, limits and errors."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs

_TERM = re.compile(
    r"\((?P<text>.*)\) AND open_access\[Filter\]"
    r"(?: AND (?P<first_day>[\d/]+):(?P<last_day>[\d/]+)\[pmcrdat\])?(?: AND (?P<first>\d+):(?P<last>\d+)\[uid\])?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Response:
    """A status, headers and a body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class EutilsServer:
    """Answers searches from a table of what each finds.

    Args:
        found: search → number of a PMCID → the day on which PMC released it; None for one that no date reaches.
        fault: told the number of a request, from 1; returns what to send in place of the right response, if anything.
        last_place: the last place from which a page is given, as in PMC since 2022; None for no such limit.
        beyond: the answer to a request for a page beyond that place.
        ignores_numbers: whether ranges of PMCIDs in a search are ignored.

    Attributes:
        asked: the parameters of every request.
        times: the moment of each.
        lines: the first line of each, as a log would show it.
    """

    def __init__(
        self,
        found: Mapping[str, Mapping[int, date | None]],
        *,
        fault: Callable[[int], Response | None] = lambda _: None,
        last_place: int | None = None,
        beyond: Response | None = None,
        ignores_numbers: bool = False,
    ) -> None:
        self.found = found
        self.fault = fault
        self.last_place = last_place
        self.beyond = beyond or _ok({"ERROR": "Search Backend failed: position is out of acceptable range"})
        self.ignores_numbers = ignores_numbers
        self.asked: list[dict[str, str]] = []
        self.times: list[float] = []
        self.lines: list[str] = []
        self.sets: dict[str, list[int]] = {}
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: dict[str, str]) -> Response:
        """The right answer to a search."""
        term = _TERM.fullmatch(asked["term"])
        days = self.found.get(term["text"], {}) if term else {}
        if term and term["first_day"]:
            first, last = _day(term["first_day"]), _day(term["last_day"])
            days = {number: day for number, day in days.items() if day and first <= day <= last}
        if term and term["first"] and not self.ignores_numbers:
            low, high = int(term["first"]), int(term["last"])
            days = {number: day for number, day in days.items() if low <= number <= high}
        ids = sorted(days, reverse=True)
        if "WebEnv" in asked:
            ids = [number for number in self.sets[asked["WebEnv"]] if number in days]
        start, most = int(asked.get("retstart", 0)), min(int(asked.get("retmax", 20)), 10_000)
        if self.last_place is not None:
            most = min(most, self.last_place + 1)
            if start > self.last_place:
                return self.beyond
        name = f"MCID_{len(self.sets)}"
        self.sets[name] = ids
        page = ids[start : start + most]
        return _ok(
            {
                "count": str(len(ids)),
                "retmax": str(len(page)),
                "retstart": str(start),
                "querykey": "1",
                "webenv": name,
                "idlist": list(map(str, page)),
            }
        )


class _Handler(BaseHTTPRequestHandler):
    owner: EutilsServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Requests are kept, not printed."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self.owner.asked.append(asked)
        self.owner.times.append(time.monotonic())
        self.owner.lines.append(self.requestline)
        known = self.path == "/esearch.fcgi" and asked.get("db") == "pmc" and asked.get("retmode") == "json"
        answer = self.owner.fault(len(self.owner.asked))
        answer = answer or (self.owner.answer(asked) if known else Response(400))
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


def _ok(result: Mapping[str, object]) -> Response:
    body = {"header": {"type": "esearch", "version": "0.3"}, "esearchresult": result}
    return Response(200, json.dumps(body).encode())


def _day(text: str) -> date:
    year, month, day = map(int, text.split("/"))
    return date(year, month, day)
