"""Documents that mean harm, and documents that are merely broken."""

import re
import time
import tracemalloc
from pathlib import Path

import pytest

from llavamed_data.jats import parse_article
from llavamed_data.jats.document import MAX_XML_BYTES
from llavamed_data.reasons import Drop, Reason
from tests.llavamed_data.jats.documents import document, fig, only


def with_doctype(declarations: str, body: str) -> bytes:
    return f"<!DOCTYPE article [{declarations}]>".encode() + document(body)


def texts(xml: bytes) -> str:
    """All that comes out of a document; nothing where it is dropped as malformed."""
    try:
        return repr(parse_article(xml))
    except Drop as drop:
        return "" if drop.reason is Reason.MALFORMED_XML else repr(drop)


BOMB = '<!ENTITY l0 "lollollollol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "use", [fig(1, "<p>&l11;</p>") + "<p>&l11; Fig. 1</p>", fig(1, '<p content-type="&l11;">x</p>')]
)
def test_a_billion_laughs_expand_to_nothing(use: str) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    found = texts(with_doctype(BOMB, use))
    elapsed, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "lol" not in found
    assert elapsed < 5
    assert peak < 50 * 2**20


def test_a_quadratic_bomb_expands_to_nothing() -> None:
    found = texts(with_doctype(f'<!ENTITY a "{"lol" * 100_000}">', fig(1, f"<p>{'&a;' * 1000}</p>")))
    assert "lol" not in found


@pytest.mark.parametrize("declaration", ["SYSTEM", 'PUBLIC "x"'])
def test_no_file_is_read(declaration: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("TOP SECRET")
    found = texts(
        with_doctype(
            f'<!ENTITY e {declaration} "{secret.as_uri()}"><!ENTITY % p {declaration} "{secret.as_uri()}"> %p;',
            fig(1, "<p>a&e;b</p>") + "<p>&e; Fig. 1</p>",
        )
    )
    assert "SECRET" not in found
    assert "root:" not in texts(with_doctype('<!ENTITY e SYSTEM "file:///etc/passwd">', fig(1, "<p>&e;</p>")))


def test_no_external_dtd_is_read(tmp_path: Path) -> None:
    dtd = tmp_path / "evil.dtd"
    dtd.write_text('<!ENTITY e "TOP SECRET"><!ATTLIST fig id CDATA "SECRET">')
    xml = f'<!DOCTYPE article SYSTEM "{dtd.as_uri()}">'.encode() + document(
        "<fig><caption><p>a&e;b</p></caption></fig>"
    )
    assert "SECRET" not in texts(xml)


def test_no_include_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("TOP SECRET")
    include = (
        f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret.as_uri()}" parse="text"/>'
    )
    assert "SECRET" not in texts(document(fig(1, f"<p>{include}</p>")))


@pytest.mark.parametrize(
    "doctype",
    [
        "",
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "JATS.dtd">',
        "<!DOCTYPE article [<!ENTITY own 'mine'>]>",
    ],
)
def test_named_characters_are_read_without_the_dtd(doctype: str) -> None:
    xml = doctype.encode() + document(
        fig(1, "<p>5&nbsp;&micro;m &alpha;-actin &amp; <bold>&Omega;</bold>&nosuchname; &lt;</p>")
    )
    assert only(parse_article(xml)).caption == "5 µm α-actin & Ω <"


@pytest.mark.parametrize("doctype", ["", '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "JATS.dtd">'])
def test_greek_letters_of_iso_are_read_without_the_dtd(doctype: str) -> None:
    xml = doctype.encode() + document(
        fig(1, "<p>&agr;, &Ggr;, 5 &mgr;m, &eegr;, &OHgr;, &eacgr;, &sfgr;, &b.beta;</p>")
    )
    assert only(parse_article(xml)).caption == "α, Γ, 5 μm, η, Ω, έ, ς, β"


@pytest.mark.parametrize(
    "doctype",
    [
        "",
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "JATS.dtd">',
        "<?xml version='1.0'?><!-- <article> -->",
    ],
)
def test_namespaces_that_the_dtd_declares_may_be_left_out(doctype: str) -> None:
    body = fig(1, "<p>&alpha; in <mml:math><mml:mi>x</mml:mi></mml:math></p>")
    full = document(
        body,
        meta='<permissions><license xlink:href="http://creativecommons.org/licenses/by/4.0/"/></permissions>',
    )
    bare = re.sub(rb' xmlns:\w+="[^"]*"', b"", full)
    assert b"xmlns" not in bare
    article = parse_article(doctype.encode() + bare)
    assert article == parse_article(full)
    assert only(article).graphics == ("g1",)
    assert article.license == "CC BY"


def test_what_one_document_leaves_out_is_not_declared_twice_in_the_next() -> None:
    formula = fig(1, "<p><mml:math><mml:mi>x</mml:mi></mml:math></p>")
    parse_article(re.sub(rb' xmlns:\w+="[^"]*"', b"", document(fig(1, "<p>x</p>"))))
    without_mathml = re.sub(rb' xmlns:mml="[^"]*"', b"", document(formula))
    assert only(parse_article(without_mathml)).caption == "x"


def test_names_of_species_may_leave_out_the_namespace_of_their_dtd() -> None:
    markup = "<p><tp:taxon-name>Aedes aegypti</tp:taxon-name>, male.</p>"
    assert only(parse_article(document(fig(1, markup)))).caption == "Aedes aegypti, male."


def test_a_prefix_that_nobody_declares_is_malformed() -> None:
    with pytest.raises(Drop) as caught:
        parse_article(document("<unknown:p>x</unknown:p>"))
    assert caught.value.reason is Reason.MALFORMED_XML


def test_short_declared_texts_are_read() -> None:
    xml = with_doctype('<!ENTITY own "mine"><!ENTITY mic "&#181;">', fig(1, "<p>&own; 5 &mic;m</p>"))
    assert only(parse_article(xml)).caption == "mine 5 µm"


@pytest.mark.parametrize(
    "xml",
    [
        b"", b" ", b"not xml", b"\x00\x01", b"<article>", b"<article></sec></article>", b"<html/>",
        document(fig(1))[:-20], document("<p>\x00</p>"), document(fig(1)).replace(b"Figure", b"\xff\xfe"),
        b'<?xml version="1.0" encoding="klingon"?><article/>',
        b"<article><back><ref-list><ref></ref-list></back>", b"<article><table", b"<article><table></table>",
    ],
)  # fmt: skip
def test_broken_documents_are_dropped(xml: bytes) -> None:
    with pytest.raises(Drop) as caught:
        parse_article(xml)
    assert caught.value.reason is Reason.MALFORMED_XML
    assert caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_document_nested_too_deep_is_malformed() -> None:
    with pytest.raises(Drop):
        parse_article(document("<sec>" * 5000 + "</sec>" * 5000))


def test_a_document_too_large_is_dropped_unread() -> None:
    with pytest.raises(Drop) as caught:
        parse_article(b"<" * (MAX_XML_BYTES + 1))
    assert caught.value.reason is Reason.XML_TOO_LARGE


@pytest.mark.parametrize("repeated", [b"<table ", b"<table></table>", b"<ref-list>", b"<table>--></table>"])
def test_a_word_repeated_without_end_takes_little_time_and_memory(repeated: bytes) -> None:
    xml = b"<article><body>" + repeated * (8 * 2**20 // len(repeated))
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(Drop):
        parse_article(xml)
    elapsed, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed < 5
    assert peak < 100 * 2**20


def test_control_characters_that_the_parser_uses_do_no_harm_in_a_document() -> None:
    marks = "\x81 \x8d \x8f \x90 \x8199\x8d \x81x\x8d"
    xml = document(f"<p>See {marks} Figure 1 here.</p>{fig(1, f'<p>{marks}x</p>')}")
    assert parse_article(xml).figures[0].label == "Figure 1"


def test_many_cross_references_in_one_paragraph_take_linear_time() -> None:
    def seconds(count: int) -> float:
        sentence = '<xref ref-type="fig" rid="F1">Fig. 1</xref> and 2 so. '
        xml = document(f"<p>{sentence * count}</p>{fig(1)}")
        start = time.process_time()
        parse_article(xml)
        return time.process_time() - start

    seconds(100)
    # ten times the work; quadratic time is a hundredfold
    assert seconds(20_000) < 50 * max(seconds(2_000), 0.01)
