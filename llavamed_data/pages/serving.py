"""Serves a page to this machine alone, or to others who have the password; no file can be read through it."""

import atexit
import hmac
import ipaddress
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llavamed_data.errors import UsageError
from llavamed_data.pages.theme import page_style, page_theme

if TYPE_CHECKING:
    import gradio
    from starlette.routing import BaseRoute

PASSWORD = "LLAVAMED_PAGE_PASSWORD"  # noqa: S105  (the name of the variable)
"""The environment variable with the password that a page asks for; without it a page is for this machine alone."""

LOCAL_HOST = "127.0.0.1"

_SPACE = "SPACE_ID"
"""The environment variable that is set in a Hugging Face Space, whose own settings say who can open it."""

_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PageServer:
    """A page that is being served.

    Attributes:
        address: what to open in a browser.
        page: the page of Gradio.
    """

    address: str
    page: "gradio.Blocks"

    def wait(self) -> None:
        """Returns when the user stops the program with Ctrl-C."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Stops serving."""
        self.page.close(verbose=False)


def import_gradio() -> ModuleType:
    """Imports Gradio with its telemetry off and a folder for uploads that is removed when the program ends.

    Raises:
        UsageError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError as error:
        raise UsageError(
            f'pages need Gradio ({error}): install it with pip install "llavamed-data[pages]"'
        ) from error
    _use_own_folder_for_uploads()
    return gradio


def new_page(title: str) -> "gradio.Blocks":
    """An empty page of this title, to be filled within `with`; telemetry is off."""
    import_gradio()
    from gradio import Blocks

    return Blocks(title=title, analytics_enabled=False)


def check_host(host: str) -> None:
    """Checks that a page may be served at this address.

    Raises:
        UsageError: others than this machine could open it, and there is no password.
    """
    if not (is_local(host) or os.environ.get(PASSWORD) or os.environ.get(_SPACE)):
        raise UsageError(
            f"--host {host} lets others open the page: set a password for them in the environment variable "
            f"{PASSWORD}, or leave --host out"
        )


def is_local(host: str) -> bool:
    """Whether only this machine can reach what is served at this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name
        return False


def serve(
    page: "gradio.Blocks",
    *,
    host: str = LOCAL_HOST,
    port: int = 0,
    script: str = "",
    style: str = "",
    most_upload_bytes: int = 20_000_000,
    routes: Sequence["BaseRoute"] = (),
) -> PageServer:
    """Serves a page until the program ends; see `PageServer.wait`.

    Where a password is set in the environment, everyone must give it, with any name. No tunnel is opened, no file of
    the disk and no address elsewhere can be read through the page, and requests that name another host than this
    machine are refused where only this machine is served, so that no page from elsewhere can read this one.

    Args:
        page: what `new_page` made, filled.
        host: the address to listen at.
        port: 0 for one that is free.
        script: JavaScript that runs when the page is opened.
        style: CSS in addition to `page_style`.
        most_upload_bytes: bytes of an upload at most.
        routes: what answers other addresses beside the page; a password is not asked for them.

    Raises:
        UsageError: as `check_host`; or the port is not free.
    """
    check_host(host)
    password = os.environ.get(PASSWORD)
    hosts = (LOCAL_HOST, "localhost", "[::1]") if is_local(host) and not os.environ.get(_SPACE) else ()
    for name in ("GRADIO_ALLOWED_PATHS", "GRADIO_SHARE", "GRADIO_ROOT_PATH"):
        os.environ.pop(name, None)  # settings of another page
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), LOCAL_HOST, "localhost")))
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port or _free_port(host),
            auth=(lambda _, given: _same(given, password)) if password else None,
            auth_message="Your name, and the password of this page." if password else None,
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            # Gradio would ask its own page once and give up if a busy machine takes over three seconds to answer
            _frontend=False,
            show_error=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            max_file_size=most_upload_bytes,
            theme=page_theme(),
            css=page_style() + style,
            js=script or None,
            app_kwargs={
                "middleware": [(_RequestFilter, (), {"hosts": hosts})],
                "docs_url": None,
                "redoc_url": None,
                "openapi_url": None,
                "routes": list(routes),
            },
        )
    except OSError as error:
        raise UsageError(
            f"port {port} of {host} cannot be used: give another --port, or leave it out for a free one"
        ) from error
    return PageServer(address, page)


class _RequestFilter:
    """Refuses requests that name another host or ask for an address elsewhere; the page answers all others."""

    def __init__(self, app: _App, *, hosts: tuple[str, ...]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"refused"})
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: _Scope) -> bool:
        path = scope.get("path", "")
        if "/proxy=" in path or "file=http" in path.lower().replace("file/", "file="):
            return False
        if not self._hosts:
            return True
        named = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        host, colon, port = named.rpartition(":")
        return (host if colon and port.isdigit() else named) in self._hosts


def _same(given: str, password: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), password.encode("utf-8", "replace"))


def _free_port(host: str) -> int:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as opened:
        opened.bind((host.strip("[]"), 0))
        return int(opened.getsockname()[1])


_uploads: list[str] = []


def _use_own_folder_for_uploads() -> None:
    """Gives uploads a folder that only this user can read and that does not outlive the program."""
    if _uploads:
        return
    folder = tempfile.mkdtemp(prefix="llavamed-page-")
    _uploads.append(folder)
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
