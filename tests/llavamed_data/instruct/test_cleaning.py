"""Cleaning leaves nothing that betrays the text, and leaves sentences whole."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.instruct.cleaning import Rule, clean, leaks, rules

QUESTION = "What is seen?"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_rule_does_what_its_example_says(rule: Rule) -> None:
    side = "answer" if "answer" in rule.sides else "question"
    before = rule.example.before
    turn = (QUESTION, before) if side == "answer" else (before, "A lung.")
    cleaned = clean([turn])
    assert [(touch.rule, touch.side) for touch in cleaned.touches] == [(rule.name, side)]
    if rule.example.after is None:
        assert rule.kind == "drop_turn"
        assert cleaned.turns == ()
    else:
        assert cleaned.turns[0][side == "answer"] == rule.example.after


def test_rule_names_are_unique() -> None:
    names = [rule.name for rule in rules()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("According to the caption, pH was low.", "pH was low."),
        ("Based on the given context, p53 is stained.", "p53 is stained."),
        ("According to the information provided, there is no edema.", "There is no edema."),
        ("The mass (as stated in the caption) is round.", "The mass is round."),
        ("It shows a cyst, as described in the figure text, and edema.", "It shows a cyst and edema."),
        ("It is round. From the caption, it is also dark!", "It is round. It is also dark!"),
        ("First line.\n\nBased on the caption, second line.", "First line.\n\nSecond line."),
        ("A 1.5 cm mass, according to the caption, is seen.", "A 1.5 cm mass is seen."),
        ("As stated in the caption, according to the context, it is a cyst.", "It is a cyst."),
        ("It is a cyst. Its size adds context to the finding. It is thin.", "It is a cyst. It is thin."),
        ("The image is an MRI, offering context. It is a cyst.", None),
        ("In the context of the image, the vessel is wide.", "In the image, the vessel is wide."),
        ("In the context of depression, it is common.", "In depression, it is common."),
        ("The text mentions that it was cut.", "It was cut."),
        ("Based on the details given in the figure caption, it is a cyst.", "It is a cyst."),
        (
            "The arrows, which are mentioned in the caption, are red.",
            "The arrows, which are seen in the image, are red.",
        ),
        ("Overall, the caption highlights a cyst.", "Overall, the image highlights a cyst."),
        ("The caption, however, notes a fracture.", None),
        ("Yes, as indicated in the provided caption.", "Yes."),
        ("Based on the context and caption, the cells are pale.", "The cells are pale."),
    ],
)
def test_sentences_are_mended(before: str, after: str | None) -> None:
    assert clean([(QUESTION, before)]).turns == (((QUESTION, after),) if after else ())


@pytest.mark.parametrize(
    "text",
    [
        "The arrow points to the cyst, as shown in the image.",
        "From the image, the heart appears enlarged.",
        "The text in the image reads 'L'.",
        "I cannot make a diagnosis; please consult a healthcare professional.",
        "Sorry, that was unclear: the mass is on the right.",
        "The contextual cues and captivating colours differ.",
        "Given the dark signal, the disc has lost water.",
        "Contrast was given before the scan.",
        "Unfortunately, the tumour has spread.",
    ],
)
def test_honest_sentences_are_left_alone(text: str) -> None:
    cleaned = clean([(QUESTION, text)])
    assert cleaned.turns == ((QUESTION, text),)
    assert not cleaned.touches


def test_questions_are_cleaned_too() -> None:
    assert clean([("What type of tumor is mentioned in the context?", "A carcinoma.")]).turns == (
        ("What type of tumor is seen in the image?", "A carcinoma."),
    )
    turns = [
        ("According to the caption, where is the mass?", "In the liver."),
        ("Is a caption given?", "Yes."),
    ]
    assert clean(turns).turns == (("Where is the mass?", "In the liver."),)


def test_touches_tell_what_happened_where() -> None:
    cleaned = clean([(QUESTION, "Fine."), (QUESTION, "As mentioned in the caption, it is a cyst.")])
    (touch,) = cleaned.touches
    assert (touch.turn, touch.side, touch.rule) == (1, "answer", "as_said_in_text")
    assert touch.before == "As mentioned in the caption, it is a cyst."
    assert touch.after == "It is a cyst."
    assert cleaned.rules == {"as_said_in_text": 1}


PHRASES = st.sampled_from(
    [
        "the caption",
        "in the context of",
        "Based on the caption,",
        "as mentioned in the figure text,",
        "the lesion is large",
        ".",
        ". ",
        ",",
        "(",
        ")",
        "\n\n",
        "caption",
        "contexts",
        "It is stated that",
        "pH",
        "1.5 cm",
        "The provided text",
        "not mentioned in the caption",
        " ",
    ]
)


@given(st.lists(PHRASES, min_size=1, max_size=12).map(" ".join), st.lists(PHRASES, max_size=12).map(" ".join))
def test_nothing_leaks_and_cleaning_twice_is_cleaning_once(question: str, answer: str) -> None:
    once = clean([(question, answer)])
    for turn in once.turns:
        assert not any(leaks(side) for side in turn)
    assert clean(once.turns).turns == once.turns


@given(st.text())
def test_no_text_leaks_once_it_is_cleaned(text: str) -> None:
    assert not any(leaks(answer) for _, answer in clean([(text, text)]).turns)


def test_released_answers_are_clean_afterwards(shared_data: Path) -> None:
    lines = (shared_data / "llava_med_eval" / "llava_med_eval_qa50_qa.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    turns = [(row["text"].removesuffix("\n<image>"), row["gpt4_answer"]) for row in rows]
    cleaned = clean(turns)
    assert len(cleaned.turns) >= len(turns) - 8
    for _, answer in cleaned.turns:
        assert not re.search(r"caption|\bcontext\b|figure text", answer, re.IGNORECASE)
        assert answer[0].isupper() or not answer[0].isalpha()
        assert not re.search(r" [,.;]|,,|,\.|\( *\)|  ", answer)
