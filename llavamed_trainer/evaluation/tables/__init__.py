"""The paper's tables with results of our own beside them."""

from llavamed_trainer.evaluation.tables.card import card_results, update_card
from llavamed_trainer.evaluation.tables.collect import Results, collect
from llavamed_trainer.evaluation.tables.fill import fill
from llavamed_trainer.evaluation.tables.html import to_html
from llavamed_trainer.evaluation.tables.latex import to_latex
from llavamed_trainer.evaluation.tables.markdown import to_markdown
from llavamed_trainer.evaluation.tables.paper_tables import NUMBERS, PaperTable, paper_table
from llavamed_trainer.evaluation.tables.table import Cell, Row, Table
from llavamed_trainer.evaluation.tables.variant import Variant, make_variant, parse_variant

__all__ = [
    "NUMBERS",
    "Cell",
    "PaperTable",
    "Results",
    "Row",
    "Table",
    "Variant",
    "card_results",
    "collect",
    "fill",
    "make_variant",
    "paper_table",
    "parse_variant",
    "to_html",
    "to_latex",
    "to_markdown",
    "update_card",
]
