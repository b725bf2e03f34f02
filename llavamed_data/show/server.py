"""Serves the pages of a dataset to browsers on this machine alone."""

import errno
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.show.image_files import image_type, thumbnail_jpeg
from llavamed_data.show.pages import SERVED_POLICY, served_page
from llavamed_data.show.search import RowFilter, RowSearch

HOST = "127.0.0.1"

_IMAGE = re.compile(r"/image/(\d{1,12})/(\d{1,4})")
_SHOWN = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"})
_LONGEST = 1600
"""Pixels of the longer side of a picture that stands for one that browsers do not show (TIFF)."""


class BrowseServer(ThreadingHTTPServer):
    """Serves `/` (`q`, `domain`, `page`) and `/image/ROW/INDEX`; rows are read as they are asked for.

    Requests that do not name this machine as their host are refused, so that no page from elsewhere can read the set
    through a name of its own.

    Args:
        dataset: the set.
        port: 0 for one that is free.
    """

    daemon_threads = True

    def __init__(self, dataset: Dataset, port: int = 0) -> None:
        self.dataset = dataset
        self.search = RowSearch(dataset)
        self.domains = self.search.domains()
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"


def open_server(dataset: Dataset, port: int = 0) -> BrowseServer:
    """Opens the server of a dataset.

    Raises:
        UsageError: the port is not free, or this login may not use it.
    """
    try:
        return BrowseServer(dataset, port)
    except PermissionError as error:
        raise UsageError(
            f"port {port} needs more rights: give --port 1024 or above, or leave it out"
        ) from error
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UsageError(
            f"port {port} is in use by another program: give another --port, or leave it out for a free one"
        ) from error


class _Handler(BaseHTTPRequestHandler):
    server: BrowseServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "llavamed", ""

    def do_GET(self) -> None:
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return self._send(HTTPStatus.FORBIDDEN, b"ask for 127.0.0.1")
        url = urlsplit(self.path)
        try:
            if url.path == "/":
                return self._page(parse_qs(url.query))
            if match := _IMAGE.fullmatch(url.path):
                return self._image(int(match[1]), int(match[2]))
        except LlavaMedError as error:
            return self._send(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode())
        return self._send(HTTPStatus.NOT_FOUND, b"no such page")

    def _page(self, query: dict[str, list[str]]) -> None:
        words, domain, page = (query.get(name, [""])[0] for name in ("q", "domain", "page"))
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1
        wanted = RowFilter(words[:500], domain[:100])
        text = served_page(self.server.dataset, self.server.search, self.server.domains, wanted, number)
        self._send(HTTPStatus.OK, text.encode("utf-8", "replace"), "text/html; charset=utf-8")

    def _image(self, number: int, index: int) -> None:
        try:
            data = self.server.dataset.row(number, ["images"])["images"][index]["bytes"]
        except (IndexError, KeyError, TypeError):
            data = None
        kind = image_type(data)[1] if isinstance(data, bytes) else ""
        if kind not in _SHOWN:
            data, kind = thumbnail_jpeg(data, _LONGEST), "image/jpeg"
        if data is None:
            return self._send(HTTPStatus.NOT_FOUND, b"no such image")
        return self._send(HTTPStatus.OK, data, kind, keep=True)

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", *, keep: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", SERVED_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "private, max-age=600" if keep else "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing: requests are the user's own."""
