"""The command line with `publish` in it, as a process that tests start."""

from llavamed_data.cli.app import app, main
from llavamed_data.publish.command import publish

if __name__ == "__main__":
    if publish not in [command.callback for command in app.registered_commands]:
        app.command()(publish)
    main()
