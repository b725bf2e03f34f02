"""Checks beyond the paper drop repeated questions, and facts that no image shows."""

import pytest

from llavamed_data.instruct import Pair, QualityChecks
from llavamed_data.instruct.quality import unseen_facts, without_near_duplicates

PAIR = Pair(
    "1_F1", "Figure 1", "MRI of a 43-year-old man in 2009 (n = 12, p < 0.05) after 20 mg.", ("Dr. Lee saw it.",), None
)  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("What is shown in the image?", "What is shown in the image?", True),
        ("Where is the mass located?", "Can you tell me where the mass is located in this image?", True),
        ("Is there a pleural effusion?", "Is any pleural effusion seen?", True),
        ("Is the left lung clear?", "Is the right lung clear?", False),
        ("What organ is this?", "What colour is the mass?", False),
        ("Where is the mass?", "How large is the mass?", False),
    ],
)
def test_questions_that_ask_the_same_are_one(first: str, second: str, same: bool) -> None:
    turns = [(first, "a"), (second, "b")]
    assert without_near_duplicates(turns) == tuple(turns[:1] if same else turns)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("The patient is a 43 year old man.", ["43 year old"]),
        ("It was taken in 2009.", ["2009"]),
        ("It was taken in 2010.", []),
        ("There were n=12 cases with p < 0.05.", ["n=12", "p < 0.05"]),
        ("After 20 mg it shrank, as Dr. Lee saw.", ["20 mg", "Dr. Lee"]),
        ("There are two lesions of 3 cm in the L4 vertebra.", []),
    ],
)
def test_facts_that_no_image_shows_are_found_where_the_text_has_them(answer: str, found: list[str]) -> None:
    assert unseen_facts(answer, f"{PAIR.caption} {PAIR.inline_mentions[0]}") == found


def test_checks_are_switches() -> None:
    turns = (("What?", "A man of 43 years, a 43-year-old."), ("What?", "A lung."), ("Which side?", "Left."))
    off = QualityChecks(drop_near_duplicates=False)
    assert off.apply(turns, PAIR, mentions=True) == (turns, {})
    assert QualityChecks().apply(turns, PAIR, mentions=True) == (turns[::2], {"near_duplicate_question": 1})
    both = QualityChecks(drop_unseen_facts=True)
    assert both.apply(turns, PAIR, mentions=True) == (
        turns[2:], {"near_duplicate_question": 1, "unseen_fact": 1},
    )  # fmt: skip
