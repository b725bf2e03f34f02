"""A proxy between client and server that disturbs responses as networks and busy servers do.

    with FaultyProxy(upstream, faults=lambda request: Reset() if request.nth == 1 else None) as proxy:
        ...  # proxy.address in place of upstream

Each request is one connection; the test chooses its fault from method, path and the number of earlier requests.
"""

import asyncio
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """What the client asks for; `nth` counts the requests of this method for this path, from 1."""

    method: str
    path: str
    nth: int
    time: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Latency:
    """The response comes complete, but late."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The connection is reset before any response."""


@dataclass(frozen=True)
class Status:
    """The server answers with an error status, and may ask to wait."""

    code: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Truncated:
    """The body ends after `share` of its bytes, before its Content-Length is reached."""

    share: float = 0.5


@dataclass(frozen=True)
class Corrupted:
    """One byte of the body is changed."""


@dataclass(frozen=True)
class Hang:
    """No response comes; with `share`, nothing comes after that part of the body."""

    share: float = 0.0


Fault = Latency | Reset | Status | Truncated | Corrupted | Hang


class FaultyProxy:
    """Forwards to `upstream` (`http://host:port`).

    Attributes:
        log: every request so far.
        sent: bytes of bodies that clients took.
        most_at_once: requests that were ever open at a time.
    """

    def __init__(
        self, upstream: str, faults: Callable[[Request], Fault | None] = lambda request: None
    ) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port)
        self.faults = faults
        self.log: list[Request] = []
        self.sent = 0
        self.most_at_once = 0
        self._open = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listens, on the same port as before."""
        self._run(self._listen())

    def down(self) -> None:
        """Refuses connections, and resets those that are open."""
        self._run(self._silence())

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _silence(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path = head.decode().split(" ", 2)[:2]
            self._asked[method, path] += 1
            request = Request(method, path, self._asked[method, path])
            self.log.append(request)
            await self._answer(writer, head, self.faults(request))
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            _reset(writer)
        finally:
            self._open -= 1

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes, fault: Fault | None) -> None:
        match fault:
            case Reset():
                _reset(writer)
                return
            case Hang(share=0.0):
                await asyncio.sleep(3600)
            case Latency(seconds):
                await asyncio.sleep(seconds)
            case Status(code, retry_after):
                wait = f"Retry-After: {retry_after}\r\n" if retry_after else ""
                writer.write(
                    f"HTTP/1.1 {code} Busy\r\n{wait}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
                return
        answer, body = await self._forward(head)
        writer.write(answer)
        match fault:
            case Truncated(share):
                body = body[: int(len(body) * share)]
            case Corrupted():
                body = bytes([body[0] ^ 0xFF]) + body[1:]
            case Hang(share):
                body = body[: int(len(body) * share)]
        for start in range(0, len(body), 1 << 16):
            writer.write(body[start : start + (1 << 16)])
            await writer.drain()
            self.sent += len(body[start : start + (1 << 16)])
        if isinstance(fault, Hang):
            await asyncio.sleep(3600)

    async def _forward(self, head: bytes) -> tuple[bytes, bytes]:
        """Head and body of the server's answer; the server is asked to close after it."""
        reader, writer = await asyncio.open_connection(*self.upstream)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]))
        answer = await reader.read(-1)
        writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        kept = [
            line
            for line in top.split(b"\r\n")
            if not line.lower().startswith((b"connection:", b"keep-alive:"))
        ]
        return b"\r\n".join([*kept, b"Connection: close", b"", b""]), body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes so that the peer sees RST, not the end of a stream."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
