"""Looking at rows of a dataset: in the terminal, by words, and their images with care."""

from llavamed_data.show.rows import ShownRow, find_rows
from llavamed_data.show.terminal import show_row

__all__ = ["ShownRow", "find_rows", "show_row"]
