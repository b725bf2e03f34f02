"""Whatever the markup, the words of a caption come out, in order, without the markup."""

from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from tests.llavamed_data.jats.documents import caption_of, mentions, xref

WORD = st.text(st.sampled_from("abcdefxyzαβ0123456789-+<>&'\"()éß中"), min_size=1, max_size=8)
INLINE = ["bold", "italic", "underline", "sc", "xref", "ext-link", "named-content", "styled-content"]


def wrap(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda tag, inner: f"<{tag}>{inner}</{tag}>", st.sampled_from(INLINE), children
    ) | st.lists(children, min_size=1, max_size=4).map(" ".join)


MARKUP = st.recursive(WORD.map(escape), wrap, max_leaves=20)


def words_of(markup: str) -> str:
    """The text between tags, by a hand-written scanner: our parser has no part in it."""
    text, inside = "", False
    for character in markup:
        if character in "<>":
            inside = character == "<"
        elif not inside:
            text += character
    return " ".join(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").split())


@given(MARKUP)
def test_a_paragraph_keeps_its_text_and_loses_its_tags(markup: str) -> None:
    assert caption_of(f"<p>Begin {markup}</p>") == f"Begin {words_of(markup)}"


@given(st.lists(MARKUP, min_size=1, max_size=4))
def test_blocks_keep_their_words_apart(blocks: list[str]) -> None:
    blocks = ["Begin", *blocks]
    caption = caption_of("".join(f"<p>{block}</p>" for block in blocks))
    expected = [word for block in blocks for word in words_of(block).split()]
    assert len(caption.split()) == len(expected)
    assert all(found in (word, f"{word}.") for found, word in zip(caption.split(), expected, strict=True))


@given(st.lists(st.tuples(WORD.map(escape), st.integers(1, 5)), min_size=1, max_size=6))
def test_every_cross_reference_counts(parts: list[tuple[str, int]]) -> None:
    paragraph = (
        "Begin " + " ".join(f"({word} {xref(number, f'Fig. {number}')})" for word, number in parts) + " end"
    )
    assert set(mentions(paragraph)) >= {str(number) for _, number in parts}
