"""A real HTTP server on 127.0.0.1 for files: ranges, ETags, transfers that break; and the Hub's routes to them."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

HUB_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FileServer:
    """Serves `files` (path → bytes) while it is open.

    Args:
        files: what is served, by path without a leading slash.
        break_after: the first transfer of a file ends after so many bytes, and the connection with it.
        breaks: how many transfers end so.
        etag: whether answers carry an ETag, without which a client cannot resume safely.
        hub_dataset: `ORG/NAME` under which the files are also a dataset of a Hub.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        *,
        break_after: int | None = None,
        breaks: int = 1,
        etag: bool = True,
        hub_dataset: str | None = None,
    ) -> None:
        self.files = files
        self.break_after = break_after
        self.breaks_left = breaks
        self.etag = etag
        self.hub_dataset = hub_dataset
        self.requests: list[tuple[str, str, str | None]] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FileServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Requests are kept in `FileServer.requests`, not printed."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.owner.requests.append((self.command, self.path, self.headers.get("Range")))
        path = unquote(urlsplit(self.path).path).lstrip("/")
        hub = self.owner.hub_dataset
        if hub and path.startswith(f"api/datasets/{hub}"):
            self._send_hub(path.removeprefix(f"api/datasets/{hub}").strip("/"))
            return
        if hub and path.startswith(f"datasets/{hub}/resolve/main/"):
            path = path.removeprefix(f"datasets/{hub}/resolve/main/")
        if path in self.owner.files:
            self._send_file(self.owner.files[path])
        else:
            self._send(404, b"not found", {"X-Error-Code": "EntryNotFound"})

    def _send_hub(self, path: str) -> None:
        """What the Hub's API says of the repository, and of a folder in it."""
        if path in ("", "revision/main"):
            self._send_json({"id": self.owner.hub_dataset, "sha": HUB_COMMIT, "siblings": [], "tags": []})
            return
        folder = path.removeprefix("tree/main").strip("/")
        below = [name for name in self.owner.files if name.startswith(f"{folder}/" if folder else "")]
        entries = {}
        for name in below:
            head, *rest = name[len(folder) :].lstrip("/").split("/")
            entry = f"{folder}/{head}".lstrip("/")
            content = self.owner.files[name]
            oid = hashlib.sha1(content).hexdigest()
            kind = "directory" if rest else "file"
            entries[entry] = {
                "type": kind,
                "path": entry,
                "oid": oid,
                "size": 0 if rest else len(content),
            }
        if entries:
            self._send_json(list(entries.values()))
        else:
            self._send(404, b"not found", {"X-Error-Code": "EntryNotFound"})

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self, content: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted else 0
        stop = int(wanted[2]) + 1 if wanted and wanted[2] else len(content)
        headers = {"Accept-Ranges": "bytes"}
        if self.owner.etag:
            headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self._send(206 if wanted else 200, content[start:stop], headers, may_break=True)

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, may_break: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = self.owner.break_after
        if may_break and limit is not None and self.owner.breaks_left and len(body) > limit:
            self.owner.breaks_left -= 1
            body, self.close_connection = body[:limit], True
        self.wfile.write(body)
