"""Is a dataset what it says it is: its shards, every row and image, its card, and the sets beside it."""

from llavamed_data.validation.checks import Check
from llavamed_data.validation.dataset import validate
from llavamed_data.validation.report import Fault, Report

__all__ = ["Check", "Fault", "Report", "validate"]
