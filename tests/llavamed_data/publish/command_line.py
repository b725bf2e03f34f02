"""The command line in a process forked from a test: this module must import nothing of the Hub's clients."""

import os
import sys


def run_command(arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    """Runs the command line with the given arguments, environment, working folder and output files."""
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["llavamed_data", *arguments]
    from llavamed_data.cli import main  # now: the clients read the environment when they are imported

    main()
