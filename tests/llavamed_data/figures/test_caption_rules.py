"""The filter over caption rules saves time and nothing else: no rule is kept from a text that it matches."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llavamed_data.figures.caption_rules import READ_CHARACTERS, RuleFilter, normalise_caption
from llavamed_data.figures.domains import DOMAIN_TABLE
from llavamed_data.figures.panel_marks import _LETTER_B, PANEL_MARKS
from tests.llavamed_data.figures.test_domains import NOT_SHOWN, SHOWN
from tests.llavamed_data.figures.test_panel_marks import COMPOUND, SINGLE


def test_words_are_found_anywhere_and_rules_come_in_order() -> None:
    rules = RuleFilter(
        [("ct", ["tomogra", "CT"]), ("chest", ["chest", "thora"]), ("any", []), ("mri", ["MRI"])]
    )
    assert rules.candidates("MRI of the Thoracic spine") == ["chest", "any", "mri"]
    assert rules.candidates("Tomography") == ["ct", "any"]
    assert rules.candidates("") == ["any"]


def test_words_with_capitals_are_found_only_as_written() -> None:
    rules = RuleFilter([("HE", ["HE"]), ("he", ["he"])])
    assert rules.candidates("The HE stain") == ["HE", "he"]
    assert rules.candidates("The stain") == ["he"]


def test_words_that_overlap_are_all_found() -> None:
    rules = RuleFilter([("whole", ["microscopic"]), ("part", ["scop"]), ("end", ["copic"])])
    assert rules.candidates("macroscopic, microscopic") == ["whole", "part", "end"]


def test_half_a_surrogate_pair_is_like_any_other_character() -> None:
    assert RuleFilter([("chest", ["chest"])]).candidates("\ud800 Chest \udfff") == ["chest"]


def test_a_caption_is_normalised_to_single_spaces_and_plain_characters() -> None:
    assert normalise_caption("Chest\n  X–ray\u2009(PA) ", {"–": "-"}) == "Chest X-ray (PA)"
    assert len(normalise_caption("x" * 10**6, {})) == READ_CHARACTERS


def _expressions() -> Iterator[tuple[str, RuleFilter[object], object, re.Pattern[str]]]:
    """Every filter of the two tables with each of its rules and the expression of the rule."""
    table = DOMAIN_TABLE
    for name in ("rules", "glossary", "drawn", "plotted"):
        rules = getattr(table, name)
        for rule in rules:
            yield name, rules, rule, rule.says if name == "rules" else rule
    for mark in PANEL_MARKS.others:
        yield "panel marks", PANEL_MARKS.others, mark, mark.says


EXPRESSIONS = list(_expressions())


def test_every_table_is_filtered() -> None:
    assert len(EXPRESSIONS) > 60


@pytest.mark.parametrize(
    ("rules", "rule", "says"), [entry[1:] for entry in EXPRESSIONS], ids=[entry[0] for entry in EXPRESSIONS]
)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_no_rule_is_kept_from_a_text_made_to_match_it(
    rules: RuleFilter[object], rule: object, says: re.Pattern[str], data: st.DataObject
) -> None:
    text = normalise_caption(data.draw(st.from_regex(says)), {})
    assert rule in rules.candidates(text) or not says.search(text)


def test_no_rule_is_kept_from_a_caption_that_it_matches(shared_data: Path) -> None:
    lines = (shared_data / "captions_labelled.jsonl").read_text("utf-8").splitlines()
    captions = [json.loads(line)["caption"] for line in lines]
    captions += [
        *NOT_SHOWN.values(),
        *COMPOUND,
        *SINGLE,
        *(caption for some in SHOWN.values() for caption in some),
    ]
    table = DOMAIN_TABLE
    for caption in captions:
        text = normalise_caption(caption, {})
        for part in (text, *table.clauses(text)):
            for _, rules, rule, says in EXPRESSIONS:
                assert rule in rules.candidates(part) or not says.search(part), (says.pattern, part)


@given(st.from_regex(r"[(\[;,.:]? ?[bB][)\]:;,. ]") | st.sampled_from([*COMPOUND, *SINGLE]))
@settings(deadline=None)
def test_marks_of_one_letter_need_a_letter_alone(caption: str) -> None:
    found = {letter for mark in PANEL_MARKS.letters for letter in mark.says.findall(f". {caption}")}
    assert _LETTER_B.search(f". {caption}") or not found & {"b", "B"}
