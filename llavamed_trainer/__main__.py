"""`python -m llavamed_trainer`."""

from llavamed_trainer.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
