"""A real HTTP server that answers as NCBI's ESearch does for PMC: pages, a history server, limits and errors."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Response:
    """A status, headers and a body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class EutilsServer:
    """Answers searches from a table of what each finds.

    Args:
        found: search → number of a PMCID → its day of publication.
        fault: told the number of a request, from 1; returns what to send in place of the right response, if anything.
        last_place: the last place from which a page is given, as in PubMed; None for no such limit, as in PMC.

    Attributes:
        asked: the parameters of every request.
        times: the moment of each.
        lines: the first line of each, as a log would show it.
    """

    def __init__(
        self,
        found: Mapping[str, Mapping[int, date]],
        *,
        fault: Callable[[int], Response | None] = lambda _: None,
        last_place: int | None = None,
    ) -> None:
        self.found = found
        self.fault = fault
        self.last_place = last_place
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
        days = self.found.get(asked["term"], {})
        if "mindate" in asked:
            first, last = (_day(asked[name]) for name in ("mindate", "maxdate"))
            days = {number: day for number, day in days.items() if first <= day <= last}
        ids = sorted(days, reverse=True)
        if "WebEnv" in asked:
            ids = [number for number in self.sets[asked["WebEnv"]] if number in days]
        start, most = int(asked.get("retstart", 0)), min(int(asked.get("retmax", 20)), 10_000)
        if self.last_place is not None:
            most = min(most, self.last_place + 1)
            if start > self.last_place:
                return _ok({"ERROR": f"Search Backend failed: position {start} is out of acceptable range"})
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
