"""Review of datasets by people: what they decide about rows, flags that others raise, and how far they agree."""

from llavamed_data.review.agreement import ReviewReport, review_report
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import Decision, DecisionKind, row_digest
from llavamed_data.review.flags import Flag, read_flags, write_flags
from llavamed_data.review.following import RowReview, fold

__all__ = [
    "Decision",
    "DecisionFile",
    "DecisionKind",
    "Flag",
    "ReviewReport",
    "RowReview",
    "fold",
    "read_flags",
    "review_report",
    "row_digest",
    "write_flags",
]
