"""Datasets in the forms that other trainers read, and back, with nothing lost."""

from llavamed_data.exchange.export import Exported, export_dataset
from llavamed_data.exchange.formats import FORMATS
from llavamed_data.exchange.importing import Imported, import_dataset

__all__ = ["FORMATS", "Exported", "Imported", "export_dataset", "import_dataset"]
