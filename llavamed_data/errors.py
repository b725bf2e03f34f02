"""The one exception that users of the toolkit see, and how other errors are told in one line."""

from pathlib import Path

_NO_SPACE = frozenset({28, 122})
"""The error numbers ENOSPC (disk full) and EDQUOT (quota used up)."""


class LlavaMedError(Exception):
    """An error that the user can fix.

    The message is one line that names what is wrong and the way out. The command line prints it without
    a traceback and ends with `exit_code`: 2 for a wrong call (flag, path, name), 1 for a run that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(LlavaMedError):
    """The call itself is wrong: an unknown recipe, a path that does not exist, flags that contradict each other."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


def explain(error: OSError, where: Path) -> str:
    """Tells an operating system error in one line: the path that it hit and what to do about it.

    Args:
        error: what was raised.
        where: the path to name if the error names none.
    """
    path = error.filename or where
    if error.errno in _NO_SPACE:
        return (
            f"no space left while writing {path}: free some and rerun the same command, finished work is kept"
        )
    if isinstance(error, PermissionError):
        return f"no permission for {path}: change its access rights, or choose other folders with --work and --out"
    return f"{error.strerror or error} ({path}): fix this and rerun the same command, finished work is kept"


def one_line(error: BaseException | str, limit: int = 200) -> str:
    """The text of an error on one line, cut to `limit` characters; its class where it has no text."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
