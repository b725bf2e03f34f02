"""The kits themselves read what is exported; each is skipped where it is not at hand.

    python -m venv lmms && lmms/bin/pip install lmms-eval==0.7.3 "filelock<3.21"
    LMMS_EVAL_PYTHON=lmms/bin/python VLMEVALKIT=../VLMEvalKit VLMEVALKIT_PYTHON=vlmevalkit/bin/python \\
        pytest tests/llavamed_trainer/evaluation/export/test_kits.py

`LMMS_EVAL_PYTHON` is a Python that has lmms-eval, `VLMEVALKIT` a checkout and `VLMEVALKIT_PYTHON` a Python that has
what it imports. Seen with lmms-eval 0.7.3 of PyPI and with VLMEvalKit of commit e8e78f0.
"""

import hashlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llavamed_trainer.evaluation.export import ExportOptions, export_task
from llavamed_trainer.evaluation.questions import Prediction, load_questions
from llavamed_trainer.evaluation.scoring.scores import metric_values
from tests.llavamed_trainer.evaluation.export.sets import CHOICE_ROWS, VQA_ROWS, write_set

HERE = Path(__file__).parent


def run_in_kit(python: str, script: str, *arguments: str, **environment: str) -> Any:
    """What a script prints as JSON under the Python of a kit, which does not see this project."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, HERE / script, *arguments],
        capture_output=True,
        text=True,
        env={**kept, "HF_HUB_OFFLINE": "1", **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def pixels(row: dict[str, Any]) -> list[list[Any]]:
    """Width, height and a hash of the pixels of each image of a row."""
    images = [Image.open(io.BytesIO(image["bytes"])).convert("RGB") for image in row["images"]]
    return [[*image.size, hashlib.sha256(image.tobytes()).hexdigest()] for image in images]


@pytest.mark.slow
def test_lmms_eval_loads_asks_and_scores(tmp_path: Path) -> None:
    """Its task manager finds the task; prompts, images, targets and scores are ours."""
    python = os.environ.get("LMMS_EVAL_PYTHON")
    if not python:
        pytest.skip("needs a Python that has lmms-eval: name it with LMMS_EVAL_PYTHON")
    source = write_set(tmp_path / "my-set", VQA_ROWS)
    task = export_task(tmp_path / "tasks", ExportOptions(source, "lmms-eval", language="all"))
    answers = ["No fracture.", "axial", "It is None", "两个", "no"]
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    loaded = run_in_kit(
        *(
            python,
            "load_lmms_eval.py",
            str(tmp_path / "tasks"),
            task.names[0],
            str(tmp_path / "answers.json"),
        ),
        HF_HOME=str(tmp_path / "home"),
    )
    wanted = dict[str, list[float]]()
    questions = load_questions(source, language="all").questions
    for found, row, question, answer in zip(loaded["asked"], VQA_ROWS, questions, answers, strict=True):
        assert (found["id"], found["prompt"], found["target"]) == (
            question.id,
            question.text,
            question.reference,
        )
        assert [[*size, digest] for *size, _, digest in found["images"]] == pixels(row)
        assert found["generation"]["until"] == []
        for metric, value in metric_values(Prediction(question, question.text, "plain", answer, "m")).items():
            wanted.setdefault(metric, []).append(value)
    assert loaded["metrics"] == wanted
    assert loaded["means"] == pytest.approx({name: sum(each) / len(each) for name, each in wanted.items()})


@pytest.mark.slow
def test_vlmevalkit_loads_and_asks(tmp_path: Path) -> None:
    """Its loader takes each file for the right kind of dataset; texts, options and pixels are ours."""
    checkout, python = os.environ.get("VLMEVALKIT"), os.environ.get("VLMEVALKIT_PYTHON")
    if not checkout or not python:
        pytest.skip("needs VLMEvalKit: name a checkout with VLMEVALKIT and a Python with VLMEVALKIT_PYTHON")
    rows = [*CHOICE_ROWS, *VQA_ROWS]
    source = write_set(tmp_path / "my-set", rows)
    task = export_task(tmp_path / "data", ExportOptions(source, "vlmevalkit", language="all"))
    loaded = run_in_kit(python, "load_vlmevalkit.py", checkout, *task.names, LMUData=str(tmp_path / "data"))
    choice, other = (loaded[name] for name in task.names)
    assert (choice["class"], choice["type"]) == ("CustomMCQDataset", "MCQ")
    assert (other["class"], other["type"]) == ("CustomVQADataset", "VQA")
    for found, row in zip([*choice["asked"], *other["asked"]], rows, strict=True):
        assert found["question_id"] == row["id"]
        assert found["images"] == pixels(row)
        assert found["answer"].rstrip() == row["messages"][1]["content"][0]["text"]
        assert (row["question"] or row["messages"][0]["content"][-1]["text"]) in found["text"]
    assert "A. MRI\nB. CT\nC. None \n" in choice["asked"][0]["text"]
    assert "A. liver\nB. 10\n" in choice["asked"][1]["text"]
    assert "C." not in choice["asked"][1]["text"]
