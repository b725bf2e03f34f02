"""What a dataset holds: counts, the page that shows them (Figure 2 of the paper and more), pictures for its card."""

from llavamed_data.stats.counts import Side, Stats, count
from llavamed_data.stats.gallery import pictures_of
from llavamed_data.stats.page import render_page
from llavamed_data.stats.report import statistics, write_report

__all__ = ["Side", "Stats", "count", "pictures_of", "render_page", "statistics", "write_report"]
