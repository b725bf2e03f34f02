"""HTTP below the Hub's routes: requests, responses, faults on demand, and a log that survives the server.

A test sets faults with `HubProcess.faults`; a request that fits one meets it in place of its answer.
"""

import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

_BLOCK = 1 << 18


@dataclass(frozen=True)
class HubFault:
    """What goes wrong, and for which requests.

    Attributes:
        match: a pattern searched for in `METHOD /path?query`.
        act: `status` answers with `code`; `delay` waits `seconds` and `hold` waits until the faults are replaced, then
            the request is served; `crash` ends the server after half of the body is read, `reset` only the connection;
            `crash unanswered` serves the request and ends the server before it answers.
        times: how many of the requests that fit meet the fault.
        code: HTTP status.
        seconds: how long to wait.
    """

    match: str
    act: Literal["status", "delay", "hold", "crash", "reset", "crash unanswered"]
    times: int = 1
    code: int = 503
    seconds: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Faults:
    """The faults that wait for requests, and the number of requests on hold."""

    def __init__(self) -> None:
        self._waiting: list[tuple[HubFault, list[int]]] = []
        self._replaced = threading.Condition()
        self._edition = 0
        self.held = 0

    def replace(self, faults: list[dict[str, Any]]) -> None:
        """Sets the faults in place of those that wait, and releases the requests on hold."""
        with self._replaced:
            self._waiting = [(HubFault(**fault), [0]) for fault in faults]
            self._edition += 1
            self._replaced.notify_all()

    def meet(self, request: str) -> HubFault | None:
        """The fault that this request meets, if any."""
        for fault, met in self._waiting:
            if met[0] < fault.times and re.search(fault.match, request):
                met[0] += 1
                return fault
        return None

    def hold(self) -> None:
        """Waits until the faults are replaced."""
        with self._replaced:
            edition = self._edition
            self.held += 1
            self._replaced.wait_for(lambda: self._edition != edition)
            self.held -= 1


class _ConnectionEndedError(Exception):
    """The connection ends here, without an answer."""


@dataclass
class HubRequest:
    """What a client asks for; the groups of its route's pattern are in `parts`, unquoted."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    read: Callable[[], Iterator[bytes]]
    base: str
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def bearer(self) -> str | None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else None

    def body(self) -> bytes:
        return b"".join(self.read())

    def json(self) -> Any:
        return json.loads(self.body() or b"{}")

    def asked(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def span(self, size: int) -> tuple[int, int] | None:
        """First and one past the last byte of the Range header; None if there is none that can be served."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if not match or match.group(0) == "bytes=-":
            return None
        first, last = match.groups()
        if not first:
            return max(size - int(last), 0), size
        return int(first), min(int(last) + 1, size) if last else size


@dataclass
class HubResponse:
    """What the client gets: `body` is bytes, or parts that together are `size` bytes."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.size or 0


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HubResponse:
    """A response in JSON."""
    return HubResponse(
        status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


class HubError(Exception):
    """Ends a request with an error response, as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.response = as_json({"error": message}, status, {"X-Error-Message": message, **headers})
        if code:
            self.response.headers["X-Error-Code"] = code


Route = tuple[str, re.Pattern[str], Callable[[HubRequest], HubResponse]]


class HubHttpServer(ThreadingHTTPServer):
    """Listens, finds the route, lets faults happen, and writes one line a request to `log`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, log: Path, routes: list[Route]) -> None:
        super().__init__(("127.0.0.1", port), _HubHandler)
        self.faults = _Faults()
        self.routes = [
            *routes,
            ("PUT", re.compile(r"/_faults"), self._replace_faults),
            ("GET", re.compile(r"/_faults"), lambda _: as_json({"held": self.faults.held})),
        ]
        self._log = log.open("a", buffering=1)
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def _replace_faults(self, request: HubRequest) -> HubResponse:
        self.faults.replace(request.json())
        return as_json({})

    def log(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._log.write(json.dumps(line) + "\n")

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that go away."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HubHttpServer

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """The log is a file of JSON lines instead."""

    def _serve(self) -> None:
        self.received = 0
        fault = self.server.faults.meet(f"{self.command} {self.path}")
        body = self._body()
        try:
            response = (self._meet(fault, body) if fault else None) or self._respond(body)
        except _ConnectionEndedError:
            self.close_connection = True
            return
        for _ in body:  # what a route did not read, so that the next request begins where it should
            pass
        if fault and fault.act == "crash unanswered":
            self._crash()
        self._send(response)

    def _meet(self, fault: HubFault, body: Iterator[bytes]) -> HubResponse | None:
        """Lets a fault happen; None if the request is to be served all the same."""
        match fault.act:
            case "status":
                return as_json({"error": "a fault that a test set"}, fault.code)
            case "delay":
                time.sleep(fault.seconds)
            case "hold":
                self.server.faults.hold()
            case "crash" | "reset":
                half = int(self.headers.get("Content-Length") or 0) // 2
                while self.received < half and next(body, None) is not None:
                    pass
                if fault.act == "crash":
                    time.sleep(fault.seconds)
                    self._crash()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                raise _ConnectionEndedError
        return None

    def _crash(self) -> None:
        self._log(0, 0)
        os._exit(9)

    def _respond(self, body: Iterator[bytes]) -> HubResponse:
        parts = urlsplit(self.path)
        base = f"http://{self.headers.get('Host', self.server.address[7:])}"
        query = parse_qs(parts.query, keep_blank_values=True)
        request = HubRequest(self.command, parts.path, query, self.headers, lambda: body, base)
        try:
            for method, pattern, serve in self.server.routes:
                match = pattern.fullmatch(parts.path)
                if match and self.command in method.split("|"):
                    request.parts = {name: unquote(value or "") for name, value in match.groupdict().items()}
                    return serve(request)
            raise HubError(404, f"Not found: {self.command} {parts.path}")
        except HubError as error:
            return error.response
        except ValueError as error:
            return HubError(400, f"Cannot be read: {error}").response

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            yield from self._chunked(self.rfile)
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.rfile.read(min(_BLOCK, left))
            if not part:
                raise _ConnectionEndedError
            left -= len(part)
            self.received += len(part)
            yield part

    def _chunked(self, stream: BufferedIOBase) -> Iterator[bytes]:
        while size := int(stream.readline().split(b";")[0] or b"0", 16):
            part = stream.read(size)
            stream.readline()
            self.received += len(part)
            yield part
        stream.readline()

    def _send(self, response: HubResponse) -> None:
        self._log(response.status, response.length)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(response.length))
        self.end_headers()
        if self.command != "HEAD":
            for part in (response.body,) if isinstance(response.body, bytes) else response.body:
                self.wfile.write(part)
        self.wfile.flush()

    def _log(self, status: int, sent: int) -> None:
        self.server.log(
            {
                "method": self.command,
                "path": self.path,
                "status": status,
                "received": self.received,
                "sent": 0 if self.command == "HEAD" else sent,
            }
        )
