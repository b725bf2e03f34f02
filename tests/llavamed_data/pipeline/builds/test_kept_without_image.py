"""`build eval --keep-without-image` says how many questions it keeps without their image, and why these are lost."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import llavamed_data
from tests.llavamed_data.pipeline.builds.test_image_markers import drawn


@pytest.fixture(autouse=True)
def _released_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four questions about three images, of which one is there, one is empty and one is missing."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("images/1_F1.jpg").write_bytes(drawn())
    Path("images/2_F1.jpg").write_bytes(b"")
    rows: list[dict[str, Any]] = [
        {
            "question_id": number,
            "image": f"{figure}.jpg",
            "pair_id": figure,
            "text": "What is it?\n<image>",
            "gpt4_answer": "A cyst.",
            "fig_caption": "A cyst.",
            "in_text_mention": [],
            "domain": {"mri": True},
            "type": "conversation",
        }
        for number, figure in enumerate(["1_F1", "2_F1", "2_F1", "3_F1"])
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    Path("llava_med_eval_qa50_qa.jsonl").write_text(lines)


def test_questions_without_image_are_counted_and_the_reasons_listed() -> None:
    summary = llavamed_data.build("eval", source="released:.", images="images", keep_without_image=True)
    assert summary.datasets[0].rows == 4
    _, kept, lost = summary.notes
    assert kept == "eval: 3 questions kept without image"
    said, _, path = lost.rpartition(" ")
    assert said == "eval: 2 lost images, with reasons:"
    lines = csv.DictReader(Path(path).read_text().splitlines())
    assert {line["pair_id"]: line["reason"] for line in lines} == {
        "2_F1": "image empty",
        "3_F1": "image missing",
    }


def test_without_any_images_all_questions_are_counted() -> None:
    summary = llavamed_data.build("eval", source="released:.", keep_without_image=True)
    assert summary.notes[1:] == ["eval: 4 questions kept without image"]
