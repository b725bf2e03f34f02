"""JATS XML → figures, captions and inline mentions. No I/O: bytes in, dataclasses out."""

from llavamed_data.jats.article import Article, Figure, parse_article

__all__ = ["Article", "Figure", "parse_article"]
