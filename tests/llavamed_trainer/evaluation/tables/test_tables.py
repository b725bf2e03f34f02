"""Results in a folder to the paper's tables with ours beside."""

import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.tables import (
    Table,
    card_results,
    collect,
    fill,
    parse_variant,
    to_html,
    to_latex,
    to_markdown,
    update_card,
)

SIX = {"vqa-rad": (30.0, 60.0), "slake": (40.0, 50.0), "path-vqa": (10.0, 50.0)}


def scores(benchmark: str, opened: float, closed: float, **more: Any) -> dict[str, Any]:
    metrics = {
        name: {"value": value, "low": value - 1, "high": value + 1, "count": 100}
        for name, value in (("open_recall", opened), ("closed_accuracy", closed))
    }
    return {
        "benchmark": benchmark,
        "split": "test",
        "model": "org/model",
        "prompt_form": "options",
        "questions": 200,
        "scored": 200,
        "missing": 0,
        "partial": False,
        "untyped": 0,
        "languages": ["en"],
        "examples": [],
        "metrics": metrics,
        "groups": {},
        **more,
    }


def put(folder: Path, name: str, variant: str, *listed: dict[str, Any]) -> None:
    stated = parse_variant(variant).to_dict() if variant else {}
    (folder / name).write_text(json.dumps({"kind": "llavamed-scores", "variant": stated, "scores": listed}))


def table(folder: Path, number: str) -> Table:
    return next(each for each in fill(collect(folder)) if each.number == number)


def row(of: Table, *head: str) -> list[float | None]:
    return next(
        [cell.ours for cell in each.cells] for _, rows in of.groups for each in rows if each.head == head
    )


def test_a_result_is_put_into_every_table_that_has_its_row(tmp_path: Path) -> None:
    for benchmark, values in SIX.items():
        put(tmp_path, f"{benchmark}.json", "instruct=60k-im,stage1=1,stage2=3", scores(benchmark, *values))
    for number in ("4a", "9"):
        ours = row(table(tmp_path, number), "60k-im", "1", "3", "0")
        assert ours == [30, 60, 40, 50, 10, 50, 40]  # the average of the six
    assert row(table(tmp_path, "11"), "60K-IM, 3 epochs") == [40, None]
    cell = table(tmp_path, "9").groups[0][1][4].cells[0]
    assert cell.paper == 28.23
    assert cell.difference == pytest.approx(1.77)


def test_without_all_six_values_there_is_no_average(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3", scores("slake", 1, 2))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3") == [None, None, 1, 2, None, None, None]


def test_runs_of_one_configuration_have_rows_of_their_own_and_a_mean(tmp_path: Path) -> None:
    for seed, value in ((1, 10.0), (2, 20.0), (3, 30.0)):
        variant = f"instruct=10k,stage1=1,stage2=3,stage1_variant=full,seed={seed}"
        put(tmp_path, f"{seed}.json", variant, scores("slake", value, 50))
    runs = table(tmp_path, "10b")
    assert [line.cells[2].ours for line in runs.groups[0][1]] == [10, 20, 30, 20]
    assert "Ours: the mean of 3 runs, standard deviation 10.00." in dict(runs.marked).values()
    assert row(table(tmp_path, "4b"), "10k", "1", "3", "0", "full")[2] == 20


def test_options_count_where_both_forms_are_there_and_plain_is_marked(tmp_path: Path) -> None:
    plain = scores("slake", 40, 45, prompt_form="plain")
    put(tmp_path, "a.json", "ft=3", plain, scores("slake", 40, 55))
    put(tmp_path, "b.json", "", plain)
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3")[3] == 55
    put(tmp_path, "a.json", "ft=3", plain)
    of = table(tmp_path, "4a")
    assert row(of, "none", "0", "0", "3")[3] == 45
    assert "Ours: closed questions asked without their options." in dict(of.marked).values()


def test_a_partial_score_is_marked_in_every_table(tmp_path: Path) -> None:
    partial = {"partial": True, "scored": 150, "missing": 50}
    put(tmp_path, "a.json", "ft=3", scores("slake", 1, 2, **partial))
    put(tmp_path, "b.json", "", scores("slake", 3, 4, model="x/other", **partial))
    text = to_markdown(fill(collect(tmp_path)))
    assert "Ours: PARTIAL, 150 of 200 questions have an answer." in text
    assert "PARTIAL: not every question has an answer." in text


def test_answers_to_the_first_questions_alone_are_no_row_of_the_papers_tables(tmp_path: Path) -> None:
    first = {"partial": True, "scored": 5, "missing": 195, "limit": 5}
    put(tmp_path, "a.json", "ft=3", scores("slake", 1, 2, **first))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3") == [None] * 7
    other = fill(collect(tmp_path))[-1]
    assert [each.head[0] for each in other.groups[0][1]] == ["none 0/0/3"]
    assert other.marked[0][1] == (
        "PARTIAL: the first 5 questions alone were asked (--limit), so this is no result."
    )
    put(tmp_path, "b.json", "ft=3", scores("slake", 3, 4))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3")[2:4] == [3, 4]


def test_scores_of_another_model_than_llava_are_no_row_of_the_papers_tables(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3,init=other", scores("slake", 1, 2))
    ran = {"kind": "llavamed-run", "recipe": "stage1", "epochs": 1, "hours": 2.0, "init": "other"}
    (tmp_path / "done.json").write_text(json.dumps(ran))
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3") == [None] * 7
    assert fill(collect(tmp_path))[-1].groups[0][1][0].head[0] == "none 0/0/3 other"
    assert collect(tmp_path).hours == {}


def test_results_that_the_paper_has_no_row_for_are_not_lost(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 1, 2, model="org/mine"))
    put(tmp_path, "b.json", "ft=3", scores("vqa-rad", 3, 4, split="validation"))
    put(tmp_path, "c.json", "instruct=60k,stage1=3,stage2=6", scores("vqa-rad", 5, 6))
    other = fill(collect(tmp_path))[-1]
    assert [(each.head, each.cells[0].ours) for each in other.groups[0][1]] == [
        (("mine", "vqa-rad", "test", "options"), 1),
        (("none 0/0/3", "vqa-rad", "validation", "options"), 3),
        (("60k 3/6/0", "vqa-rad", "test", "options"), 5),
    ]


def test_hours_of_runs_are_means_and_those_of_fine_tuning_over_the_benchmarks(tmp_path: Path) -> None:
    def ran(name: str, recipe: str, epochs: int, hours: float) -> None:
        stated = {"kind": "llavamed-run", "recipe": recipe, "epochs": epochs, "hours": hours}
        (tmp_path / name).write_text(json.dumps(stated))

    ran("a.json", "stage1", 1, 7)
    ran("b.json", "stage1", 1, 8)
    for at, benchmark in enumerate(SIX):
        ran(f"f{at}.json", f"finetune-{benchmark}", 9, at + 1.0)
    assert row(table(tmp_path, "5"), "1 epoch") == [7.5]
    assert row(table(tmp_path, "11"), "9 epochs") == [None, 2]


def test_hours_of_another_model_are_not_put_into_the_tables(tmp_path: Path) -> None:
    for name, model, hours in (("a", "7b", 6.0), ("b", "13b", 12.0)):
        stated = {"kind": "llavamed-run", "recipe": "stage1", "epochs": 1, "hours": hours}
        (tmp_path / f"{name}.json").write_text(
            json.dumps({**stated, "language_model": model, "vision": "clip"})
        )
    assert row(table(tmp_path, "5"), "1 epoch") == [6.0]


def test_there_are_letters_for_any_number_of_notes(tmp_path: Path) -> None:
    """Six configurations by three seeds on six values: more means with a spread of their own than letters."""
    for number, stage2 in enumerate((1, 3)):
        for at, instruct in enumerate(("10k", "60k", "60k-im")):
            for seed in (1, 2, 3):
                for of, benchmark in enumerate(SIX):
                    spread = 1 + number + 2 * at + 6 * of
                    values = scores(benchmark, 10.0 + seed * spread, 20.0 + seed * (spread + 40))
                    variant = f"instruct={instruct},stage1=1,stage2={stage2},seed={seed}"
                    put(tmp_path, f"{stage2}-{instruct}-{seed}-{benchmark}.json", variant, values)
    made = table(tmp_path, "4a")
    labels = [label for label, _ in made.marked]
    assert len(labels) == len(set(labels)) > 26
    assert labels[:2] == ["a", "b"]
    assert labels[26:28] == ["aa", "ab"]
    assert f"<sup>{labels[26]}</sup>" in to_markdown(fill(collect(tmp_path)))


def put_judgement(folder: Path, variant: str, candidate: str = "m") -> None:
    group = {"questions": 9, "reference_first": 30.0, "swapped": 40.0, "both": 35.0}
    stated = {
        "kind": "llavamed-judgement",
        "variant": parse_variant(variant).to_dict() if variant else {},
        "judge": "gpt-4o",
        "candidate": candidate,
        "relative": {"conversation": group, "overall": {**group, "reference_first": 31.0}},
        "judged": 9,
        "asked": 10,
    }
    (folder / "judged.json").write_text(json.dumps(stated))


def test_judgements_fill_table_1(tmp_path: Path) -> None:
    put_judgement(tmp_path, "stage1=1")
    of = table(tmp_path, "1")
    assert row(of, "Stage 1") == [30, *[None] * 6, 31]  # Table 1 has the reference read first
    assert "Ours: PARTIAL, 9 of 10 questions have a verdict." in dict(of.marked).values()


def test_chinese_questions_fill_table_12_alone(tmp_path: Path) -> None:
    examples = [{"question": "左?", "answer": "是", "truth": "否"}]
    put(tmp_path, "a.json", "ft=3", scores("slake", 5, 6, languages=["zh"], examples=examples))
    of = table(tmp_path, "12")
    assert [cell.ours for cell in of.groups[0][1][0].cells] == [5, 6]
    assert ("none 0/0/3", "左?", "是", "否") in of.examples
    assert row(table(tmp_path, "4a"), "none", "0", "0", "3")[2] is None


def test_two_files_with_the_same_result_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "ft=3", scores("slake", 1, 2))
    put(tmp_path, "b.json", "ft=3", scores("slake", 3, 4))
    with pytest.raises(LlavaMedError, match=r"b.json and .*a.json state the same result"):
        collect(tmp_path)


def test_a_damaged_results_file_is_named_and_other_json_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")  # never waited for
    assert collect(tmp_path).scored == []
    (tmp_path / "cut.json").write_text('{"kind": "llavamed-scores", "sc')
    with pytest.raises(LlavaMedError, match=r"cut.json is a damaged results file"):
        collect(tmp_path)
    (tmp_path / "cut.json").unlink()
    (tmp_path / "bad.json").write_text('{"kind": "llavamed-scores", "scores": []}')
    with pytest.raises(LlavaMedError, match=r"bad.json is a damaged results file"):
        collect(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        collect(tmp_path / "none")


def test_the_papers_errors_are_marked_in_every_format(tmp_path: Path) -> None:
    tables = fill(collect(tmp_path))
    for text in (to_markdown(tables), to_latex(tables), to_html(tables)):
        assert "Table 9 prints 81.99, 84.83, 83.65 and 37.76 for the same model." in text
        assert "print 39.08 for 10K at 3 epochs of Stage 2" in text
        assert "images are 858 here and 832" in text
    assert "| 38.87<sup>b</sup> |" in to_markdown(tables)
    assert r"38.87\textsuperscript{b}" in to_latex(tables)
    assert "38.87<sup>b</sup>" in to_html(tables)


def test_markdown_rows_have_as_many_cells_as_their_heading(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("slake", 1, 2, model="a|b <script>"))
    text = to_markdown(fill(collect(tmp_path)))
    assert "<script>" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_latex_has_balanced_environments_and_even_rows(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("slake", 1, 2, model="a_b&c"))
    text = to_latex(fill(collect(tmp_path)))
    assert r"a\_b\&c & slake" in text
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}")
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for line in body.splitlines():
            if line.endswith(r" \\") and "multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1


def test_the_page_loads_nothing_and_draws_both_series(tmp_path: Path) -> None:
    for benchmark, values in SIX.items():
        put(tmp_path, f"{benchmark}.json", "instruct=60k,stage1=1,stage2=1", scores(benchmark, *values))
    stated = {"kind": "llavamed-run", "recipe": "stage2-60k", "epochs": 1, "hours": 4}
    (tmp_path / "run.json").write_text(json.dumps(stated))
    put(tmp_path, "x.json", "", scores("slake", 1, 2, model="<img src=//x>"))
    page = to_html(fill(collect(tmp_path)))
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert not {"script", "img", "iframe"} & set(tags)
    first, second = (ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert [hint.text for hint in first.iter("{http://www.w3.org/2000/svg}title")] == [
        "10K, 1 epoch (paper)",
        "60K, 1 epoch (paper)",
        "60K, 3 epochs (paper)",
        "60K-IM, 1 epoch (paper)",
        "60K-IM, 3 epochs (paper)",
        "60K, 1 epoch (ours)",
    ]
    assert len(list(second.iter("{http://www.w3.org/2000/svg}title"))) == 6


def test_a_card_gets_the_scores_as_model_index(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60))
    put(tmp_path, "b.json", "", scores("slake", 1, 2, partial=True))
    card = tmp_path / "llava-mine" / "README.md"
    card.parent.mkdir()
    card.write_text("---\nlicense: cc-by-nc-4.0\ntags: [medical]\n---\n# Mine\n\nText stays.\n")
    update_card(card, card_results(collect(tmp_path)))
    update_card(card, card_results(collect(tmp_path)))  # again: in place of, not beside
    _, front, text = card.read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert text.strip() == "# Mine\n\nText stays."
    assert (metadata["license"], metadata["tags"]) == ("cc-by-nc-4.0", ["medical"])
    (index,) = metadata["model-index"]
    assert index["name"] == "llava-mine"
    (result,) = index["results"]  # the partial score is none to publish
    assert result["dataset"] == {"name": "vqa-rad", "type": "vqa-rad", "split": "test"}
    assert [(each["type"], each["value"]) for each in result["metrics"]] == [
        ("open_recall", 30.0),
        ("closed_accuracy", 60.0),
    ]


def test_a_card_takes_the_scores_of_one_model_which_must_be_named(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60), scores("slake", 1, 2, model="other"))
    with pytest.raises(UsageError, match="of 2 models"):
        card_results(collect(tmp_path))
    assert {each.benchmark for each in card_results(collect(tmp_path), "other")} == {"slake"}
    with pytest.raises(UsageError, match="no complete scores of nobody"):
        card_results(collect(tmp_path), "nobody")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruct", "is not NAME=VALUE"),
        ("instruct=70k,stage2=1", "choose from none, 10k, 60k, 60k-im"),
        ("epochs=3", "there is no 'epochs'"),
        ("ft=many", "is not a number"),
        ("stage2=3", "need an instruct set"),
    ],
)
def test_an_unknown_variant_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_variant(text)


def test_a_stage_without_epochs_has_no_data_and_no_variant() -> None:
    assert parse_variant("instruct=60k-im,stage1=1") == parse_variant("stage1=1")
    assert parse_variant("stage1_variant=full,ft=3") == parse_variant("ft=3")


def test_score_then_tables_on_the_command_line(tmp_path: Path, shared_data: Path) -> None:
    predictions = tmp_path / "answers.jsonl"
    predictions.write_bytes((shared_data / "predictions" / "vqa_rad_zero_shot_llava.jsonl").read_bytes())
    truth = str(shared_data / "vqa_rad" / "testset.json")
    run = CliRunner().invoke
    scored = run(app, ["score", str(predictions), "--benchmark", truth, "--variant", "ft=0", "--json"])
    assert scored.exit_code == 0
    assert json.loads(scored.stdout)["scores"][0]["metrics"]["closed_accuracy"]["count"] == 272
    shown = run(app, ["tables", str(tmp_path), "--output", str(tmp_path / "out")])
    assert shown.exit_code == 0
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "| **12.04 (-8.70)** | **28.68 (-30.51)** |" in text
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"tables.md", "tables.tex", "tables.html"}


def test_a_run_that_was_ended_early_is_no_result_of_the_papers_tables(tmp_path: Path) -> None:
    variant = "instruct=60k-im,stage1=1,stage2=3,ft=0"
    for name, flags in (("capped", ["--max_steps", "2"]), ("whole", ["--max_steps", "-1"])):
        stage = tmp_path / name / "stage1-1ep"
        (stage / "eval-vqa-rad").mkdir(parents=True)
        (stage / "sweep.json").write_text(json.dumps({"commands": [["{python}", "train", *flags]]}))
        put(stage / "eval-vqa-rad", "a.scores.json", variant, scores("vqa-rad", 77.0, 55.0))
        done = {"kind": "llavamed-run", "recipe": "stage1", "epochs": 1, "hours": 5.0}
        (stage / "done.json").write_text(json.dumps(done))
    capped, whole = collect(tmp_path / "capped"), collect(tmp_path / "whole")
    assert (len(capped.hours), len(whole.hours)) == (0, 1)
    assert [each.caps for each in (*capped.scored, *whole.scored)] == ["--max_steps 2", ""]
    tables = fill(capped)
    assert not any(row.is_measured for each in tables[:-1] for _, rows in each.groups for row in rows)
    assert tables[-1].title == "Results that the paper has no row for"
    assert "CAPPED: not trained in full on the training split (--max_steps 2)" in tables[-1].marked[0][1]
    assert any(row.is_measured for _, rows in table(tmp_path / "whole", "4a").groups for row in rows)


def test_the_settings_beside_a_model_and_its_base_say_that_training_was_ended_early(tmp_path: Path) -> None:
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for folder, settings in ((base, {"max_rows": 8}), (tuned, {"model_name_or_path": str(base)})):
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "results").mkdir()
    variant = "instruct=60k-im,stage1=1,stage2=3,ft=0"
    put(tmp_path / "results", "a.json", variant, scores("vqa-rad", 77.0, 55.0, model=str(tuned)))
    assert [each.caps for each in collect(tmp_path / "results").scored] == ["--max_rows 8"]


@pytest.mark.parametrize(
    ("settings", "caps"),
    [
        ({"max_steps": 2}, "--max_steps 2"),
        ({"split": "train[:1%]"}, "--split train[:1%]"),
        ({"split": "test"}, "--split test"),
    ],
)
def test_a_judgement_of_a_model_that_was_not_trained_in_full_is_no_result_of_table_1(
    settings: dict[str, Any], caps: str, tmp_path: Path
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "run.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "results").mkdir()
    put_judgement(tmp_path / "results", "stage1=1", "models/mine")  # named from the folder above
    tables = fill(collect(tmp_path / "results"))
    assert not any(each.is_measured for made in tables[:-1] for _, rows in made.groups for each in rows)
    assert (tables[-1].title, tables[-1].columns[-1]) == (
        "Results that the paper has no row for",
        "Relative score",
    )
    assert row(tables[-1], "none 1/0/0", "judged by gpt-4o", "", "") == [None, None, 31]
    assert any(
        f"CAPPED: not trained in full on the training split ({caps})" in each for _, each in tables[-1].marked
    )


@pytest.mark.parametrize("variant", ["", "ft=3"])  # unknown, and none of Table 1
def test_a_judgement_that_table_1_has_no_row_for_is_listed(variant: str, tmp_path: Path) -> None:
    put_judgement(tmp_path, variant, "org/mine")
    last = fill(collect(tmp_path))[-1]
    assert row(last, "none 0/0/3" if variant else "mine", "judged by gpt-4o", "", "") == [None, None, 31]


def test_a_sweep_that_trained_other_epochs_than_its_rows_state_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    command = ["{python}", "-m", "llavamed_trainer", "train", "--num_train_epochs", "0.5"]
    (tmp_path / "sweep.json").write_text(json.dumps({"commands": [command], "facts": {"epochs": 3}}))
    put(tmp_path / "eval", "a.scores.json", "ft=3", scores("vqa-rad", 77.0, 55.0))
    assert [each.caps for each in collect(tmp_path).scored] == ["--num_train_epochs 0.5"]


def test_answers_that_were_cut_off_are_marked_beside_the_value_and_its_average(tmp_path: Path) -> None:
    for benchmark, values in SIX.items():
        put(
            tmp_path,
            f"{benchmark}.scores.json",
            "instruct=60k-im,stage1=1,stage2=3,ft=9",
            scores(benchmark, *values),
        )
    (tmp_path / "slake.run.json").write_text(json.dumps({"report": {"truncated": 7}}))
    made = table(tmp_path, "4a")
    letter = next(letter for letter, note in made.marked if note.startswith("Ours: 7 answers were cut off"))
    cells = next(
        each for _, rows in made.groups for each in rows if each.head == ("60k-im", "1", "3", "9")
    ).cells
    assert [letter in cell.our_marks for cell in cells] == [False, False, True, True, False, False, True]
