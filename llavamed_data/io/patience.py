"""Says what is waited for, when a server has not answered for some seconds."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)

_SECONDS = 8.0


@contextmanager
def say_if_slow(what: str) -> Iterator[None]:
    """Logs a warning if what is done within takes more than 8 seconds.

    Args:
        what: what is waited for, such as `the inventory of https://example.org/pmc`.
    """
    timer = threading.Timer(
        _SECONDS, _log.warning, ("still waiting for %s after %.0f seconds", what, _SECONDS)
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
