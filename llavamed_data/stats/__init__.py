"""What a dataset holds: counts, a page that shows them (Figure 2 of the paper and more), and pictures for its card."""

from llavamed_data.dataset.layout import REPORT_FOLDER
from llavamed_data.stats.counts import DatasetStats, TextCounts, count, statistics
from llavamed_data.stats.report import (
    REPORT_PAGE,
    default_folder,
    render_page,
    report_pictures,
    write_report,
)

__all__ = [
    "REPORT_FOLDER",
    "REPORT_PAGE",
    "DatasetStats",
    "TextCounts",
    "count",
    "default_folder",
    "render_page",
    "report_pictures",
    "statistics",
    "write_report",
]
