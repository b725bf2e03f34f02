"""The address of a server that speaks OpenAI's API, and the key for it."""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llavamed_data.errors import LlavaMedError, UsageError

if TYPE_CHECKING:
    import openai


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible address. The key comes from the environment (`OPENAI_API_KEY`) and is stored nowhere else.

    Attributes:
        base_url: such as `http://127.0.0.1:11434/v1`; by default `OPENAI_BASE_URL`, or OpenAI's own address.
        timeout: seconds that one request may take; the first answer of a local model may take minutes.
    """

    base_url: str | None = None
    timeout: float = 600.0

    def __str__(self) -> str:
        """The address, for messages; without a name and password that stand in it."""
        return re.sub(r"(?<=://)[^/@]*@", "", self._base_url() or "https://api.openai.com/v1")

    def is_silent(self) -> LlavaMedError:
        """The error of a run whose server takes requests and does not answer them."""
        return LlavaMedError(
            f"{self} took the requests and answered none within --timeout {self.timeout:g} seconds: see whether the "
            "server works, or give its model longer with --timeout, then rerun the same command; answers are kept"
        )

    def is_unreachable(self, message: str) -> LlavaMedError:
        """The error of a run whose server cannot be reached, with what failed."""
        return LlavaMedError(
            f"no server can be reached at {self} ({message}): start it, or check --base-url, then rerun the same "
            "command; answers are kept"
        )

    def check(self) -> None:
        """Checks key and address without connecting.

        Raises:
            UsageError: there is no key for OpenAI's own address, or the address is not an HTTP address.
        """
        self._arguments()

    def connect(self) -> "openai.AsyncOpenAI":
        """A client of the openai package that does not retry by itself: our clients count attempts and pauses.

        Raises:
            UsageError: as `check`.
        """
        import openai

        return openai.AsyncOpenAI(**self._arguments())

    def connect_blocking(self) -> "openai.OpenAI":
        """As `connect`, for code that does not use asyncio."""
        import openai

        return openai.OpenAI(**self._arguments())

    def key_refused(self) -> str:
        """What to tell the user if the server does not accept the key, or the lack of one."""
        if _key():
            return "the server does not accept the key in OPENAI_API_KEY: set the right one and rerun the same command"
        return (
            f"{self} asks for a key, and OPENAI_API_KEY is not set: set it to the server's key (for vLLM and "
            "llama.cpp the value of --api-key) and rerun the same command"
        )

    def _base_url(self) -> str | None:
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or None

    def _arguments(self) -> dict[str, Any]:
        base_url = self._base_url()
        key = _key() or ("none" if base_url else None)
        if key is None:
            raise UsageError(
                "OPENAI_API_KEY is not set: set it to your key for OpenAI's own address, or name another server with "
                "--base-url, such as --base-url http://127.0.0.1:8000/v1 (a local server needs no key)"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UsageError("OPENAI_API_KEY holds a character that no key has: set it to the key alone")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise UsageError(f"--base-url {base_url} is no http address: write it as http://HOST:PORT/v1")
        return {"api_key": key, "base_url": base_url, "timeout": self.timeout, "max_retries": 0}


def _key() -> str | None:
    return (os.environ.get("OPENAI_API_KEY") or "").strip() or None
