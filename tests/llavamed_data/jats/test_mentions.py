"""Which sentences mention which figure."""

import pytest

from tests.llavamed_data.jats.documents import fig, mentioned, mentions, read, xref

BIBR = '<xref ref-type="bibr" rid="B1">'


@pytest.mark.parametrize(
    ("paragraph", "numbers"),
    [
        # tagged
        (f"Seen in {xref(3, 'Figure 3')}.", [3]),
        (f"Seen in {xref(3, 'Fig. 3A')} (left).", [3]),
        (f"Seen in {xref('3 4', 'Figs. 3 and 4')}.", [3, 4]),
        (f"Seen in Figs. {xref(2, '2')} and {xref(4, '4')}.", [2, 4]),
        ('Seen in <xref rid="F3">the third</xref>.', [3]),
        (f"Seen in {xref(3, '<italic>Fig. 3</italic>')}.", [3]),
        ('Seen by <xref ref-type="bibr" rid="B3">3</xref>.', []),
        # ranges and lists of which only some have a cross-reference
        (f"See {xref('2 4', 'Figs. 2–4')}.", [2, 3, 4]),
        (f"See {xref(2, 'Figs. 2–4')}.", [2, 3, 4]),
        (f"See Figs. {xref(2, '2')}–{xref(4, '4')}.", [2, 3, 4]),
        (f"See {xref(2, 'Figs. 2')}-{xref(4, '4')}.", [2, 3, 4]),
        (f"See {xref(2, 'Figures 2A')} to {xref(4, '4C')}.", [2, 3, 4]),
        (f"See {xref(2, 'Fig. 2')} – {xref(5, 'Fig. 5')}.", [2, 3, 4, 5]),
        (f"See {xref(1, 'Figs. 1')}, {xref(3, '3–5')}.", [1, 3, 4, 5]),
        (f"See {xref(1, 'Figs. 1')}, 3 and {xref(5, '5')}.", [1, 3, 5]),
        (f"See {xref(1, 'Figures 1')} and 3.", [1, 3]),
        # untagged
        ("The mass (Fig. 3) grew.", [3]),
        ("The mass (fig 3) grew.", [3]),
        ("Figure 3 shows it.", [3]),
        ("See Figs. 2–4.", [2, 3, 4]),
        ("See Figures 2-4 here.", [2, 3, 4]),
        ("See Figs 2 to 4 here.", [2, 3, 4]),
        ("See Figs. 2A–4C here.", [2, 3, 4]),
        ("See Figs. 2 through 4 here.", [2, 3, 4]),
        ("See Figures 2, 3 and 5.", [2, 3, 5]),
        ("See Figures 1A, B and 4.", [1, 4]),
        ("See Fig. 3a–c.", [3]),
        ("See Fig. 3(a) and (b).", [3]),
        ("See Fig. 1A and Fig. 3B.", [1, 3]),
        ("See Fig. 2 and 3.", [2, 3]),
        ("In Fig. 2, 3 patients are seen.", [2]),
        ("In Fig. 2 and 3 patients it grew.", [2]),
        ("Fig.\n 3 shows it.", [3]),
        ("Figure\xa03 shows it.", [3]),
        # not this article's figure 3
        ("See Fig. S3.", []),
        ("See Figure S3 and Figs. S2–S4.", []),
        ("See Supplementary Fig. 3.", []),
        ("See Supplementary Figures 2 and 3.", []),
        ("See Supplemental Figure 3.", []),
        ("See Suppl. Fig. 3.", []),
        ("See the Supporting Information Figure 3.", []),
        ("See Additional file 1: Fig. 3.", []),
        ("See Additional file 1: Figure S3.", []),
        ("See Extended Data Fig. 3.", []),
        ("See Appendix Fig. 3.", []),
        ("See online Fig. 3.", []),
        ("See Fig. 3 in ref. 12.", []),
        ("See Fig. 3 of Smith et al.", []),
        ("See Figure 3 in [12].", []),
        ("See Figure 3 of Smith and Jones (2004).", []),
        ("See Figures 2 and 3 of Smith (2004).", []),
        ("It is known [12, Fig. 3].", []),
        ("It is known (Pilsbry, 1903: fig. 3).", []),
        ("It is known (ref. 12, Fig. 3).", []),
        ("See Figure 3 of the original paper.", []),
        ("It is wide [1: 293, fig. 4].", []),
        ("It is wide [12, p. 34, fig. 4].", []),
        ("It is wide [12:34–36, fig. 4].", []),
        ("It is wide (Pilsbry, 1903: 45, pl. 2, fig. 3).", []),
        ("It is wide ([26]: fig. 2A).", []),
        ("It is wide ([25], fig. 1N; [26], fig. 3H).", []),
        ("It is wide, as in [10], Fig. 2.", []),
        ("It is wide (see Fig. 1 in Ref. [10]).", []),
        ("It is wide (cf. Fig. 1 from Ref. 5).", []),
        ("It is wide, figure 5 of reference 3.", []),
        ("It is wide (Fig. 2 of the Supplementary Material).", []),
        ("It is wide (Fig. 2 in the online supplement).", []),
        ("It is wide (Fig. 2 in Additional file 1).", []),
        ("It is wide (Smith et al., Fig. 3).", []),
        ("It is wide (their Fig. 3).", []),
        ("It is wide (see Fig. 3 in their paper).", []),
        ("It is wide (Fig. 1 in (Smith et al., 2004)).", []),
        ("It is wide (Fig. 1 in our previous paper [12]).", []),
        ("It is wide (Fig. 1 from an earlier cohort study).", []),
        ("It is wide (Fig. 1 in Smith’s article).", []),
        ("It is wide (Fig. 3 of the paper by Smith).", []),
        ("It is wide (Fig. 3 in the study of Smith and Jones [12]).", []),
        ("It is wide (Fig. 3 in File S1).", []),
        ("It is wide (Fig. 3 in S1 Text).", []),
        ("It is wide (Fig. 3 (Supplementary Material)).", []),
        ("It is wide (see Figure 3, Supplemental Digital Content 1, which shows it).", []),
        ("It is wide (see Supplemental Digital Content 1, Figure 3).", []),
        ("It is wide, as in Smith et al.'s Figure 3.", []),
        ("It is wide, as in Smith and Jones’ Figure 3.", []),
        # nor where the publisher tags it, or the citation
        (f"It is wide ({xref(1, 'Fig 1')} in [73]).", []),
        (f"It is wide ({xref(1, 'Fig 1')}A,B in [73]).", []),
        (f"It is wide ([26]: fig. {xref(2, '2A')}).", []),
        (f"It is wide ([25], fig. {xref(1, '1N')}, {xref(1, 'O')}; {xref(3, 'Fig. 3')}).", [3]),
        (f"It is wide ({xref(1, 'Figs. 1')} and {xref(2, '2')} of Smith et al. 2010).", []),
        (f"It is wide (their {xref(1, 'Fig. 1')}).", []),
        (f"It is wide (see Fig. 5 in {BIBR}10</xref>).", []),
        (f"It is wide (see {xref(5, 'Fig. 5')} in {BIBR}10</xref>).", []),
        (f"It is wide (see {BIBR}Li et al., 2010</xref>, Fig. 4).", []),
        (f"It is wide ({BIBR}10</xref>, Fig. 4).", []),
        (f"It is wide ({xref(3, 'Fig. 3')} in our previous work {BIBR}10</xref>).", []),
        # this article's all the same
        ("As Smith et al. [10] found, and as in [10], Fig. 3 shows it.", [3]),
        (f"It is wide, as in [10], {xref(2, 'Fig. 2')} illustrates it.", [2]),
        ("It is wide (Fig. 3 from March 2010 and Fig. 4 of May 2011).", [3, 4]),
        ("It is wide (Fig. 3 in the previous section, Fig. 4 in S2 cells).", [3, 4]),
        ("It is wide (Fig. 3 in the study of HIV, Fig. 4 in a study group).", [3, 4]),
        (f"It is wide (Smith et al., 2004; {xref(1, 'Fig. 1')}).", [1]),
        (f"It is wide [12] ({xref(1, 'Fig. 1')}).", [1]),
        (f"It is wide [12], {xref(1, 'Fig. 1')}.", [1]),
        (f"{xref(1, 'Fig. 1')} of 10 patients and {xref(2, 'Fig. 2')} in Europe [12].", [1, 2]),
        ("The scan (Fig. 1) of [18F]FDG in Fig. 2.", [1, 2]),
        ("See Figure 3 in the liver.", [3]),
        # numbers that are no figure's
        ("They report in their first figure, 5,153 genes.", []),
        ("In the figure, 5 genes are shown.", []),
        ("In figure 5,153 genes are shown.", []),
        ("In Figs. 1 and 2, 5 patients are shown.", [1, 2]),
        ("See Figs. 1 and 2 and 3 here.", [1, 2, 3]),
        ("See Fig., 3 and (Fig, 4).", [3, 4]),
        ("See Figure 33.", []),
        ("The config 3 and Table 3.", []),
        ("See the figure.", []),
        ("See Table 3 and Scheme 3.", []),
    ],
)
def test_mentioned(paragraph: str, numbers: list[int]) -> None:
    assert mentioned(paragraph) == numbers


def test_a_sentence_counts_once_and_in_reading_order() -> None:
    found = mentions(
        f"First ({xref(1, 'Fig. 1A')}, {xref(1, 'B')}) and Fig. 1C. Nothing here. Second Fig. 2. "
        f"Third {xref(1, 'Fig. 1')}. First ({xref(1, 'Fig. 1A')}, {xref(1, 'B')}) and Fig. 1C."
    )
    assert found == {"1": ("First (Fig. 1A, B) and Fig. 1C.", "Third Fig. 1."), "2": ("Second Fig. 2.",)}


def test_a_cross_reference_that_begins_a_sentence_belongs_to_it() -> None:
    assert mentions(f"It grew. {xref(1, ' Figure 1')} shows it. It ended.") == {"1": ("Figure 1 shows it.",)}


def test_where_mentions_are_looked_for() -> None:
    article = read(
        f"<sec><title>Of Fig. 1</title><p>Body, Fig. 1.</p></sec>{fig(1)}"
        + fig(2, "<p>Caption, as in Fig. 1.</p>")
        + "<table-wrap><caption><p>Table of Fig. 1.</p></caption><table><tr><td><p>Cell, Fig. 1</p></td></tr></table>"
        "<table-wrap-foot><fn><p>Table note, Fig. 1.</p></fn></table-wrap-foot></table-wrap>"
        "<supplementary-material><caption><p>File for Fig. 1.</p></caption></supplementary-material>"
        "<boxed-text><p>Box, Fig. 1.</p></boxed-text>",
        abstract="<abstract><p>Abstract, Fig. 1.</p></abstract>",
        back="<ack><p>Thanks for Fig. 1.</p></ack><app-group><app><p>Apart, Fig. 1.</p></app></app-group>"
        "<fn-group><fn><p>Note, Fig. 1.</p></fn></fn-group>"
        "<ref-list><ref><mixed-citation>Ref, Fig. 1.</mixed-citation><note><p>Of Fig. 1.</p></note></ref></ref-list>",
    )
    assert article.figures[0].inline_mentions == (
        "Abstract, Fig. 1.", "Body, Fig. 1.", "Box, Fig. 1.", "Thanks for Fig. 1.", "Apart, Fig. 1.",
    )  # fmt: skip


def test_blocks_within_a_paragraph_are_read_apart_and_once() -> None:
    found = mentions(
        "Three stages (Fig. 1):<list><list-item><p>early, Fig. 2</p></list-item><list-item><p>late, Fig. 2</p>"
        "</list-item></list>then Fig. 3 <table-wrap><table><tr><td>Fig. 4</td></tr></table></table-wrap>ended."
        "<fn><p>Not Fig. 5.</p></fn>"
    )
    assert found == {
        "1": ("Three stages (Fig. 1):",),
        "2": ("early, Fig. 2", "late, Fig. 2"),
        "3": ("then Fig. 3 ended.",),
    }


def test_a_caption_inside_a_paragraph_is_no_mention() -> None:
    article = read(
        f"<p>Before Fig. 1.{fig(1, '<p>Caption of Fig. 1, like Fig. 2.</p>')}After Fig. 2.</p>{fig(2)}"
    )
    assert [figure.inline_mentions for figure in article.figures] == [("Before Fig. 1.",), ("After Fig. 2.",)]


def test_formulae_and_breaks_in_sentences() -> None:
    assert mentions(
        "Where<break/>p <inline-formula><tex-math>$\\le$</tex-math></inline-formula> 0.05 (Fig. 1)."
    ) == {"1": ("Where p ≤ 0.05 (Fig. 1).",)}


def test_a_reference_that_stands_alone_is_no_sentence() -> None:
    assert mentions(
        "<list><list-item><p>Fig. 1A–C</p></list-item><list-item><p>Liver, Fig. 2</p></list-item></list>"
    ) == {"2": ("Liver, Fig. 2",)}


def test_sub_articles_have_figures_of_their_own() -> None:
    article = read(
        f"<p>Main Fig. 1.</p>{fig(1)}{fig(2)}",
        after='<sub-article><body><p>Own Figure 1 here. Main <xref ref-type="fig" rid="F2">Figure 2</xref> there. '
        f"Unclear Figure 2 too.</p>{fig(1)}</body></sub-article>",
    )
    main, second, own = article.figures
    assert main.inline_mentions == ("Main Fig. 1.",)
    assert second.inline_mentions == ("Main Figure 2 there.",)
    assert own.inline_mentions == ("Own Figure 1 here.",)


@pytest.mark.parametrize(
    ("label", "mention", "other"),
    [
        ("Abb. 1", "Siehe Abbildung 1.", "Siehe Tabelle 1."),
        ("Figura 1", "Véase la Figura 1.", "Véase la Tabla 1."),
        ("Scheme 1", "See Scheme 1.", "See Figure 1."),
        ("FIG. 1", "See FIG. 1.", "See TABLE 1."),
        ("Plate 1", "See Plates 1–3.", "See Fig. 1."),
        ("Figure S1", "See Figure S1.", "See Figure 1."),
        ("Supplementary Figure 1", "See Suppl. Fig. 1.", "See Fig. 1."),
        ("Extended Data Figure 1", "See Extended Data Fig. 1.", "See Fig. 1."),
        ("Figure A1", "See Fig. A1.", "See Fig. 1."),
        ("Figure 2—figure supplement 1", "See Figure 2—figure supplement 1B.", "See Figure 2."),
        ("Figures 1–3", "See Figure 2.", "See Figure 4."),
    ],
)
def test_series_and_families_of_labels(label: str, mention: str, other: str) -> None:
    article = read(f"<p>{other} {mention}</p>" + fig(1, label=label))
    assert article.figures[0].inline_mentions == (mention,)


def test_a_figure_without_a_number_is_mentioned_by_cross_reference_alone() -> None:
    article = read(
        f"<p>Seen ({xref(1, 'Figure')}). Another figure. Figure 1 too.</p>" + fig(1, label="Figure")
    )
    assert article.figures[0].inline_mentions == ("Seen (Figure).",)
