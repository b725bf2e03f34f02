"""What Ctrl-C does at any moment: it prints one line that says how to go on, and no traceback.

It is the first that a command imports, and so it imports nothing that Python has not loaded when it begins: until this
module is there, Ctrl-C ends in a traceback. `signal` itself would first load `enum`.
"""

import _signal  # type: ignore[import-not-found]  # of the standard library, without a stub
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

STOPPED = "stopped: rerun the same command to go on; finished work is kept"

INTERRUPTED = 130
"""The exit code that shells give to a process stopped by Ctrl-C."""


def stop_at_once(_: int, __: "FrameType | None") -> None:
    """Ends the process here and now: modules that are being imported must not see an exception."""
    os.write(2, f"error: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)


def stop_in_order(_: int, __: "FrameType | None") -> None:
    """Lets the command end what it has begun; a second Ctrl-C ends the process at once."""
    _signal.signal(_signal.SIGINT, stop_at_once)
    raise KeyboardInterrupt


def handle_interrupts(handler: "Callable[[int, FrameType | None], None] | None") -> None:
    """Sets what Ctrl-C does (None: what the system does), unless the process was started so that it ignores Ctrl-C."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, handler or _signal.SIG_DFL)
