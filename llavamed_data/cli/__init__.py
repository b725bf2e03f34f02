"""The command line: every command is one library call away."""

from llavamed_data.cli.app import main

__all__ = ["main"]
