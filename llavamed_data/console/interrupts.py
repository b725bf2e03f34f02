"""What Ctrl-C does at any moment: it prints one line that says how to go on, and no traceback."""

import os
import signal
from collections.abc import Callable
from types import FrameType

STOPPED = "stopped: rerun the same command to go on; finished work is kept"

INTERRUPTED = 130
"""The exit code that shells give to a process stopped by Ctrl-C."""


def stop_at_once(_: int, __: FrameType | None) -> None:
    """Ends the process here and now: modules that are being imported must not see an exception."""
    os.write(2, f"error: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)


def stop_in_order(_: int, __: FrameType | None) -> None:
    """Lets the command end what it has begun; a second Ctrl-C ends the process at once."""
    signal.signal(signal.SIGINT, stop_at_once)
    raise KeyboardInterrupt


def handle_interrupts(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Sets what Ctrl-C does, unless the process was started so that it ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
