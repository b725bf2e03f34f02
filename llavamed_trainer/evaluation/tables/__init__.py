"""The paper's tables with results of our own beside them."""

from llavamed_trainer.evaluation.tables.variant import Variant, make_variant, parse_variant

__all__ = ["Variant", "make_variant", "parse_variant"]
