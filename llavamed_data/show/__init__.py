"""Looking at a dataset: rows in the terminal, pages in a browser."""

from llavamed_data.show.pages import single_page
from llavamed_data.show.rows import ShownRow, find_rows
from llavamed_data.show.server import BrowseServer
from llavamed_data.show.terminal import show_row

__all__ = ["BrowseServer", "ShownRow", "find_rows", "show_row", "single_page"]
