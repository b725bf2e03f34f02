"""JATS documents for tests, built round what a test is about."""

from llavamed_data.jats import Article, Figure, parse_article

_NAMESPACES = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML"'


def document(body: str = "", *, meta: str = "", abstract: str = "", back: str = "", after: str = "") -> bytes:
    """An article of these parts; `after` stands behind `<back>`: floats-group, sub-article, response."""
    return (
        f"<article {_NAMESPACES}><front><article-meta>{meta}{abstract}</article-meta></front>"
        f"<body>{body}</body><back>{back}</back>{after}</article>"
    ).encode()


def read(body: str = "", **parts: str) -> Article:
    return parse_article(document(body, **parts))


def fig(number: int | str, caption: str = "", *, label: str | None = None) -> str:
    """`<fig id="F3">` with label "Figure 3"; `caption` is markup."""
    label = f"Figure {number}" if label is None else label
    return (
        f'<fig id="F{number}"><label>{label}</label><caption>{caption}</caption>'
        f'<graphic xlink:href="g{number}"/></fig>'
    )


def xref(number: int | str, text: str) -> str:
    rids = " ".join(f"F{part}" for part in str(number).split())
    return f'<xref ref-type="fig" rid="{rids}">{text}</xref>'


def caption_of(markup: str) -> str:
    return only(read(fig(1, markup))).caption


def only(article: Article) -> Figure:
    (figure,) = article.figures
    return figure


def mentions(paragraph: str, *, figures: int = 5, **parts: str) -> dict[str, tuple[str, ...]]:
    """Figure number → sentences of `<p>paragraph</p>` that mention it, for figures that are mentioned."""
    article = read(f"<sec><p>{paragraph}</p></sec>" + "".join(fig(n) for n in range(1, figures + 1)), **parts)
    return {
        figure.figure_id.removeprefix("F"): figure.inline_mentions
        for figure in article.figures
        if figure.inline_mentions
    }


def mentioned(paragraph: str) -> list[int]:
    """Numbers of the figures 1 to 5 that `<p>paragraph</p>` mentions."""
    return [int(number) for number in mentions(paragraph)]
