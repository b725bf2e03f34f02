"""The command line: every command is one library call away."""

from llavamed_trainer.cli.app import main

__all__ = ["main"]
