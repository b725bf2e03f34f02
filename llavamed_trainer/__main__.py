"""`python -m llavamed_trainer`."""


def main() -> None:
    """Runs the command line; it is imported here so that Ctrl-C during the import is one line too."""
    from llavamed_data.console.interrupts import handle_interrupts, stop_at_once

    handle_interrupts(stop_at_once)
    from llavamed_trainer.cli import main as run

    run()


if __name__ == "__main__":
    main()
