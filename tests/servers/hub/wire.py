"""HTTP under the Hub's routes: one call, one answer, faults on the way, and a log that outlives the server."""

import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.hub.faults import Fault, Faults

_BLOCK = 1 << 18


class Cut(Exception):  # noqa: N818
    """The connection is to end here, without an answer."""


@dataclass
class Call:
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
class Answer:
    """What the client gets: `body` is bytes, or parts that together are `size` bytes."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.size or 0


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


class Problem(Exception):  # noqa: N818
    """Ends a call with an error answer, as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.answer = as_json({"error": message}, status, {"X-Error-Message": message, **headers})
        if code:
            self.answer.headers["X-Error-Code"] = code


Route = tuple[str, re.Pattern[str], Callable[[Call], Answer]]


class Wire(ThreadingHTTPServer):
    """Listens, finds the route, lets faults happen, and writes one line a request to `log`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, log: Path, routes: list[Route]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults = Faults()
        self.routes = [*routes, ("PUT", re.compile(r"/_faults"), self._put_faults)]
        self._log = log.open("a", buffering=1)
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def _put_faults(self, call: Call) -> Answer:
        self.faults.put(call.json())
        return as_json({})

    def log(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._log.write(json.dumps(line) + "\n")

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Wire

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
            answer = self._meet(fault, body) or self._answer(body)
        except Cut:
            self.close_connection = True
            return
        for _ in body:  # what a route did not read, so that the next request begins where it should
            pass
        if fault and fault.act == "lose":
            self._die()
        self._send(answer)

    def _meet(self, fault: Fault | None, body: Iterator[bytes]) -> Answer | None:
        """Lets a fault happen; None if the call is to be served all the same."""
        if fault is None:
            return None
        match fault.act:
            case "status":
                return as_json({"error": "told to fail"}, fault.code)
            case "slow":
                time.sleep(fault.seconds)
            case "die" | "reset":
                half = int(self.headers.get("Content-Length") or 0) // 2
                while self.received < half and next(body, None) is not None:
                    pass
                if fault.act == "die":
                    time.sleep(fault.seconds)
                    self._die()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                raise Cut
        return None

    def _die(self) -> None:
        self._note(0, 0)
        os._exit(9)

    def _answer(self, body: Iterator[bytes]) -> Answer:
        parts = urlsplit(self.path)
        base = f"http://{self.headers.get('Host', self.server.address[7:])}"
        query = parse_qs(parts.query, keep_blank_values=True)
        call = Call(self.command, parts.path, query, self.headers, lambda: body, base)
        try:
            for method, pattern, serve in self.server.routes:
                match = pattern.fullmatch(parts.path)
                if match and self.command in method.split("|"):
                    call.parts = {name: unquote(value or "") for name, value in match.groupdict().items()}
                    return serve(call)
            raise Problem(404, f"Not found: {self.command} {parts.path}")
        except Problem as problem:
            return problem.answer
        except ValueError as error:
            return Problem(400, f"Cannot be read: {error}").answer

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            yield from self._chunked(self.rfile)
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.rfile.read(min(_BLOCK, left))
            if not part:
                raise Cut
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

    def _send(self, answer: Answer) -> None:
        self._note(answer.status, answer.length)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if self.command != "HEAD":
            for part in (answer.body,) if isinstance(answer.body, bytes) else answer.body:
                self.wfile.write(part)
        self.wfile.flush()

    def _note(self, status: int, sent: int) -> None:
        self.server.log(
            {
                "method": self.command,
                "path": self.path,
                "status": status,
                "received": self.received,
                "sent": 0 if self.command == "HEAD" else sent,
            }
        )
