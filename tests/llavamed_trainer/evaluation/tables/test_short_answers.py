"""Judged open answers have a table of their own in every format."""

from pathlib import Path
from typing import Any

from llavamed_trainer.evaluation.tables import collect, fill, to_html, to_latex, to_markdown
from tests.llavamed_trainer.evaluation.tables.test_tables import put, scores


def judged(unjudged: int = 0, *, both_orders: bool = True) -> dict[str, Any]:
    def share(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 1, "high": value + 1, "count": 100 - unjudged}

    def judge(name: str, value: float, disputed: int) -> dict[str, Any]:
        return {
            "judge": name,
            "accuracy": share(value),
            "disputed": disputed,
            "unjudged": unjudged,
            "kinds": {},
        }

    return {
        "questions": 100,
        "empty": 0,
        "both_orders": both_orders,
        "partial": unjudged > 0,
        "judges": [judge("gpt-4o", 61.0, 4), judge("other", 55.0, 0)],
        "exact_match": share(40.0),
        "agreements": [
            {"one": "gpt-4o", "other": "exact match", "rows": 100, "same": 79, "kappa": 0.6},
            {"one": "gpt-4o", "other": "other", "rows": 100, "same": 90, "kappa": None},
        ],
    }


def test_each_judge_of_an_answer_file_has_a_row(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60, short_answers=judged()))
    put(tmp_path, "b.json", "", scores("slake", 30, 60))  # not judged
    table = fill(collect(tmp_path))[-1]
    ((_, rows),) = table.groups
    assert [row.head for row in rows] == [
        ("model", "vqa-rad", "test", "options", "gpt-4o"),
        ("model", "vqa-rad", "test", "options", "other"),
    ]
    assert [cell.ours for cell in rows[0].cells] == [61, 40, 4, 0.6, None]
    assert [cell.ours for cell in rows[1].cells] == [55, None, 0, None, None]
    for render in (to_markdown, to_latex, to_html):
        assert "Open answers, judged by an LLM" in render(fill(collect(tmp_path)))


def test_partial_and_one_order_scores_say_so(tmp_path: Path) -> None:
    one = scores("vqa-rad", 30, 60, short_answers=judged(20, both_orders=False), limit=5)
    put(tmp_path, "a.json", "", one)
    table = fill(collect(tmp_path))[-1]
    assert [note for _, note in table.marked] == [
        "PARTIAL: 80 of 100 open questions have a verdict.",
        "Judged with the reference first only.",
        "PARTIAL: the first 5 questions alone were asked (--limit).",
    ]
    assert table.groups[0][1][0].cells[2].ours is None  # nothing can be disputed


def test_without_judged_answers_there_is_no_such_table(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "", scores("vqa-rad", 30, 60))
    assert all(table.title != "Open answers, judged by an LLM" for table in fill(collect(tmp_path)))
