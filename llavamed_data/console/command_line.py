"""Runs a command line so that it ends with a result or with one clear line of error, never with a traceback."""

import codecs
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from llavamed_data.console.interrupts import INTERRUPTED, STOPPED, handle_interrupts, stop_in_order
from llavamed_data.console.printable import printable_line
from llavamed_data.errors import LlavaMedError, UsageError, explain, one_line

_CALL_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""The error for a wrong call of the library below Typer, which itself names only this subclass of it."""
_LOG = logging.getLogger("llavamed_data")


class Command(TyperCommand):
    """A command that takes no empty word: `--out ""` is most often a variable of the shell that is not set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words of the command line.

        Raises:
            UsageError: a word is empty, or an option has an empty value.
        """
        if not ctx.resilient_parsing:  # the shell asks what could follow
            refuse_empty_words(args)
        return super().parse_args(ctx, args)


_UNSPOKEN = {
    "·": "|",
    "…": "...",
    "–": "-",
    "—": "-",
    "→": "->",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "−": "-",
}
"""What stands for a character that the encoding of a stream lacks; its code stands for all others."""


def run_command_line(app: typer.Typer, *, prefix: str = "") -> NoReturn:
    """Runs a command line and ends the process: 0 done, 1 failed, 2 wrong call, 130 interrupted.

    Args:
        app: the commands.
        prefix: put before an error message, so that one process of several can be told from the others.
    """
    _make_streams_take_any_text()
    handle_interrupts(stop_in_order)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # Typer has caught the interrupt
            raise KeyboardInterrupt
        sys.stdout.flush()
    except _CALL_ERROR as error:
        code = _print_error(f"{prefix}{error.format_message()} (see --help)", 2)  # type: ignore[attr-defined]
    except LlavaMedError as error:
        code = _print_error(f"{prefix}{error}", error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _print_error(f"{prefix}{explain(error, Path())}", 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _print_error(f"{prefix}{STOPPED}", INTERRUPTED)
    except Exception as error:
        _LOG.debug("this is where it happened:", exc_info=True)
        code = _print_error(
            f"{prefix}{one_line(error)} ({type(error).__name__}): this is a fault of the program; -vv shows where it "
            "happened, and finished work is kept",
            1,
        )
    handle_interrupts(None)  # what is left is to end
    raise SystemExit(code if isinstance(code, int) else 0)


def is_console_script() -> bool:
    """Whether the process was started by a name of its own, which is what a shell can complete."""
    return Path(sys.argv[0]).stem in ("llavamed-data", "llavamed-trainer")


def refuse_empty_words(words: Sequence[str]) -> None:
    """Raises UsageError if one of the words of a command line is empty, or an option with an empty value."""
    for before, word in pairwise(["", *words]):
        option, sign, value = word.partition("=")
        if not word.strip():
            name = before if before.startswith("-") and "=" not in before else "an argument"
        elif option.startswith("--") and sign and not value.strip():
            name = option
        else:
            continue
        raise UsageError(f"{name} is empty: give it a value, or leave it out")


def print_json(value: object) -> None:
    """Prints a value as JSON on standard output, for machines."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")


def _make_streams_take_any_text() -> None:
    """Makes standard output and error take text that their encoding lacks, or that is no text at all."""
    codecs.register_error("llavamed_data", _readable)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="llavamed_data")


def _readable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    plain = "".join(_UNSPOKEN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in part)
    return plain, error.end


def _print_error(message: str, code: int) -> int:
    line = Text(f"error: {printable_line(message)}")
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)
    return code
