"""`python -m llavamed_data`."""

import os

# Arrow's own allocators keep for good what a row group needed, malloc gives it back; read when Arrow is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def main() -> None:
    """Runs the command line; it is imported here because each worker process imports this module."""
    from llavamed_data.console.interrupts import handle_interrupts, stop_at_once

    handle_interrupts(stop_at_once)
    from llavamed_data.cli import main as run

    run()


if __name__ == "__main__":
    main()
