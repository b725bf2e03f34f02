"""The one exception a user of the toolkit sees: what is wrong, and what to do about it."""


class LlavaMedError(Exception):
    """A fault that the user can mend.

    The message is one line that names the thing at fault and the way out. The command line prints it without
    a traceback and ends with `exit_code`: 2 for a wrong call (flag, path, name), 1 for a run that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(LlavaMedError):
    """The call itself is wrong: an unknown recipe, a path that is not there, flags that contradict."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)
