"""Reads figures, captions and inline mentions from JATS XML. Bytes come in and dataclasses go out, without any I/O."""

from llavamed_data.jats.article import Article, Figure, parse_article

__all__ = ["Article", "Figure", "parse_article"]
