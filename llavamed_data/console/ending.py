"""How a run of a command line ends: a result or one clear line, never a traceback."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data.errors import LlavaMedError

_WRONG_CALL: type[Exception] = typer.BadParameter.__mro__[1]
"""The command-line library's own error for a wrong call; Typer names only this subclass of it."""

_STOPPED = 130


def run(app: typer.Typer, *, speaker: str = "") -> NoReturn:
    """Runs a command line and ends the process: 0 done, 1 failed, 2 wrong call, 130 stopped.

    Args:
        app: the commands.
        speaker: goes before what went wrong, where several processes speak.
    """
    try:
        code = app(standalone_mode=False)
    except _WRONG_CALL as error:
        code = _fail(f"{error.format_message()} (see --help)", 2, speaker)  # type: ignore[attr-defined]
    except LlavaMedError as error:
        code = _fail(str(error), error.exit_code, speaker)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        from llavamed_data.errors import explain

        code = _fail(explain(error, Path()), 1, speaker)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("stopped: run the same command again to go on, finished work is kept", _STOPPED, speaker)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, speaker: str) -> int:
    line = "".join(mark if mark.isprintable() else " " for mark in message)
    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(f"error: {speaker}{line}"))
    return code
