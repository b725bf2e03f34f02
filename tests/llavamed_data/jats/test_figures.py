"""Which figures an article has, in which order, by which ids, with which graphics."""

import pytest

from llavamed_data.jats import Figure, parse_article
from tests.llavamed_data.jats.documents import document, fig, only, read


def ids(body: str = "", **parts: str) -> list[str]:
    return [figure.figure_id for figure in read(body, **parts).figures]


def test_figures_are_found_wherever_they_may_stand() -> None:
    assert ids(
        f"<sec>{fig(1)}<p>text {fig(2)} text</p><boxed-text>{fig(3)}</boxed-text></sec>"
        f"<fig-group>{fig(4)}{fig(5)}</fig-group>",
        back=f"<app-group><app>{fig(8)}</app></app-group>",
        after=f"<floats-group>{fig(6)}<fig-group>{fig(7)}</fig-group></floats-group>"
        f"<sub-article><body>{fig(9)}</body></sub-article><response><body>{fig(10)}</body></response>",
    ) == [f"F{number}" for number in range(1, 11)]


def test_a_figure_of_the_abstract_comes_first() -> None:
    assert ids(fig(2), abstract=f'<abstract abstract-type="graphical"><p>{fig(1)}</p></abstract>') == [
        "F1",
        "F2",
    ]


def test_an_article_without_figures_has_none() -> None:
    assert ids("<p>Nothing in Fig. 1.</p>") == []


def test_an_absent_or_repeated_id_is_made_from_the_graphic_or_the_place() -> None:
    assert ids(
        '<fig id="F1"><graphic xlink:href="a/b c.jpg"/></fig>'
        '<fig id="F1"><graphic xlink:href="a/b c.jpg"/></fig>'
        '<fig><graphic xlink:href="x-g003"/></fig>'
        "<fig><label>Figure 4</label></fig>"
        '<fig><graphic xlink:href="x-g003"/></fig>'
    ) == ["F1", "b-c.jpg", "x-g003", "fig-4", "x-g003-2"]


def test_a_made_id_leaves_stated_ones_alone() -> None:
    assert ids('<fig/><fig id="fig-1"/>') == ["fig-1-2", "fig-1"]


def test_each_distinct_graphic_counts_and_of_alternatives_the_one_for_the_web() -> None:
    figure = only(
        read(
            '<fig id="F1"><caption><p><inline-graphic xlink:href="symbol"/>'
            '<disp-formula><graphic xlink:href="formula"/></disp-formula></p></caption>'
            '<graphic xlink:href="a"/><graphic xlink:href=" b "/><graphic xlink:href="a"/>'
            '<alternatives><graphic xlink:href="c.tif"/><graphic xlink:href="c.jpg"/></alternatives>'
            '<alternatives><graphic xlink:href="d"/><graphic xlink:href="e"/></alternatives></fig>'
        )
    )
    assert figure.graphics == ("a", "b", "c.jpg", "d")


def test_a_graphic_in_a_paragraph_of_the_figure_is_found() -> None:
    assert only(read('<fig id="F1"><p><graphic xlink:href="a"/></p></fig>')).graphics == ("a",)


def test_members_of_a_group_take_over_what_only_the_group_says() -> None:
    article = read(
        '<sec><p>As <xref ref-type="fig" rid="G3">Figure 3</xref> shows. Compare Fig. 3b.</p>'
        '<fig-group id="G3"><label>Figure 3.</label><caption><p>Both lungs.</p></caption>'
        '<fig id="a"><label>(a)</label><graphic xlink:href="g3a"/></fig>'
        '<fig id="b"><label>(b)</label><caption><p>Left lung.</p></caption><graphic xlink:href="g3b"/></fig>'
        "</fig-group></sec>"
    )
    first, second = article.figures
    assert (first.label, first.caption) == ("Figure 3 (a)", "Both lungs.")
    assert (second.label, second.caption) == ("Figure 3 (b)", "Left lung.")
    assert first.inline_mentions == second.inline_mentions == ("As Figure 3 shows.", "Compare Fig. 3b.")


def test_a_caption_of_several_images_is_known_as_such() -> None:
    def shared(body: str) -> list[bool]:
        return [figure.shares_caption for figure in read(body).figures]

    caption = "<caption><p>CT before and after.</p></caption>"
    four = "".join(f'<graphic xlink:href="g004{panel}.jpg"/>' for panel in "abcd")
    assert shared(f"<fig>{caption}{four}</fig>") == [True]
    assert shared(f"<fig>{caption}<p>{four}</p></fig>") == [True]
    same_picture = '<graphic xlink:href="g1.tif"/><graphic xlink:href="g1.jpg"/><graphic xlink:href="g1"/>'
    assert shared(f"<fig>{caption}{same_picture}</fig>") == [False]
    assert shared(f"<fig-group>{caption}{fig(1)}{fig(2)}</fig-group>") == [True, True]
    assert shared(f"<fig-group>{caption}{fig(1)}{fig(2, '<p>Own.</p>')}</fig-group>") == [True, False]
    assert shared(f"<fig-group>{caption}{fig(1)}</fig-group>") == [False]


def test_namespaces_and_wrappers_change_nothing() -> None:
    plain = document(
        f"<p>See Figure 1 and <xref rid='F1'>1</xref>.</p>{fig(1, '<p>A <italic>b</italic>.</p>')}"
    )
    expected = parse_article(plain)
    assert len(expected.figures) == 1
    default = plain.replace(b"<article ", b'<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/" ')
    prefixed = plain.replace(b"</", b"</j:").replace(b"<", b"<j:").replace(b"<j:/j:", b"</j:")
    prefixed = prefixed.replace(b"<j:article ", b'<j:article xmlns:j="urn:jats" ')
    for document_ in (
        default,
        prefixed,
        b"<pmc-articleset>" + plain + b"</pmc-articleset>",
        b'<record xmlns="http://www.openarchives.org/OAI/2.0/"><metadata>'
        + default
        + b"</metadata></record>",
        b'<?xml version="1.0"?>\n<!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "http://localhost:9/absent.dtd">\n'
        + plain,
        b"\n  \n" + plain,
        b"\xef\xbb\xbf" + plain,
        plain.decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="iso-8859-1"?>' + plain,
    ):
        assert parse_article(document_) == expected


def test_a_declared_encoding_is_read() -> None:
    text = fig(1, "<p>5 µm, naïve</p>")
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?>' + document(text).decode()
    assert only(parse_article(latin.encode("latin-1"))).caption == "5 µm, naïve"
    assert (
        only(parse_article(latin.replace("ISO-8859-1", "UTF-16").encode("utf-16"))).caption == "5 µm, naïve"
    )


def test_text_around_reference_lists_is_read() -> None:
    refs = '<ref-list><ref id="B1"><mixed-citation>Fig. 1 of a book</mixed-citation></ref></ref-list>'
    nested = f"<ref-list>{refs}{refs}</ref-list>"
    for back in (
        refs,
        refs + "<ack><p>Figure 1 by N. N.</p></ack>" + refs,
        nested,
        f"<!-- <ref-list> -->{refs}",
    ):
        article = read(fig(1) + "<p>See Figure 1.</p>", back=back)
        assert only(article).inline_mentions[0] == "See Figure 1."


TABLE = "<table-wrap><table><tbody><tr><td>See Fig. 1.</td></tr></tbody></table></table-wrap>"


@pytest.mark.parametrize(
    "tables",
    [
        TABLE,
        f"{TABLE}<p>Between, Figure 1.</p>{TABLE}",
        f"<!-- <table> --><p>Between, Figure 1.</p>{TABLE}",
        "<!-- <table> --><p>Between, Figure 1.</p><!-- </table> -->",
        f"<?x <table> ?><p>Between, Figure 1.</p>{TABLE}",
        f"<p><![CDATA[<table>]]></p><p>Between, Figure 1.</p>{TABLE}",
        f"<table-wrap><table/></table-wrap><p>Between, Figure 1.</p>{TABLE}",
        f"<table-wrap><table>{TABLE}<tr><td>x</td></tr></table></table-wrap>",
        f"<table-wrap><table><!-- </table> -->{TABLE}</table></table-wrap>",
        f"<table-wrap><table><tr><td>{fig(3)}</td></tr></table></table-wrap>",
    ],
)
def test_text_around_tables_is_read(tables: str) -> None:
    def figures_in(encoding: str) -> list[Figure]:
        body = (
            f"<sec>{tables}<p>One<table-wrap><table>x</table></table-wrap>Figure 1.</p>{fig(1)}</sec>{fig(2)}"
        )
        return list(parse_article(document(body).decode().encode(encoding)).figures)

    figures = figures_in("utf-8")
    assert figures == figures_in("utf-16")  # in which no table is found before the whole is parsed
    between = ["Between, Figure 1."] * ("Between" in tables)
    assert list(figures[-2].inline_mentions) == [*between, "One Figure 1."]


def test_a_figure_in_a_table_is_found() -> None:
    assert ids(f"<table-wrap><table><tbody><tr><td>{fig(1)}</td></tr></tbody></table></table-wrap>") == ["F1"]
