"""What `tables` makes of blind answers, and of the gain from the image."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.tables import (
    Table,
    card_results,
    collect,
    fill,
    to_html,
    to_latex,
    to_markdown,
)
from tests.llavamed_trainer.evaluation.benchmarks import make_row, make_set, write_lines
from tests.llavamed_trainer.evaluation.tables.test_tables import put, row, scores, table


def looking(closed: float, images: str = "blank", **more: Any) -> dict[str, Any]:
    gain = {
        "value": closed,
        "low": closed - 2,
        "high": closed + 2,
        "count": 272,
        "p": 0.00001,
        "test": "mcnemar",
    }
    return {
        "images": images,
        "questions": 451,
        "missing": 0,
        "partial": False,
        "overall": {
            "closed": {
                "metric": "closed_word_accuracy",
                "with_image": 60.0,
                "without_image": 60.0 - closed,
                "kept": 75.0,
                "gain": gain,
                "majority_answer": "no",
                "majority": 51.0,
                "always_yes": 44.0,
                "always_no": 51.0,
            }
        },
        "question_type": {},
        **more,
    }


def tables_of(folder: Path) -> dict[str, Table]:
    return {each.heading: each for each in fill(collect(folder))}


def test_a_model_that_was_compared_with_its_blind_answers_has_a_row(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3", scores("vqa-rad", 30, 60, looking=looking(4.5)))
    put(tmp_path, "b.json", "", scores("slake", 30, 60, languages=["zh"], looking=looking(0.5, "noise")))
    found = tables_of(tmp_path)["Does it look at the image?"]
    assert found.columns == ("With", "Without", "Stays", "Gain", "Most", "Yes", "No")
    first = ("none 0/0/3", "vqa-rad", "test", "options", "blank", "closed questions, 272")
    assert row(found, *first) == [60, 55.5, 75, 4.5, 51, 44, 51]
    (line,) = found.groups[0][1][0].lines(2)
    assert [text for text, _ in line[1]][3:5] == ["4.50 (2.50 – 6.50, p <0.0001)", "51.00 “no”"]
    second = ("model", "slake (zh)", "test", "options", "noise", "closed questions, 272")
    assert row(found, *second)[3] == 0.5
    written = [render(list(tables_of(tmp_path).values())) for render in (to_markdown, to_latex, to_html)]
    assert all("Does it look at the image?" in text for text in written)
    assert all("4.50 (2.50" in text for text in written)


def test_the_table_of_other_results_has_a_column_for_the_gain_where_it_is_known(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60, looking=looking(4.5)))
    put(tmp_path, "b.json", "", scores("vqa-rad", 31, 61, model="other"))
    others = tables_of(tmp_path)["Results that the paper has no row for"]
    assert others.columns == ("Open", "Closed", "Gain from the image")
    assert row(others, "model", "vqa-rad", "test", "options") == [30, 60, 4.5]
    assert row(others, "other", "vqa-rad", "test", "options") == [31, 61, None]


def test_without_such_a_comparison_there_is_no_such_table(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60))
    found = tables_of(tmp_path)
    assert "Does it look at the image?" not in found
    assert found["Results that the paper has no row for"].columns == ("Open", "Closed")


def test_both_orders_of_the_two_files_are_one_row(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3", scores("vqa-rad", 30, 60, looking=looking(4.5)))
    put(tmp_path, "b.json", "ft=3", scores("vqa-rad", 30, 55, images="blank", looking=looking(4.5)))
    found = tables_of(tmp_path)["Does it look at the image?"]
    assert len(found.groups[0][1]) == 1


def test_blind_scores_are_in_no_row_of_the_papers_tables_and_on_no_card(tmp_path: Path) -> None:
    blind = scores("slake", 40, 50, images="noise", languages=["en"])
    put(tmp_path, "a.json", "ft=3", blind)
    put(tmp_path, "zh.json", "ft=3", scores("slake", 1, 2, images="blank", languages=["zh"]))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3") == [None] * 7
    assert table(tmp_path, "12").groups == ()
    others = tables_of(tmp_path)["Results that the paper has no row for"]
    assert [text for _, text in others.marked] == [
        f"BLIND: the model was shown {images} images instead of the questions' own, so this is no result."
        for images in ("noise", "blank")
    ]
    with pytest.raises(UsageError, match="no complete scores"):
        card_results(collect(tmp_path))
    put(tmp_path, "b.json", "ft=3", scores("slake", 41, 51))  # the same model with its images
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3")[2:4] == [41, 51]
    assert {each.value for each in card_results(collect(tmp_path))} == {41, 51}


def test_a_judgement_of_blind_answers_is_no_row_of_table_1(tmp_path: Path) -> None:
    stated = {
        "kind": "llavamed-judgement",
        "judge": "j",
        "candidate": "m",
        "asked": 9,
        "judged": 9,
        "variant": {"instruct": "60k-im", "stage1": 1, "stage2": 3},
        "relative": {"overall": {"reference_first": 33.0}},
    }
    (tmp_path / "seen.json").write_text(json.dumps(stated))
    blind = {**stated, "relative": {"overall": {"reference_first": 99.0}}, "images": "blank"}
    (tmp_path / "blind.json").write_text(json.dumps(blind))
    values = [cell.ours for _, rows in table(tmp_path, "1").groups for each in rows for cell in each.cells]
    assert 33 in values
    assert 99 not in values
    others = tables_of(tmp_path)["Results that the paper has no row for"]
    assert others.groups[0][1][0].cells[-1].ours == 99


def test_scores_with_the_prompts_of_a_kit_are_in_no_row_of_the_papers_tables(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3", scores("slake", 40, 50, prompt_form="medevalkit"))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3") == [None] * 7
    others = tables_of(tmp_path)["Results that the paper has no row for"]
    assert row(others, "none 0/0/3", "slake", "test", "medevalkit") == [40, 50]


def test_a_gain_over_a_part_of_the_questions_is_marked(tmp_path: Path) -> None:
    part = looking(4.5, missing=51, partial=True)
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60, looking=part))
    found = tables_of(tmp_path)["Does it look at the image?"]
    assert [text for _, text in found.marked] == ["PARTIAL: 400 of 451 questions were answered both times."]


def test_from_answers_to_the_table(tmp_path: Path) -> None:
    """Two closed questions, of which the model answers one right with the image and none without: a gain of 50."""
    rows = [
        make_row(name, f"Is it {name}?", right, None, answer_type="CLOSED", question_type="X", language="en")
        for name, right in (("a", "yes"), ("b", "no"))
    ]
    folder = make_set(tmp_path / "vqa-rad", "vqa", rows)
    seen = write_lines(
        tmp_path / "seen.jsonl", [{"id": name, "answer": "yes", "model": "m"} for name in ("a", "b")]
    )
    answers = {"a": "no", "b": "yes"}
    blind = write_lines(
        tmp_path / "blind.jsonl",
        [{"id": name, "answer": text, "model": "m", "images": "shuffled"} for name, text in answers.items()],
    )
    command = ["score", str(seen), "--benchmark", str(folder), "--against", str(blind), "--quiet"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert CliRunner().invoke(app, ["tables", str(tmp_path), "--quiet"]).exit_code == 0
    found = tables_of(tmp_path)["Does it look at the image?"]
    head = ("m", "vqa-rad", "test", "plain", "shuffled", "closed questions, 2")
    assert row(found, *head) == [50, 0, 0, 50, 50, 50, 50]
    assert "50.00 (0.00 – 100.00, p 1.0000)" in (tmp_path / "tables" / "tables.md").read_text()
