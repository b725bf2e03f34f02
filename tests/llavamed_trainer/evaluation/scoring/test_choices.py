"""Which choice an answer names: what models write, and what is expected of it, by hand."""

import time

import pytest

from llavamed_trainer.evaluation.scoring import read_choice

CHOICES = ["CT scan", "Focal uptake pattern", "No uptake, or a cyst", "X-ray"]

READABLE = [
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("B)", "B"),
    ("(B)", "B"),
    ("[B]", "B"),
    ("B:", "B"),
    ("**B**", "B"),
    ("Ｂ", "B"),
    ("（Ｂ）", "B"),
    (" B \n", "B"),
    ("Option B", "B"),
    ("option b.", "B"),
    ("选项B", "B"),
    ("B. Focal uptake pattern", "B"),
    ("B) Focal uptake pattern", "B"),
    ("(B) Focal uptake pattern", "B"),
    ("B: Focal uptake pattern", "B"),
    ("B、Focal uptake pattern", "B"),
    ("B - Focal uptake pattern", "B"),
    ("Focal uptake pattern", "B"),
    ("focal uptake pattern.", "B"),
    ("**Focal uptake pattern**", "B"),
    ("no uptake or a cyst", "C"),
    ("Answer: B", "B"),
    ("answer: b", "B"),
    ("ANSWER: B.", "B"),
    ("Answer:\nB", "B"),
    ("**Answer:** B", "B"),
    ("Final Answer: B", "B"),
    ("The answer is B", "B"),
    ("The correct answer is (B)", "B"),
    ("The correct answer is B.", "B"),
    ("The correct answer is option B: Focal uptake pattern.", "B"),
    ("The correct option is: B", "B"),
    ("the best answer would be B", "B"),
    ("$\\boxed{B}$", "B"),
    ("So it is \\boxed{\\text{B}}.", "B"),
    ("\\boxed{(B)}", "B"),
    ("<answer>B</answer>", "B"),
    ("<think>A? C? The answer is A.</think>B", "B"),
    ("<think>A or C</think><answer> B. Focal uptake pattern </answer>", "B"),
    ("The image shows a hot spot.\nA is wrong because there is no CT.\nThe answer is B.", "B"),
    ("At first the answer is A. But on a second look the answer is B.", "B"),
    ("答案是B", "B"),
    ("答案是B。", "B"),
    ("答案：B", "B"),
    ("正确答案为Ｂ。", "B"),
    ("选B", "B"),
    ("应选B。", "B"),
    ("我选择B", "B"),
    ("图像显示局灶性摄取，因此选 B。", "B"),
    ("B是正确的", "B"),
    ("B正确", "B"),
    ("B is correct", "B"),
    ("Option B is the correct answer.", "B"),
    ("I choose B.", "B"),
    ("I would select option (B) here", "B"),
    ("B\n\nThe pattern is focal; A is incorrect.", "B"),
    ("The pattern is focal.\n\n**B**", "B"),
    ("The answer is B because the uptake is focal.", "B"),
    ("The answer is A because it is a CT.", "A"),
    ("Answer: Focal uptake pattern", "B"),
    ("The answer is focal uptake pattern.", "B"),
    ('{"answer": "B"}', "B"),
    ("Focal uptake pattern (B)", "B"),
    ("Final answer: the correct option is D", "D"),
    ("B. Focal uptake pattern\nThe uptake is limited to one place.", "B"),
    ("B, because the uptake is focal.", "B"),
    ("B because the uptake is focal", "B"),
    ("The answer to the question is B.", "B"),
    ("I would go with B", "B"),
    ("The answer is b", "B"),
    ("B. focal uptake", "B"),
    ("Answer: B. focal uptake pattern of the breast", "B"),
    ("The answer is option B here.", "B"),
    ("A CT scan", "A"),
]

UNREADABLE = [
    "",
    "   ",
    "A fracture is seen",
    "A fracture is seen.",
    "I think it is a cyst",
    "I do not know",
    "The answer is A fracture",
    "The answer is a fracture of the rib",
    "A or B",
    "A and B",
    "A, B",
    "Answer: A, C",
    "The answer is A or B.",
    "Answer: A and C",
    "E",
    "Answer: E",
    "The answer is not A",
    "None of them",
    "Neither A nor B is correct",
    "A. CT scan\nB. Focal uptake pattern\nC. No uptake\nD. X-ray",
    "A. CT scan B. Focal uptake pattern C. No uptake",
    "B. CT scan",
    "Answer: B. CT scan",
    "Option A is incorrect.",
    "A不正确",
    "不选A",
    "答案是A或B",
    "The arrow labelled B points at the liver.",
    "<think>the answer is B",
    "vitamin B",
    "Yes",
    "The scan shows hepatitis B.",
    "It is a CT scan of the chest.",
    "Answer:",
    "Which option is it?",
    "AB",
    "The diagnosis is B cell lymphoma.",
    "The answer is C difficile colitis",
    "The answer is C. difficile",
    "C. difficile",
    "I do not think that B is correct.",
    "A. X-ray",
    "B/C",
    "Answer: B/C",
    "The answer depends on the case",
    "It is unclear whether B is correct",
    "Answer: BC",
]


@pytest.mark.parametrize(("answer", "letter"), READABLE)
def test_the_letter_of_an_answer_is_read(answer: str, letter: str) -> None:
    assert read_choice(answer, CHOICES) == letter


@pytest.mark.parametrize("answer", UNREADABLE)
def test_an_answer_that_names_no_choice_or_two_is_unreadable(answer: str) -> None:
    assert read_choice(answer, CHOICES) is None


NAMES = ["E. coli", "B. burgdorferi", "C. difficile", "A"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("E. coli", "A"),
        ("B. burgdorferi", "B"),
        ("C. difficile", "C"),
        ("The answer is C. difficile.", "C"),
        ("The answer is E. coli", "A"),
        ("A", "A"),  # a letter alone is a letter, whatever the choices say
        ("D", "D"),
        ("A. E. coli", "A"),
        ("C. E. coli", None),  # the letter of one choice, the text of another
        ("The answer is D. A", "D"),
    ],
)
def test_names_that_begin_with_a_letter_are_no_letters(answer: str, letter: str | None) -> None:
    assert read_choice(answer, NAMES) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("AA", "A"), ("Aa", "B"), ("aa", "C"), ("aA", None), ("> 5 mm.", "D"), ("< 5 mm", "E")],
)
def test_choices_that_differ_in_case_or_marks_alone_are_told_apart(answer: str, letter: str | None) -> None:
    assert read_choice(answer, ["AA", "Aa", "aa", "> 5 mm", "< 5 mm"]) == letter


@pytest.mark.parametrize(
    "piece", ["(", "answer is ", "答案是", "A, ", "A. x\n", "\\boxed{", "B is ", "'", "to the "]
)
def test_a_long_odd_answer_takes_no_time(piece: str) -> None:
    started = time.process_time()
    read_choice(piece * 20_000, CHOICES)
    assert time.process_time() - started < 5
