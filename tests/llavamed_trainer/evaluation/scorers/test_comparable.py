"""One file of answers by several scorers: the table, the results file, explanations, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.scorers import explain_answers, score_as, scorer_names
from llavamed_trainer.evaluation.scoring import Resampling, score_predictions
from tests.llavamed_trainer.evaluation.benchmarks import write_lines

KEYS = ("qid", "question", "answer", "answer_type", "image_name")
ROWS = [
    ("7", "Is there a fracture?", "No", "CLOSED", "1.jpg"),
    ("9", "Is the heart large?", "yes", "CLOSED", "2.jpg"),
    ("5", "Is this a CT or an MRI?", "MRI", "CLOSED", "2.jpg"),
    ("8", "Is the lung clear?", "no", "CLOSED", "2.jpg"),
    ("3", "Which plane?", "axial", "OPEN", "1.jpg"),
    ("4", "Which organ?", "axial", "OPEN", "3.jpg"),
]
ANSWERS = {"7": "No", "9": "Yes, abnormal", "5": "MRI", "8": "yes", "3": "It is axial", "4": ""}


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    """An original test file in a folder that is called after VQA-RAD."""
    return original(tmp_path, "vqa_rad")


def original(folder: Path, name: str) -> str:
    path = folder / name / "testset.json"
    path.parent.mkdir()
    path.write_text(json.dumps([dict(zip(KEYS, row, strict=True)) for row in ROWS]))
    return str(path)


def answers(folder: Path, **more: Any) -> Path:
    questions = {row[0]: row[1] for row in ROWS}
    rows = [
        {"id": qid, "question": questions[qid], "answer": text, "model": "org/m", **more}
        for qid, text in ANSWERS.items()
    ]
    return write_lines(folder / "answers.jsonl", rows)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["score", *arguments], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_scorer_decides_itself_which_questions_are_closed(tmp_path: Path, benchmark: str) -> None:
    """MedEvalKit takes "MRI" for an open question; 2 of 3 and 2 of 4 are right by the rules of yes and no."""
    (found,) = score_as(answers(tmp_path), benchmark, ["authors", "medevalkit"])
    authors, medevalkit = found.results
    assert (authors.counts, medevalkit.counts) == ({"open": 2, "closed": 4}, {"open": 3, "closed": 3})
    assert authors.estimates["closed_accuracy"].value == 50  # 7 and 9; 5 says neither yes nor no
    assert medevalkit.estimates["closed_accuracy"].value == pytest.approx(100 / 3)  # 7 alone
    assert medevalkit.estimates["open_exact_match"].value == pytest.approx(100 / 3)
    # the kit divides the number that is right by the number of questions twice
    assert medevalkit.estimates["open_accuracy"].value == pytest.approx(100 / 9)


def test_the_default_scorers_say_what_score_says(tmp_path: Path, benchmark: str) -> None:
    resampling = Resampling(draws=200, seed=3, by_image=True)
    (scores,) = score_predictions(answers(tmp_path), benchmark, resampling=resampling)
    (found,) = score_as(answers(tmp_path), benchmark, resampling=resampling)
    assert [result.name for result in found.results] == ["authors", "strict"]
    assert {**found.results[0].estimates, **found.results[1].estimates} == scores.overall


def test_baselines_are_scored_by_each_scorer(tmp_path: Path, benchmark: str) -> None:
    """No is the most common closed reference (2 of 4, 2 of 3 by MedEvalKit), axial the most common open one."""
    (found,) = score_as(answers(tmp_path), benchmark, ["authors", "medevalkit", "lmms-eval-slake-rule"])
    authors, medevalkit, lmms = found.results
    assert authors.majority == {"open": "axial", "closed": "no"}
    assert authors.baselines["majority"]["open_recall"] == 100
    assert authors.baselines["majority"]["closed_accuracy"] == 50
    assert authors.baselines["yes"] == {"closed_accuracy": 25}
    assert medevalkit.baselines["majority"]["closed_accuracy"] == pytest.approx(200 / 3)
    assert medevalkit.baselines["no"] == {"closed_accuracy": pytest.approx(200 / 3)}
    assert lmms.baselines["majority"]["accuracy"] == pytest.approx(400 / 6)


def test_baselines_answer_in_the_language_of_the_question(tmp_path: Path) -> None:
    """No is the most common answer in English, and 是的 (yes) in Chinese, by two questions of three each."""
    references = (("en", "No"), ("en", "No"), ("en", "Yes"), ("zh", "是的"), ("zh", "是的"), ("zh", "不是"))
    rows = [
        {"qid": number, "question": "?", "answer": reference, "answer_type": "CLOSED", "q_lang": language}
        for number, (language, reference) in enumerate(references)
    ]
    path = tmp_path / "slake" / "test.json"
    path.parent.mkdir()
    path.write_text(json.dumps(rows))
    file = write_lines(tmp_path / "a.jsonl", [{"id": str(number), "answer": "yes"} for number in range(6)])
    (found,) = score_as(file, str(path), ["lmms-eval", "medevalkit"], language="all")
    lmms, medevalkit = found.results
    assert lmms.majority == {"closed, en": "no", "closed, zh": "是的"}
    assert lmms.baselines["majority"]["accuracy"] == pytest.approx(400 / 6)
    assert lmms.baselines["majority"]["accuracy_zh"] == pytest.approx(200 / 3)
    assert lmms.baselines["yes"] == {"closed_accuracy": 50}
    assert medevalkit.baselines["yes"]["closed_accuracy"] == pytest.approx(100 / 6)  # 是 is not 是的
    # the three forms in which lmms-eval scores SLAKE
    values = {name: round(each.value, 2) for name, each in lmms.estimates.items() if "accuracy" in name}
    assert values == {"accuracy": 50, "accuracy_en": 33.33, "accuracy_zh": 66.67, "closed_accuracy": 50}


def test_one_table_has_every_scorer_and_says_what_differs(tmp_path: Path, benchmark: str) -> None:
    printed = run(
        str(answers(tmp_path)), "--benchmark", benchmark, "--as", "authors,medevalkit", "--as", "lmms-eval"
    )
    table = " ".join(printed.split())
    assert "closed accuracy 33.33" in table
    assert "not scored by this kit" in table
    assert "--as lmms-eval-slake-rule" in table
    assert "those whose reference is yes or no, whatever the set says (3 open, 3 closed)" in table
    assert "Please output 'yes' or 'no'" in table
    assert "THE KIT STOPS at 1 of these answers: ROUGE raises ValueError" in table
    assert "'no' (closed)" in table


def test_the_results_file_has_the_scorers_that_were_asked_for(tmp_path: Path, benchmark: str) -> None:
    path = answers(tmp_path)
    run(str(path), "--benchmark", benchmark, "--quiet")
    stated = json.loads(path.with_suffix(".scores.json").read_text())
    assert "scorers" not in stated["scores"][0]
    run(str(path), "--benchmark", benchmark, "--as", "medevalkit,vlmevalkit", "--quiet")
    (scores,) = json.loads(path.with_suffix(".scores.json").read_text())["scores"]
    assert scores["metrics"] == stated["scores"][0]["metrics"]
    closed = scores["scorers"]["medevalkit"]["metrics"]["closed_accuracy"]
    assert (round(closed["value"], 2), closed["count"], closed["main"]) == (33.33, 3, True)
    assert closed["baselines"] == {
        "majority": pytest.approx(66.67, abs=0.01),
        "yes": pytest.approx(33.33, abs=0.01),
        "no": pytest.approx(66.67, abs=0.01),
    }
    assert scores["scorers"]["medevalkit"]["rule"]["version"].startswith("commit 9b12e3b")
    assert "not scored by this kit" in scores["scorers"]["vlmevalkit"]["unscored"]


def test_answers_without_looking_stand_below_the_default_table(tmp_path: Path, benchmark: str) -> None:
    printed = run(str(answers(tmp_path)), "--benchmark", benchmark)
    assert "multiset recall (strict)" in printed  # the table as it was
    row = next(line for line in printed.splitlines() if "closed accuracy (authors)" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["50.00", "25.00", "50.00"]


def test_a_kit_knows_a_set_by_its_name(tmp_path: Path) -> None:
    """The same file under another name is not scored as VQA-RAD; PathVQA needs an LLM in VLMEvalKit."""
    other, path_vqa = original(tmp_path, "my_set"), original(tmp_path, "path_vqa")
    (found,) = score_as(answers(tmp_path), other, ["medevalkit", "medevalkit-vqa-rad-rule"])
    assert [bool(result.estimates) for result in found.results] == [False, True]
    (found,) = score_as(answers(tmp_path), path_vqa, ["vlmevalkit"])
    assert found.results[0].unscored.startswith("needs an LLM")


def test_questions_of_which_a_rule_says_nothing_are_counted(tmp_path: Path, benchmark: str) -> None:
    (found,) = score_as(answers(tmp_path), benchmark, ["vlmevalkit-choice-rule"])
    (result,) = found.results
    assert (result.left_out, result.counts, result.estimates) == (6, {}, {})
    printed = run(str(answers(tmp_path)), "--benchmark", benchmark, "--as", "vlmevalkit-choice-rule")
    assert "LEFT OUT: 6 questions" in " ".join(printed.split())


def test_a_file_with_two_prompt_forms_is_scored_and_explained_by_form(tmp_path: Path, benchmark: str) -> None:
    rows = []
    for qid, question, *_ in ROWS:
        rows.append({"id": qid, "question": question, "answer": ANSWERS[qid], "prompt_form": "plain"})
        if qid == "7":
            asked = f"{question} Please choose from the following two options: [yes, no]"
            rows.append({"id": qid, "question": asked, "answer": "yes", "prompt_form": "options"})
        elif qid in "958":
            rows.append({"id": qid, "answer": ANSWERS[qid], "prompt_form": "options"})
    path = write_lines(tmp_path / "both.jsonl", rows)
    found = score_as(path, benchmark, ["medevalkit"])
    values = {each.prompt_form: each.results[0].estimates["closed_accuracy"].value for each in found}
    assert values == {"plain": pytest.approx(100 / 3), "options": 0}
    explained = explain_answers(path, benchmark, ["7", "3"], ["medevalkit"])
    assert [(each.prediction.question.id, each.prediction.form) for each in explained] == [
        ("7", "plain"),
        ("7", "options"),
        ("3", "plain"),
    ]


def test_an_explanation_shows_what_was_compared_and_why(tmp_path: Path, benchmark: str) -> None:
    path = answers(tmp_path)
    chosen = (
        "--benchmark",
        benchmark,
        "--as",
        "authors,medevalkit,lmms-eval",
        "--explain",
        "9",
        "--explain",
        "4",
    )
    printed = " ".join(run(str(path), *chosen).split())
    assert "answer Yes, abnormal reference yes" in printed
    assert "The answer contains both 'yes' and 'no', parts of words included" in printed
    assert "stops here: ROUGE raises ValueError" in printed
    assert not path.with_suffix(".scores.json").exists()
    (nine, four) = json.loads(run(str(path), *chosen, "--json"))["explanations"]
    assert nine["scorers"]["authors"]["values"] == {"closed_accuracy": 1.0}
    assert nine["scorers"]["medevalkit"]["values"]["closed_accuracy"] == 0.0
    assert (four["answer"], four["reference"]) == ("", "axial")
    assert "unscored" in four["scorers"]["lmms-eval"]


def test_an_unknown_scorer_or_question_is_refused_with_the_choices(tmp_path: Path, benchmark: str) -> None:
    with pytest.raises(UsageError, match="no scorer 'medeval': choose from authors, strict, medevalkit"):
        scorer_names(["authors,medeval"])
    with pytest.raises(UsageError, match="no question '99': its ids are such as '7', '9', '5'"):
        explain_answers(answers(tmp_path), benchmark, ["99"])
    assert scorer_names([" authors , strict", "authors"]) == ("authors", "strict")


def test_an_unanswered_question_cannot_be_explained(tmp_path: Path, benchmark: str) -> None:
    path = write_lines(tmp_path / "part.jsonl", [{"id": "7", "answer": "no"}])
    with pytest.raises(UsageError, match="has no answer to '9'"):
        explain_answers(path, benchmark, ["9"], partial=True)
