"""Datasets in the forms that other trainers read, and back, with nothing lost."""

from llavamed_data.exchange.export import ExportSummary, export_dataset
from llavamed_data.exchange.formats import FORMATS
from llavamed_data.exchange.importing import ImportSummary, import_dataset
from llavamed_data.exchange.preferences import PreferenceSummary, export_preferences

__all__ = [
    "FORMATS",
    "ExportSummary",
    "ImportSummary",
    "PreferenceSummary",
    "export_dataset",
    "export_preferences",
    "import_dataset",
]
