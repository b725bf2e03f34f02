"""Checks that a dataset is what it says it is: its shards, every row and image, its card, and the sets beside it."""

from llavamed_data.validation.dataset import validate
from llavamed_data.validation.report import Check, DatasetFault, ValidationReport

__all__ = ["Check", "DatasetFault", "ValidationReport", "validate"]
