"""267 real articles of many publishers, counted by other means."""

import re
from pathlib import Path

import pytest

from llavamed_data.jats import Article, parse_article


@pytest.fixture(scope="module")
def real_articles(shared_data: Path) -> dict[str, tuple[bytes, Article]]:
    paths = sorted((shared_data / "jats").glob("*.xml"))
    assert len(paths) == 267
    return {path.name: (xml := path.read_bytes(), parse_article(xml)) for path in paths}


def test_every_figure_of_every_article_is_found(real_articles: dict[str, tuple[bytes, Article]]) -> None:
    for name, (xml, article) in real_articles.items():
        assert len(article.figures) == len(re.findall(rb"<fig[\s>]", xml)), name


def test_an_article_says_the_same_in_another_encoding(
    real_articles: dict[str, tuple[bytes, Article]],
) -> None:
    """In UTF-16 no reference list and no table is recognised before parsing, so that none is left out."""
    declaration = re.compile(r"^\s*<\?xml[^>]*\?>")
    for name, (xml, article) in list(real_articles.items())[::3]:
        assert parse_article(declaration.sub("", xml.decode()).encode("utf-16")) == article, name


def test_ids_are_those_stated_and_unique(real_articles: dict[str, tuple[bytes, Article]]) -> None:
    for name, (xml, article) in real_articles.items():
        ids = [figure.figure_id for figure in article.figures]
        assert len(set(ids)) == len(ids), name
        stated = {match.decode() for match in re.findall(rb'<fig\s[^>]*?(?<![-\w:])id="([^"]+)"', xml)}
        assert stated <= set(ids), name


def test_every_figure_with_a_cross_reference_in_running_text_is_mentioned(
    real_articles: dict[str, tuple[bytes, Article]],
) -> None:
    figures = mentioned = 0
    for xml, article in real_articles.values():
        referred = set(b" ".join(re.findall(rb'<xref[^>]*rid="([^"]+)"', xml)).decode().split())
        for figure in article.figures:
            if figure.figure_id in referred:
                figures += 1
                mentioned += bool(figure.inline_mentions)
    assert figures > 950
    assert (
        mentioned / figures > 0.97
    )  # the rest are referred to from captions, tables and bare references only


def test_captions_are_plain_lines(real_articles: dict[str, tuple[bytes, Article]]) -> None:
    for name, (_, article) in real_articles.items():
        for figure in article.figures:
            for text in (figure.label, figure.caption, *figure.inline_mentions):
                assert text == " ".join(text.split()), name
                assert not re.search(r"</?[a-z][\w:-]*[ />]|\\begin|&[a-z]+;|[\x80-\x9f]", text), (name, text)


def test_mentions_are_sentences(real_articles: dict[str, tuple[bytes, Article]]) -> None:
    sentences = [
        mention
        for _, article in real_articles.values()
        for figure in article.figures
        for mention in figure.inline_mentions
    ]
    assert len(sentences) > 3000
    ended = sum(sentence[-1] in ".!?:)]”" for sentence in sentences)
    assert ended / len(sentences) > 0.98
    assert max(map(len, sentences)) < 1500
