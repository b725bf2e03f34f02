"""Where sentences end. The expected splits are written with `|` between sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.jats.sentences import sentences_at, split_sentences

TEXTS = [
    "The mass is seen in Fig. 3 and in Figs. 2 and 4.| It is large.",
    "The mass (see Fig. 3.) is large.| It grew.",
    "As Smith et al. reported, it grew.| Later it shrank.",
    "This was reported by Smith et al. The mass | x".replace("al. The", "al.| The").replace(" | x", " grew."),
    "Lesions, i.e. masses, e.g. cysts, were seen.| None grew.",
    "Growth of E. coli and S. aureus was slow.| B. subtilis grew.",
    "The dose was 0.5 mg vs. 1.5 mg.| No effect.",
    "Dr. Jones saw No. 3 on p. 12 of vol. 2.| He agreed.",
    "It took approx. 5 min. and ca. 3 h.| Then it ended.",
    "After 5 min. The cells were washed".replace("min. The", "min.| The"),
    "J. M. Smith and A.-B. Jones wrote it.| They agreed.",
    "It causes disease.12 The patient".replace(".12 The", ".12| The"),
    "It causes disease.12,13–15 The patient".replace("15 The", "15| The"),
    "It causes disease.[12] The patient".replace("] The", "]| The"),
    "It causes disease. [12, 13] The patient".replace("] The", "]| The"),
    "The value was 2.5 Then".replace("| ", ""),
    "He said “it grew.” Then it shrank.".replace("” Then", "”| Then"),
    "Did it grow? Yes! It did.".replace("? Yes! It", "?| Yes!| It"),
    "It grew... and shrank.| Then it grew.",
    "It grew (data not shown. See the table) and shrank.| End.",
    "Masses were seen. (Fig. 3).| They grew.",
    "mRNA rose.| p53 fell.| miR-21 did not.| α-SMA rose.",
    "It lacked vitamin C. Figure 3 shows it.".replace("C. Fig", "C.| Fig"),
    "1. Patients were old.| 2. Controls were young.",
    "They are shown in Fig. 1.| Patients were old.",
    "It grew in the U.S. market.| It ended at 5 p.m. The cells".replace("p.m. The", "p.m.| The"),
    "S. typhi sp. nov. was found.| X",
    # a dash, a slash or the like before an abbreviation
    "It was drawn without a projection –Fig. 1.| In addition, it grew.",
    "It was drawn without a projection–Fig. 1 and so on.| It grew.",
    "It is shown in text-Fig. 2 and Table 1/Fig. 3.| It grew.",
    # a reference in brackets belongs to the sentence before
    "It runs up to the next one. (See Fig 3)| Dialog extraction follows.",
    "It runs up to the next one. (see also Figs. 3 and 4).| Dialog extraction follows.",
    "It runs up to the next one. [Table 2]| Dialog extraction follows.",
    "It runs up to the next one. (cf. Suppl. Fig. 2)",
    "It runs up to the next one. (Please see Fig. 2)| Dialog extraction follows.",
    "It runs up to the next one. (Refer Fig. 2)| Dialog extraction follows.",
    "It runs up to the next one. (As seen in Fig. 2)| Dialog extraction follows.",
    "It runs up to the next one.(Fig. 2)| Dialog extraction follows.",
    "It grew.| (In Fig. 2 it is small.)| Then it shrank.",
    "It grew.| (Patients were old.)| Then it shrank.",
    "It has a value of 0.89 (Fig. 1).| The group is large.",
    "It grew by 5 mm approx. (Fig. 1).| Mice were old.",
    "It grew.| (In one case (a man of 80) it is in Fig. 5H.)| Patients were old.",
    # acronyms are no abbreviations
    "Figure 6 tests areas V1 and MT.| The value is 0.42.",
    "It is rich in CA.| Patients had EXT.| Mice had MS.| Tissue was cut.",
    "It was typed for HLA-DR.| Patients had MR.| It grew after DR.| It shrank.",
    "As in FIG. 3 and Mt. Fuji, it grew.| End.",
    # units after a number
    "It took 24 hr. Paraoxon had no effect".replace("hr. P", "hr.| P"),
    "It came after 200 ms. Prior to that it did not".replace("ms. P", "ms.| P"),
    "It took 24 h. Paraoxon had no effect".replace("h. P", "h.| P"),
    "They drank 2 L. Urine was kept".replace("L. U", "L.| U"),
    "It came from Ms. Prior, in 5 E. Coli plates.| End.",
    # an abbreviation in brackets
    "Lejeunea angusta (Lehm. & Lindenb.) Mont. and others (Benth.) Kuntze were cited.| End.",
    "It grew (Lehm. & Lindenb.) The end was near".replace(") The", ")| The"),
    "It grew (data not shown.) Mice were old.".replace(") Mice", ")| Mice"),
    "It grew (Fig. 3.) Mice were old.".replace(") Mice", ")| Mice"),
    "It causes disease.¹² The patient".replace("² The", "²| The"),
    "One sentence without an end",
]


@pytest.mark.parametrize("marked", TEXTS)
def test_sentences_end_where_a_reader_ends_them(marked: str) -> None:
    expected = [sentence.strip() for sentence in marked.split("|")]
    assert split_sentences(marked.replace("|", "")) == expected


def test_no_text_has_no_sentences() -> None:
    assert split_sentences("") == []
    assert split_sentences(" ") == []


PIECES = st.sampled_from(
    ["Fig.", "Fig. 3.", "et al.", "E.", "coli", "The", "mass", "0.5", "mg.", "(see", "x).", "Dr.", "grew?", "“So.”",
     "No.", "3", "disease.12", "It", "...", "i.e.", "p53", "[12]", "!", ")", "(", "U.S.", "1."]
)  # fmt: skip


@given(st.lists(PIECES, max_size=200).map(" ".join))
def test_splitting_loses_no_word(text: str) -> None:
    assert " ".join(split_sentences(text)) == text


@given(st.text())
def test_splitting_loses_no_character(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@given(st.lists(PIECES, min_size=1, max_size=300).map(" ".join), st.data())
def test_the_sentence_at_an_offset_is_the_one_that_splitting_gives(text: str, data: st.DataObject) -> None:
    sentences, starts, position = split_sentences(text), [], 0
    for sentence in sentences:
        position = text.index(sentence, position)
        starts.append(position)
        position += len(sentence)
    chosen = sorted(data.draw(st.lists(st.integers(0, len(sentences) - 1), min_size=1, max_size=5)))
    offsets = [starts[index] + data.draw(st.integers(0, len(sentences[index]) - 1)) for index in chosen]
    assert sentences_at(text, sorted(offsets)) == [sentences[index] for index in chosen]
