"""A lean object server with a set latency, for speeds: what it costs must not be what is measured.

`GET /<anything>-<bytes>` gives that many bytes of a JPEG file (padded after its end mark), so no object is stored.
Run as `python -m tests.servers.files LATENCY_SECONDS` it prints its port and serves until its input closes; `serving`
does that from a test or benchmark, in a process of its own. `folder` is a plain web server over files on disk.
"""

import asyncio
import io
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

LARGEST = 1 << 20


@contextmanager
def serving(latency: float) -> Iterator[str]:
    """The address of a server whose answers begin `latency` seconds after their request."""
    command = [sys.executable, "-m", "tests.servers.files", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            assert server.stdin is not None
            server.stdin.close()


@contextmanager
def folder(path: Path) -> Iterator[str]:
    """The address of a plain web server over a folder, with index pages, in a thread."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *message: object) -> None:
            pass

    class Roomy(ThreadingHTTPServer):
        request_queue_size = 256  # connections beyond it are put off by a second and more

    with Roomy(("127.0.0.1", 0), partial(Quiet, directory=str(path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def keys(count: int, smallest: int, largest: int, seed: int = 0) -> list[str]:
    """Keys of `count` objects of evenly spread sizes."""
    chance = random.Random(seed)
    return [f"object-{number:05d}-{chance.randint(smallest, largest)}" for number in range(count)]


def size_of(key: str) -> int:
    """Bytes of the object."""
    return int(key.rpartition("-")[2])


def jpeg(size: int = LARGEST) -> bytes:
    """A sound JPEG file of `size` bytes."""
    picture = io.BytesIO()
    Image.effect_noise((64, 64), 40).save(picture, "JPEG")
    return picture.getvalue() + random.Random(1).randbytes(size - picture.tell())


class _Answers(asyncio.Protocol):
    def __init__(self, latency: float, body: memoryview) -> None:
        self.latency = latency
        self.body = body
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while b"\r\n\r\n" in self.pending:
            head, _, self.pending = self.pending.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            asyncio.get_running_loop().call_later(self.latency, self.answer, path)

    def answer(self, path: str) -> None:
        if self.transport.is_closing():
            return
        size = size_of(path) if "-" in path else 0
        status = "200 OK" if size else "404 Not Found"
        self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode())
        self.transport.write(self.body[:size])


async def _serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    body = memoryview(jpeg())
    server = await loop.create_server(lambda: _Answers(latency, body), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
