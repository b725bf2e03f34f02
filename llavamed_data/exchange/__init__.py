"""Datasets in the forms that other trainers read, and back, with nothing lost."""

from llavamed_data.exchange.export import ExportSummary, export_dataset
from llavamed_data.exchange.formats import FORMATS
from llavamed_data.exchange.importing import ImportSummary, import_dataset

__all__ = ["FORMATS", "ExportSummary", "ImportSummary", "export_dataset", "import_dataset"]
