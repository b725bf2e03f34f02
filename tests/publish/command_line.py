"""The command line as a process: `python -m tests.publish.command_line publish …`, or forked from a test."""

import os
import sys


def run_command(arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    """Becomes the command line with the given arguments, environment and streams."""
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["llavamed_data", *arguments]
    main()


def main() -> None:
    """The toolkit's own `main`, with `publish` among its commands; imported late, for it reads the environment."""
    from llavamed_data.cli.app import app
    from llavamed_data.cli.app import main as toolkit
    from llavamed_data.publish.command import publish

    if publish not in [command.callback for command in app.registered_commands]:
        app.command()(publish)
    toolkit()


if __name__ == "__main__":
    main()
