"""Rounds are found in every form in which models write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.instruct.rounds import parse_rounds

TWO = (("What is it?", "A lung."), ("Enlarged?", "Yes."))


@pytest.mark.parametrize(
    "text",
    [
        "User: What is it?\nAssistant: A lung.\nUser: Enlarged?\nAssistant: Yes.",
        "User: What is it?\n\nAssistant: A lung.\n\n\nUser: Enlarged?\n\nAssistant: Yes.\n",
        "**User:** What is it?\n**Assistant:** A lung.\n**User**: Enlarged?\n**Assistant**: Yes.",
        "1. User: What is it?\n   Assistant: A lung.\n2. User: Enlarged?\n   Assistant: Yes.",
        "User 1: What is it?\nAssistant 1: A lung.\nUser 2: Enlarged?\nAssistant 2: Yes.",
        "### User\nWhat is it?\n### Assistant\nA lung.\n### User\nEnlarged?\n### Assistant\nYes.",
        "**User**\nWhat is it?\n**Assistant**\nA lung.\n**User**\nEnlarged?\n**Assistant**\nYes.",
        "USER: What is it?\r\nASSISTANT: A lung.\r\nUSER: Enlarged?\r\nASSISTANT: Yes.",
        "Question 1: What is it?\nAnswer: A lung.\nQuestion 2: Enlarged?\nAnswer: Yes.",
        "Q: What is it?\nA: A lung.\nQ2: Enlarged?\nA2: Yes.",
        "Human: What is it?\nAI: A lung.\nHuman: Enlarged?\nAI: Yes.",
        "- User: What is it?\n- AI Assistant: A lung.\n- User: Enlarged?\n- AI Assistant: Yes.",
        "User：What is it?\nAssistant：A lung.\nUser：Enlarged?\nAssistant：Yes.",
        "Here is a conversation:\n\nUser: What is it?\nAssistant: A lung.\nUser: Enlarged?\n"
        "Assistant: Yes.\n\n---\nNote: I wrote this from the caption.",
        "User: What is it? Assistant: A lung. User: Enlarged? Assistant: Yes.",
        "User: <image>\nWhat is it?\nAssistant: A lung.\nUser: Enlarged?\nAssistant: Yes.",
        "Assistant: Ask away!\nUser: What is it?\nAssistant: A **lung**.\nUser: Enlarged?\n"
        "Assistant: Yes.\nUser: And the lungs?",
    ],
)
def test_two_rounds_are_found(text: str) -> None:
    assert parse_rounds(text.replace("\r\n", "\n")) == TWO
    assert parse_rounds(text) == TWO


def test_a_cut_off_answer_takes_its_round_with_it() -> None:
    text = "User: What is it?\nAssistant: A lung.\nUser: Enlarged?\nAssistant: Yes, it is enl"
    assert parse_rounds(text, truncated=True) == TWO[:1]


def test_a_cut_off_question_goes_alone() -> None:
    text = "User: What is it?\nAssistant: A lung.\nUser: Enla"
    assert parse_rounds(text, truncated=True) == TWO[:1]


def test_paragraphs_and_lists_of_an_answer_stay() -> None:
    text = "User: What is seen?\nAssistant: Two things:\n\n- a mass\n- a cyst\n\nBoth are pale."
    assert parse_rounds(text) == (("What is seen?", "Two things:\n\n- a mass\n- a cyst\n\nBoth are pale."),)


def test_panel_letters_in_an_answer_are_no_speakers() -> None:
    text = "User: Which panels are there?\nAssistant: Two.\nA: the liver.\nB: the kidney."
    assert parse_rounds(text) == (("Which panels are there?", "Two.\nA: the liver.\nB: the kidney."),)


def test_a_speaker_who_goes_on_is_one_utterance() -> None:
    text = "User: It hurts.\nUser: What is it?\nAssistant: A fracture."
    assert parse_rounds(text) == (("It hurts. What is it?", "A fracture."),)


@pytest.mark.parametrize("text", ["", "I'm sorry, I can't help.", "User: What?", "Assistant: A lung."])
def test_no_round_no_result(text: str) -> None:
    assert parse_rounds(text) == ()


UTTERANCE = st.text(st.sampled_from("abc xyz,.?\n"), min_size=1).map(lambda text: "x" + text.strip())


@given(st.lists(st.tuples(UTTERANCE, UTTERANCE), min_size=1, max_size=6))
def test_well_formed_text_loses_no_word(rounds: list[tuple[str, str]]) -> None:
    text = "\n".join(f"User: {question}\nAssistant: {answer}" for question, answer in rounds)
    found = parse_rounds(text)
    assert [[side.split() for side in turn] for turn in found] == [
        [side.split() for side in turn] for turn in rounds
    ]


@given(st.text(), st.booleans())
def test_any_text_is_read_without_a_fault(text: str, truncated: bool) -> None:
    for question, answer in parse_rounds(text, truncated=truncated):
        assert question
        assert answer
