"""The prompts of each form, and files of answers that state them.

The expected texts are what the kits' own functions return (MedEvalKit 9b12e3b, lmms-eval 75571cf), which
`python -m tests.benchmarks.check_prompts` calls beside ours.
"""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.questions import (
    PROMPT_FORMS,
    Prediction,
    PromptForm,
    Question,
    QuestionSet,
    lettered,
    prompt_of,
    read_answers,
    write_answers,
)
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set, write_lines

CLOSED = Question("1", "Is there a fracture?", "no", answer_type="CLOSED")
EITHER = Question("2", "Is this a CT or an MRI?", "CT", answer_type="CLOSED")
OPEN = Question("3", "Which plane is shown?", "axial", answer_type="OPEN")
CHINESE = Question("4", "图中有骨折吗？", "没有", answer_type="CLOSED", language="zh")
CHOICE = Question("5", "Which modality?", "B", answer_type="CHOICE", choices=("CT", "MRI"))

YES_NO = "Please output 'yes' or 'no'(no extra output)."
CONCISE = "Please answer the question concisely."
PHRASE = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
OPTIONS = "Please choose from the following two options: [yes, no]"


@pytest.mark.parametrize(
    ("question", "form", "benchmark", "prompt"),
    [
        (CLOSED, "plain", "", "Is there a fracture?"),
        (CLOSED, "options", "", f"Is there a fracture? {OPTIONS}"),
        (EITHER, "options", "", f"Is this a CT or an MRI? {OPTIONS}"),
        (CLOSED, "medevalkit", "vqa-rad", f"Is there a fracture?\n{YES_NO}"),
        (EITHER, "medevalkit", "vqa-rad", f"Is this a CT or an MRI?\n{CONCISE}"),
        (OPEN, "medevalkit", "path-vqa", f"Which plane is shown?\n{CONCISE}"),
        (CLOSED, "medevalkit", "slake", f"Is there a fracture?\n{PHRASE}"),
        (OPEN, "medevalkit", "slake", f"Which plane is shown?\n{CONCISE}"),
        (CHINESE, "medevalkit", "slake", "图中有骨折吗？\n请用一个单词或者短语回答该问题。"),
        (OPEN, "lmms-eval", "slake", f"Which plane is shown?\n{PHRASE}"),
        (CHINESE, "lmms-eval", "slake", "图中有骨折吗？\n请用一个词或短语回答问题。"),
        (OPEN, "lmms-eval", "mmmu", f"Which plane is shown?\n\n{PHRASE}"),
        (CHOICE, "plain", "", "Which modality?\nA. CT\nB. MRI\nAnswer with the letter of the right choice."),
        (
            CHOICE,
            "options",
            "",
            "Which modality?\nA. CT\nB. MRI\nAnswer with the letter of the right choice.",
        ),
        (
            CHOICE,
            "medevalkit",
            "pmc-vqa",
            f"\nQuestion: Which modality?\nOptions: \nA. CT\nB. MRI\n{LETTER}",
        ),
        (
            CHOICE,
            "medevalkit",
            "medframeqa",
            f"\nQuestion: Which modality?\nOptions: \nA.CT\nB.MRI\n{LETTER}",
        ),
        (CHOICE, "medevalkit", "mmmu", f"\nWhich modality?\n\n(A) CT\n(B) MRI\n\n\n        {LETTER}"),
        (CHOICE, "lmms-eval", "mmmu", f"Which modality?\nA. CT\nB. MRI\n\n{LETTER}"),
    ],
)
def test_a_question_is_asked_in_the_words_of_the_form(
    question: Question, form: PromptForm, benchmark: str, prompt: str
) -> None:
    same = form == "options" and question.answer_type != "CLOSED"
    assert prompt_of(question, form, benchmark) == (prompt, "plain" if same else form)


def test_braces_in_a_question_stay_what_they_are() -> None:
    odd = replace(CHOICE, text="What is {question}?", choices=("{letter}", "{0}"))
    assert "What is {question}?\nA. {letter}\nB. {0}\n" in prompt_of(odd, "plain")[0]


def test_more_choices_than_letters_are_refused() -> None:
    assert lettered(("one",) * 26).endswith("\nZ. one")
    with pytest.raises(UsageError, match="27 choices"):
        lettered(("one",) * 27)


QUESTIONS = (CLOSED, EITHER, OPEN, CHOICE)


def answered(form: PromptForm, benchmark: str = "vqa-rad") -> list[Prediction]:
    return [Prediction(each, *prompt_of(each, form, benchmark), "yes", "m") for each in QUESTIONS]


@pytest.mark.parametrize("form", PROMPT_FORMS)
@pytest.mark.parametrize("benchmark", ["vqa-rad", "slake", "mmmu"])
@pytest.mark.parametrize("file_format", ["ours", "released"])
def test_a_file_of_any_form_is_read_as_it_was_written(
    form: PromptForm, benchmark: str, file_format: Any, tmp_path: Path
) -> None:
    written = answered(form, benchmark)
    write_answers(tmp_path / "answers.jsonl", written, file_format)
    (read,) = read_answers(tmp_path / "answers.jsonl", QuestionSet(benchmark, "test", QUESTIONS))
    assert (read.form, list(read.predictions)) == (form, written)


def test_where_no_form_is_stated_the_prompts_of_the_whole_file_show_it(tmp_path: Path) -> None:
    """English closed questions of SLAKE have one text in both kits; the others tell which kit it was."""
    for form, benchmark in product(("medevalkit", "lmms-eval"), ("slake", "vqa-rad", "mmmu")):
        rows = [
            {"id": each.question.id, "question": each.prompt, "answer": "yes"}
            for each in answered(form, benchmark)
        ]
        (read,) = read_answers(
            write_lines(tmp_path / "answers.jsonl", rows), QuestionSet(benchmark, "test", QUESTIONS)
        )
        assert read.form == form
        assert {each.form for each in read.predictions} == {form}


def test_open_answers_to_plain_prompts_do_not_count_as_a_kits(tmp_path: Path) -> None:
    kits = [each for each in answered("medevalkit") if each.question is not OPEN]
    plain = [each for each in answered("plain") if each.question is OPEN]
    write_answers(tmp_path / "answers.jsonl", kits + plain)
    questions = QuestionSet("vqa-rad", "test", QUESTIONS)
    with pytest.raises(LlavaMedError, match="no answer in the prompt form 'plain' to 3 questions"):
        read_answers(tmp_path / "answers.jsonl", questions)
    found = read_answers(tmp_path / "answers.jsonl", questions, partial=True)
    assert [(each.form, len(each.predictions), len(each.missing)) for each in found] == [
        ("plain", 1, 3),
        ("medevalkit", 3, 1),
    ]


def test_a_file_with_the_forms_of_several_kits_is_one_set_each(tmp_path: Path) -> None:
    write_answers(
        tmp_path / "answers.jsonl", answered("options") + answered("medevalkit") + answered("lmms-eval")
    )
    found = read_answers(tmp_path / "answers.jsonl", QuestionSet("vqa-rad", "test", QUESTIONS))
    assert [(each.form, len(each.predictions)) for each in found] == [
        ("options", 4),
        ("medevalkit", 4),
        ("lmms-eval", 4),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"id": "1", "question": f"Is there a fracture? {OPTIONS}", "prompt_form": "plain"},
            "has the prompt_form 'plain', but its prompt asks '1' in the form 'options'",
        ),
        (
            {"id": "1", "question": "Is there a fracture?", "prompt_form": "medevalkit"},
            "has the prompt_form 'medevalkit', but its prompt asks '1' in the form 'plain'",
        ),
        (
            {"id": "1", "question": "Is there a fracture?", "prompt_form": "options"},
            "has the prompt_form 'options', but its prompt asks '1' in the form 'plain'",
        ),
        (
            {"id": "3", "question": f"Which plane is shown?\n{YES_NO} Please.", "prompt_form": "medevalkit"},
            "but its question is '3': 'Which plane is shown?'",
        ),
        (
            {"id": "5", "question": "Which modality?"},
            "its question is '5': 'Which modality?', or its choices",
        ),
        (
            {"id": "5", "question": prompt_of(replace(CHOICE, choices=("MRI", "CT")), "plain")[0]},
            "or its choices in another order than the line states",
        ),
        ({"id": "1", "images": "none"}, "has the images 'none': choose from real, blank, noise, shuffled"),
    ],
    ids=[
        "options for plain",
        "plain for a kit's",
        "plain for options",
        "no form",
        "no choices",
        "other order",
        "images",
    ],
)
def test_a_prompt_that_is_not_of_its_form_or_its_question_is_refused(
    row: dict[str, str], message: str, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "answers.jsonl", [{**row, "answer": "yes"}])
    with pytest.raises(LlavaMedError) as refused:
        read_answers(file, QuestionSet("vqa-rad", "test", QUESTIONS), partial=True)
    assert "answers.jsonl:1 " in str(refused.value)
    assert message in str(refused.value)


def test_answers_with_real_and_blind_images_in_one_file_are_refused(tmp_path: Path) -> None:
    rows = [{"id": "1", "answer": "yes"}, {"id": "2", "answer": "yes", "images": "blank"}]
    with pytest.raises(LlavaMedError, match=":2 was answered with blank images, and line 1 with real ones"):
        read_answers(
            write_lines(tmp_path / "answers.jsonl", rows),
            QuestionSet("vqa-rad", "test", QUESTIONS),
            partial=True,
        )


def test_a_converted_file_keeps_the_prompts_of_a_kit(tmp_path: Path) -> None:
    rows = [
        make_row("a", "Is it red?", "yes", drawn(1), answer_type="CLOSED", question_type=None, language="en"),
        make_row("b", "Is it?", "no", drawn(2), answer_type="CLOSED", question_type=None, language="en"),
    ]
    folder = make_set(tmp_path / "vqa-rad", "vqa", rows)
    asked = [
        {
            "id": row["id"],
            "question": f"{text}\n{YES_NO}",
            "answer": "no",
            "prompt_form": "medevalkit",
            "model": "m",
        }
        for row, text in zip(rows, ("Is it red?", "Is it?"), strict=True)
    ]
    first = write_lines(tmp_path / "first.jsonl", asked)
    for name, source, file_format in (
        ("second", first, "released"),
        ("third", tmp_path / "second.jsonl", "ours"),
    ):
        command = ["predict", "--answers", str(source), "--benchmark", str(folder), "--format", file_format]
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / f"{name}.jsonl")])
        assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in (tmp_path / "third.jsonl").read_text().splitlines()] == asked
