"""Review of datasets by people: what they decide about rows, flags that others raise, and how far they agree."""

from llavamed_data.review.decisions import (
    Decision,
    DecisionFile,
    DecisionKind,
    RowReview,
    fold,
    row_digest,
)

__all__ = [
    "Decision",
    "DecisionFile",
    "DecisionKind",
    "RowReview",
    "fold",
    "row_digest",
]
