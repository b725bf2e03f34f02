"""Root verbs and direct nouns, against those that the LLaVA-Med authors published of their own instructions."""

import csv
import gzip
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.stats.verb_noun import count_verb_nouns, first_sentence, load_parser, most_frequent

if TYPE_CHECKING:
    from spacy.language import Language

pytest.importorskip("spacy", reason="needs the extra [stats]")


@pytest.fixture(scope="module")
def parser() -> "Language":
    return load_parser()


@pytest.mark.parametrize(
    ("text", "verb", "noun"),
    [
        ("Describe the appearance of the tumour.", "describe", "appearance"),
        ("Can you describe the key components of the sub-figure (f)?", "describe", "component"),
        ("Finally, can you describe the sub-figure?", "describe", "subfigure"),
        ("And what information does the scan provide?", "provide", "information"),
        ("The image displays a gross specimen of the liver.", "display", "specimen"),
        ("The image shows several tissue specimens.", "show", "specimen"),
        ("It narrows the lumen.", "narrow", "lumen"),
        ("What can you tell me about the inflammation?", "tell", ""),
        ("Are there any leads visible in the image?", "", ""),
        ("No.", "", ""),
        ("", "", ""),
    ],
)
def test_verb_and_noun_of_a_sentence(parser: "Language", text: str, verb: str, noun: str) -> None:
    assert count_verb_nouns({text: 3}, parser) == {(verb, noun): 3}


def released(path: Path, rows: int) -> list[tuple[str, str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))[:rows]
    return [(line["seq"], line["verb"], line["noun"]) for line in lines]


def test_most_of_the_released_10k_instructions_come_out_as_published(
    parser: "Language", shared_data: Path
) -> None:
    lines = released(shared_data / "verb_noun" / "instruct_10K_instruction_verb_noun.csv.gz", 1_000)
    alike = {"verb": 0, "both": 0}
    ours, theirs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for text, verb, noun in lines:
        ((found, _),) = count_verb_nouns({first_sentence(text): 1}, parser).items()
        wanted = (verb, "subfigure" if noun in ("sub", "-") else noun)  # their parser cut "sub-figure" in two
        alike["verb"] += found[0] == verb
        alike["both"] += found == wanted
        ours[found] += 1
        theirs[wanted] += 1
    assert alike["verb"] >= 0.94 * len(lines)
    assert alike["both"] >= 0.91 * len(lines)
    ranked = [[phrase for phrase, _ in counts.most_common() if all(phrase)][:6] for counts in (ours, theirs)]
    assert ranked[0] == ranked[1]


def test_the_alignment_prompts_come_out_as_published(parser: "Language", shared_data: Path) -> None:
    lines = released(shared_data / "verb_noun" / "pretrain_instruction_verb_noun.csv.gz", 100)
    assert len(lines) == 27
    wanted = Counter((verb, noun) for _, verb, noun in lines)
    assert count_verb_nouns(Counter(first_sentence(text) for text, _, _ in lines), parser) == wanted


def test_only_the_first_sentence_counts() -> None:
    assert (
        first_sentence("This is Fig. 2 of the\nreport. It shows a cyst.") == "This is Fig. 2 of the report."
    )
    assert first_sentence(" \n ") == ""
    assert len(first_sentence("word " * 10_000)) == 1_000


def test_two_processes_count_what_one_does(parser: "Language") -> None:
    texts = {f"Describe the lesion {number} of the liver.": 1 + number % 3 for number in range(4_100)}
    assert count_verb_nouns(texts, parser, processes=2) == {("describe", "lesion"): sum(texts.values())}


def test_the_most_frequent_first_and_ties_by_the_alphabet() -> None:
    whole = {("show", "cyst"): 2, ("show", "bone"): 2, ("see", "cyst"): 4, ("use", "it"): 1}
    counts = {**whole, ("see", ""): 9, ("", ""): 9}
    assert most_frequent(counts, verbs=2, nouns=1) == {"see": {"cyst": 4}, "show": {"bone": 2}}
    assert list(most_frequent(counts)) == ["see", "show", "use"]


def test_without_spacy_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(
        LlavaMedError,
        match=r"^verbs and nouns need spaCy: pip install 'llavamed-data\[stats\]', or .*--no-verbs$",
    ):
        load_parser()


def test_an_unknown_spacy_model_is_an_error() -> None:
    with pytest.raises(UsageError, match="spaCy finds no model 'xx_no_such': name an installed one"):
        load_parser("xx_no_such")
