"""`python -m llavamed_data`."""

from llavamed_data.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
