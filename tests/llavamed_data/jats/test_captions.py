"""What a caption says, on one line, whatever markup it is in."""

import pytest

from tests.llavamed_data.jats.documents import caption_of, fig, only, read, xref

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
        (
            "<p>Real.</p><p><bold>DOI:</bold> <ext-link>http://dx.doi.org/10.7554/x.003</ext-link></p>",
            "Real.",
        ),
        ("<p>Real.</p><p>https://doi.org/10.7554/x.003</p>", "Real."),
        ("<p>Real. <bold>DOI:</bold> <ext-link>https://doi.org/10.7554/x.003</ext-link></p>", "Real."),
        ("<p>Real.</p><p>(DOI: 10.7554/x.003)</p>", "Real."),
        ("<p>Real. [doi:10.7554/x.003]</p>", "Real."),
        ("<p>Real.<bold>DOI:</bold> http://dx.doi.org/10.7554/x.003</p>", "Real."),
        (
            "<p>Data are there: http://dx.doi.org/10.5281/x.1</p>",
            "Data are there: http://dx.doi.org/10.5281/x.1",
        ),
        (
            "<p>Data are at https://doi.org/10.5281/zenodo.1</p>",
            "Data are at https://doi.org/10.5281/zenodo.1",
        ),
        # text outside paragraphs
        ('A <italic>healthy</italic> man, <xref ref-type="bibr" rid="r1">[1]</xref>.', "A healthy man, [1]."),
        ("<title>Chest CT</title>of a man<bold>,</bold> old.", "Chest CT. of a man, old."),
        ("<bold>Chest CT</bold> of a man<p>A mass.</p>after it", "Chest CT of a man. A mass. after it"),
        ("<bold>Chest CT</bold>", "Chest CT"),
        ("<object-id>x1</object-id><p>Mass.</p>", "Mass."),
        # punctuation between blocks and in front
        ("<title>Structure of X</title><p>. a) Ribbon view.</p>", "Structure of X. a) Ribbon view."),
        ("<title>Structure of X.</title><p>. a) Ribbon view.</p>", "Structure of X. a) Ribbon view."),
        ("<title>A girdle. pip</title><p>, posterior process.</p>", "A girdle. pip, posterior process."),
        ("<title>A girdle</title><p>: front view.</p>", "A girdle: front view."),
        ("<title>A girdle?</title><p>.</p>", "A girdle?"),
        ("<title>A girdle</title><p>– front view.</p>", "A girdle – front view."),
        ("<title>A girdle –</title><p>front view.</p>", "A girdle – front view."),
        ("<p>: agarose gel.</p>", "agarose gel."),
        ("<p>- Seven steps.</p>", "Seven steps."),
        ("<title>.</title><p>– Seven steps.</p>", "Seven steps."),
        ("<p>| . Seven steps.</p>", "Seven steps."),
        ("<p>• Seven steps.</p>", "Seven steps."),
        ("<p>-- Seven steps.</p>", "Seven steps."),
        ("<p>‐ seven steps.</p>", "seven steps."),
        ("<p>− 5 °C</p>", "− 5 °C"),
        ("<p>-/- mice, - / - mice</p>", "-/- mice, - / - mice"),
        ("<p>−5 °C, .5 mm</p>", "−5 °C, .5 mm"),
        ("<p>-5 °C</p>", "-5 °C"),
        ("<p>.5 mm</p>", ".5 mm"),
        ("<p>... and so on</p>", "... and so on"),
        ("<p>. </p>", ""),
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


def test_a_paragraph_of_the_figure_is_its_caption_where_it_has_no_other() -> None:
    without, beside = read(
        '<fig id="F1"><label>Figure 1</label><title>CT</title><p>of a man</p><graphic xlink:href="a"/></fig>'
        '<fig id="F2"><caption><p>CT.</p></caption><p>Source: us.</p><graphic xlink:href="b"/></fig>'
    ).figures
    assert (without.caption, beside.caption) == ("CT. of a man", "CT.")


def test_a_caption_on_the_graphic_of_a_figure_is_the_figure_s() -> None:
    labelled, both = read(
        '<fig id="F1"><graphic xlink:href="a"><label>Figure 1.</label><caption><title>CT.</title><p>A mass.</p>'
        "</caption></graphic></fig>"
        '<fig id="F2"><label>Figure 2</label><caption><p>Scans.</p></caption>'
        '<alternatives><graphic xlink:href="b"><caption><p>A CT.</p></caption></graphic></alternatives></fig>'
    ).figures
    assert (labelled.label, labelled.caption) == ("Figure 1", "CT. A mass.")
    assert (both.label, both.caption, both.graphics) == ("Figure 2", "Scans. A CT.", ("b",))


def test_graphics_of_a_figure_that_have_captions_each_are_figures_of_a_group() -> None:
    article = read(
        f"<p>It grew ({xref(3, 'Figure 3')}).</p>"
        '<fig id="F3"><label>Figure 3</label><caption><p>Scans.</p></caption>'
        '<graphic id="g1" xlink:href="a"><label>(a)</label><caption><p>CT before.</p></caption></graphic>'
        '<graphic xlink:href="b"><label>(b)</label><caption><p>CT after.</p></caption></graphic></fig>'
    )
    first, second = article.figures
    assert (first.figure_id, first.label, first.caption, first.graphics) == (
        "g1",
        "Figure 3 (a)",
        "CT before.",
        ("a",),
    )
    assert (second.label, second.caption, second.graphics) == ("Figure 3 (b)", "CT after.", ("b",))
    assert first.inline_mentions == second.inline_mentions == ("It grew (Figure 3).",)
    assert not first.shares_caption
    assert not second.shares_caption


def test_alternatives_that_repeat_a_caption_are_one_image_with_one() -> None:
    inside, outside = read(
        '<fig id="F1"><label>Figure 1</label><alternatives>'
        '<graphic xlink:href="a.tif"><caption><p>A CT.</p></caption></graphic>'
        '<graphic xlink:href="a.jpg"><caption><p>A CT.</p></caption></graphic></alternatives></fig>'
        '<p><alternatives><graphic xlink:href="b.tif"><caption><p>An MRI.</p></caption></graphic>'
        '<graphic xlink:href="b.jpg"><caption><p>An MRI.</p></caption></graphic></alternatives></p>'
    ).figures
    assert (inside.label, inside.caption, inside.graphics) == ("Figure 1", "A CT.", ("a.jpg",))
    assert (outside.caption, outside.graphics) == ("An MRI.", ("b.jpg",))


def test_a_number_on_the_graphic_names_the_figure() -> None:
    figure = only(
        read(
            "<p>The mass grew (Fig. 1).</p>"
            '<fig id="X"><graphic xlink:href="a"><label>Fig. 1.</label></graphic><caption><p>CT.</p></caption></fig>'
        )
    )
    assert (figure.label, figure.caption) == ("Fig. 1", "CT.")
    assert figure.inline_mentions == ("The mass grew (Fig. 1).",)


def test_a_group_of_bare_graphics_is_a_figure_of_several_images() -> None:
    figure = only(
        read(
            '<fig-group id="G"><label>Figure 1</label><caption><p>Scans.</p></caption>'
            '<graphic xlink:href="a"/><graphic xlink:href="b"/></fig-group>'
        )
    )
    assert (figure.figure_id, figure.caption, figure.graphics) == ("G", "Scans.", ("a", "b"))
    assert figure.shares_caption


def test_a_graphic_with_a_caption_outside_of_figures_is_a_figure() -> None:
    article = read(
        '<p>Waves are in Figure 1 <graphic id="W" xlink:href="w.png"><label>Figure 1</label><caption><p>Brain waves</p>'
        "</caption></graphic> of all.</p>"
        '<table-wrap><graphic xlink:href="t"><caption><p>A table</p></caption></graphic></table-wrap>'
    )
    figure = only(article)
    assert (figure.figure_id, figure.label, figure.caption) == ("W", "Figure 1", "Brain waves")
    assert figure.graphics == ("w.png",)
    assert figure.inline_mentions == ("Waves are in Figure 1 of all.",)
