"""Tokenised sentences read as written again, and nothing but blanks is changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.sources.released import detokenise


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("in the vicinity ( Fig. 3 , 4 , 5 ) .", "in the vicinity (Fig. 3, 4, 5)."),
        ("in the PFC [ 77-85 ] ( figure 3 ) .", "in the PFC [77-85] (figure 3)."),
        ("14 ( 30 % ) had a score of ≥1 ; the rest", "14 (30%) had a score of ≥1; the rest"),
        ("the left iliac artery 's diameter", "the left iliac artery's diameter"),
        ("It did n't , and we 've seen", "It didn't, and we've seen"),
        ("the SAHA-DDP / PECE group", "the SAHA-DDP/PECE group"),
        ("CD20 + / PAX-5 + B cells", "CD20 + / PAX-5 + B cells"),
        ("( right : 29 mm , left : 30 mm )", "(right: 29 mm, left: 30 mm)"),
        ("( p = 0.0005 ) and P < .05 .", "(p = 0.0005) and P < .05."),
        ("Figs. 2 – 4 show - as said - 3 - 2", "Figs. 2–4 show - as said - 3 - 2"),
        ('a " halo sign " and " ring " .', 'a "halo sign" and "ring".'),
        ("a `` halo sign '' .", "a “halo sign”."),
        ("a “ halo sign ” .", "a “halo sign”."),
        ("2.5 × 1.5 cm", "2.5 × 1.5 cm"),
        ("3 ) , AC and SCC", "3), AC and SCC"),
        ("Already written (Fig. 3).", "Already written (Fig. 3)."),
        ("", ""),
    ],
)
def test_blanks_of_the_tokeniser_are_removed(tokens: str, sentence: str) -> None:
    assert detokenise(tokens) == sentence


words = st.lists(st.text("ab01.,;:%()[]{}/–-'’“”\"s", min_size=1, max_size=4), max_size=15)


@given(words)
def test_only_blanks_change(tokens: list[str]) -> None:
    if "''" not in tokens:
        assert detokenise(" ".join(tokens)).replace(" ", "") == "".join(tokens)
