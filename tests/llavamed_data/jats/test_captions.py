"""What a caption says, on one line, whatever markup it is in."""

import pytest

from tests.llavamed_data.jats.documents import caption_of, fig, only, read

MATH = "<mml:math><mml:mi>α</mml:mi><mml:mo>=</mml:mo><mml:mn>0.05</mml:mn></mml:math>"
TEX = (
    r"<tex-math>\documentclass[12pt]{minimal}\usepackage{amsmath}\setlength{\oddsidemargin}{-69pt}"
    r"\begin{document}$$\alpha = 0.05$$\end{document}</tex-math>"
)


@pytest.mark.parametrize(
    ("markup", "caption"),
    [
        ("<p>Chest radiograph.</p>", "Chest radiograph."),
        ("<title>Chest radiograph</title><p>Note the mass.</p>", "Chest radiograph. Note the mass."),
        ("<title>Chest radiograph.</title><p>Note the mass.</p>", "Chest radiograph. Note the mass."),
        ("<title>A mass?</title><p>Note.</p>", "A mass? Note."),
        ("<title>Findings:</title><p>a mass</p>", "Findings: a mass"),
        ("<title>Mass (arrow)</title><p>Note.</p>", "Mass (arrow). Note."),
        ("<title>The “mass.”</title><p>Note.</p>", "The “mass.” Note."),
        ("<p>One.</p><p>Two</p><p>Three</p>", "One. Two. Three"),
        ("<title/><p>Alone.</p>", "Alone."),
        ("", ""),
        ("<title> \n </title><p>\n\tA\n\t  <bold>B</bold>\xa0C\u2009D\n</p>", "A B C D"),
        ("<p>10<sup>−3</sup> mm<sub>2</sub> of <italic>E. coli</italic></p>", "10⁻³ mm₂ of E. coli"),
        ("<p>one<break/>two</p>", "one two"),
        (
            '<p>See <xref ref-type="fig" rid="F2">Fig. 2</xref> and <ext-link>this</ext-link>.</p>',
            "See Fig. 2 and this.",
        ),
        (
            "<p>Stages:<list><list-item><label>a</label><p>early</p></list-item><list-item><p>late</p></list-item></list>end</p>",
            "Stages: a early late end",
        ),
        (
            "<title>T.</title><list><list-item><p>one</p></list-item><list-item><p>two</p></list-item></list>",
            "T. one two",
        ),
        ("<p>Real.</p><p><ext-link>doi:10.1371/journal.pone.0001.g001</ext-link></p>", "Real."),
        ("<p>Ash &amp; oak, p &lt; 0.05, &#181;m</p>", "Ash & oak, p < 0.05, µm"),
        ("<p>before<fn><p>a footnote</p></fn> after</p>", "before after"),
        ("<p>a<!-- comment --><?pi x?>b</p>", "ab"),
        ("bare text", "bare text"),
    ],
)
def test_caption(markup: str, caption: str) -> None:
    assert caption_of(markup) == caption


@pytest.mark.parametrize(
    ("formula", "reading"),
    [
        (
            f"<inline-formula><alternatives>{TEX}{MATH}<inline-graphic/></alternatives></inline-formula>",
            "α=0.05",
        ),
        (
            f"<inline-formula><alternatives><inline-graphic/>{MATH}{TEX}</alternatives></inline-formula>",
            "α=0.05",
        ),
        (f"<inline-formula>{MATH}{TEX}</inline-formula>", "α=0.05"),
        (f"<inline-formula>{MATH}</inline-formula>", "α=0.05"),
        (f"<inline-formula><alternatives>{TEX}<graphic/></alternatives></inline-formula>", "α = 0.05"),
        (f"<inline-formula>{TEX}</inline-formula>", "α = 0.05"),
        (r"<tex-math>$\frac{a}{b} \le 10^{-3}\,\mathrm{mm}$</tex-math>", "a/b ≤ 10⁻³ mm"),
        (r"<tex-math>\upbeta_{1} \pm 5\%</tex-math>", "β₁ ± 5%"),
        ("<mml:math><mml:mfrac><mml:mi>a</mml:mi><mml:mi>b</mml:mi></mml:mfrac></mml:math>", "a/b"),
        ("<mml:math><mml:msup><mml:mi>R</mml:mi><mml:mn>2</mml:mn></mml:msup></mml:math>", "R²"),
        (
            "<mml:math>\n <mml:mi> p </mml:mi>\n <mml:mo>&lt;</mml:mo>\n <mml:mn>1</mml:mn>\n</mml:math>",
            "p<1",
        ),
        (
            "<mml:math><mml:semantics><mml:mi>x</mml:mi><mml:annotation>$x$</mml:annotation></mml:semantics></mml:math>",
            "x",
        ),
        (f"<disp-formula>{MATH}</disp-formula>", " α=0.05 "),
    ],
)
def test_a_formula_is_read_once(formula: str, reading: str) -> None:
    assert caption_of(f"<p>where ({formula}) holds</p>") == " ".join(f"where ({reading}) holds".split())


def test_what_stands_beside_the_caption_is_not_in_it() -> None:
    figure = only(
        read(
            '<fig id="F1"><object-id pub-id-type="doi">10.1371/x.g001</object-id><label>Figure 1</label>'
            '<caption><title>Mass</title></caption><graphic xlink:href="g"/><attrib>Photo: A. B.</attrib>'
            "<permissions><copyright-statement>© 2004</copyright-statement></permissions></fig>"
        )
    )
    assert figure.caption == "Mass"


def test_a_caption_set_as_label_is_the_caption() -> None:
    long = "Maximum likelihood tree of complete E gene sequences constructed with 1,000 replications"
    figure = only(read(fig(1, label=long)))
    assert (figure.label, figure.caption) == ("", long)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Figure 3", "Figure 3"),
        ("Fig. 3.", "Fig. 3"),
        ("Fig 3", "Fig 3"),
        ("FIGURE 3:", "FIGURE 3"),
        ("<bold>Figure\n 3.</bold> ", "Figure 3"),
        ("Abb. 3", "Abb. 3"),
        ("Figura 3", "Figura 3"),
        ("", ""),
    ],
)
def test_label(written: str, label: str) -> None:
    assert only(read(fig(3, "<p>x</p>", label=written))).label == label
