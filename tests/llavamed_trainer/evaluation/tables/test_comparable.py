"""Results of `score --as` to the table of comparable scores."""

import json
from pathlib import Path
from typing import Any

from llavamed_trainer.evaluation.tables import Table, collect, fill, to_html, to_latex, to_markdown


def metric(label: str, value: float, *, main: bool = True, **baselines: float) -> dict[str, Any]:
    return {
        "label": label,
        "main": main,
        "value": value,
        "low": value,
        "high": value,
        "count": 10,
        "baselines": baselines,
    }


def rule(kit: str) -> dict[str, Any]:
    return {"kit": kit, "version": "1.0", "closed": "those with <yes>", "matched": "all of it"}


AUTHORS = {
    "rule": rule("LLaVA-Med"),
    "stops": {},
    "metrics": {
        "open_recall": metric("open recall", 40.0, majority=6.0),
        "open_bleu": metric("open BLEU", 1.0, main=False),
    },
}
KIT = {
    "rule": rule("MedEvalKit"),
    "stops": {"ROUGE raises ValueError": 3},
    "metrics": {"closed_accuracy": metric("closed accuracy", 18.0, majority=53.0, yes=47.0, no=53.0)},
}


def put(folder: Path, name: str, scorers: dict[str, Any] | None, **more: Any) -> None:
    scores = {
        "benchmark": "vqa-rad",
        "split": "test",
        "model": f"org/{name}",
        "prompt_form": "plain",
        "questions": 200,
        "scored": 200,
        "partial": False,
        "limit": None,
        "languages": ["en"],
        "examples": [],
        "metrics": {},
        "groups": {},
        **more,
    }
    if scorers is not None:
        scores["scorers"] = scorers
    stated = {"kind": "llavamed-scores", "variant": {}, "scores": [scores]}
    (folder / f"{name}.scores.json").write_text(json.dumps(stated))


def comparable(folder: Path) -> list[Table]:
    return [table for table in fill(collect(folder)) if table.title == "Comparable scores"]


def test_main_metrics_of_every_scorer_stand_side_by_side(tmp_path: Path) -> None:
    """Answers without looking are the last rows of each benchmark; a kit without a score leaves its cell empty."""
    put(tmp_path, "a", {"authors": AUTHORS, "medevalkit": KIT})
    put(tmp_path, "b", {"authors": AUTHORS, "lmms-eval": {"unscored": "not scored by this kit; its rules"}})
    put(tmp_path, "c", {"medevalkit": KIT}, benchmark="slake", languages=["en", "zh"])
    (table,) = comparable(tmp_path)
    assert table.columns == ("authors: open recall", "medevalkit: closed accuracy")
    shown = {
        title: [(row.head[0], [cell.ours for cell in row.cells]) for row in rows]
        for title, rows in table.groups
    }
    assert shown == {
        "vqa-rad (test)": [
            ("a", [40.0, 18.0]),
            ("b", [40.0, None]),
            ("majority answer", [6.0, 53.0]),
            ("always yes", [None, 47.0]),
            ("always no", [None, 53.0]),
        ],
        "slake (test, en and zh)": [
            ("c", [None, 18.0]),
            ("majority answer", [None, 53.0]),
            ("always yes", [None, 47.0]),
            ("always no", [None, 53.0]),
        ],
    }
    assert "lmms-eval on vqa-rad: not scored by this kit." in table.notes


def test_values_that_are_no_whole_result_are_marked(tmp_path: Path) -> None:
    put(tmp_path, "a", {"medevalkit": KIT}, partial=True, scored=150, images="blank")
    (table,) = comparable(tmp_path)
    notes = dict(table.marked)
    (cell,) = table.groups[0][1][0].cells
    assert [notes[mark] for mark in cell.our_marks] == [
        "PARTIAL: 150 of 200 questions have an answer.",
        "BLIND: the model was shown blank images instead of the questions' own, so this is no result.",
        "medevalkit stops at 3 of these answers, which count 0 (ROUGE raises ValueError).",
    ]


def test_results_without_scorers_make_no_such_table(tmp_path: Path) -> None:
    put(tmp_path, "a", None)
    assert comparable(tmp_path) == []


def test_the_table_is_drawn_in_every_format(tmp_path: Path) -> None:
    put(tmp_path, "a", {"authors": AUTHORS, "medevalkit": KIT})
    tables = comparable(tmp_path)
    assert "| a | plain | ours | **40.00**<sup>a</sup> | **18.00**<sup>a</sup> |" in to_markdown(tables)
    assert r"majority answer &  & ours & \textbf{6.00} & \textbf{53.00} \\" in to_latex(tables)
    page = to_html(tables)
    assert "those with &lt;yes&gt;" in page
    assert "<yes>" not in page
