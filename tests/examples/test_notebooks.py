"""The notebooks in `examples/`: each is run from its first cell to its last, and what a reader sees is checked."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import CHECKOUT, EXAMPLES

NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))

Cell = dict[str, Any]


def code_cells(path: Path) -> list[Cell]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_notebook(name: str, folder: Path) -> list[Cell]:
    """Runs a notebook with nbclient, beside the scripts that it may import, and returns its code cells."""
    ran = folder / name
    with tempfile.TemporaryDirectory() as temporary:  # a short path, as those of the build's sockets must be
        done = subprocess.run(
            [sys.executable, "-m", "jupyter_core", "execute", f"--output={ran}", EXAMPLES / name],
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "TMPDIR": temporary,
                "IPYTHONDIR": f"{temporary}/ipython",
            },
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return code_cells(ran)


def printed(cell: Cell) -> str:
    return "".join(
        "".join(output["text"])
        for output in cell["outputs"]
        if output["output_type"] == "stream" and output["name"] == "stdout"
    )


def shown(cell: Cell, kind: str) -> list[str]:
    """What a cell shows in a MIME type."""
    found = [output["data"][kind] for output in cell["outputs"] if kind in output.get("data", {})]
    return ["".join(each) for each in found]


def picture_sizes(cells: list[Cell]) -> list[tuple[int, int]]:
    """The width and height in pixels of each picture, which is decoded."""
    sizes = []
    for cell in cells:
        for data in shown(cell, "image/jpeg") or shown(cell, "image/png"):
            with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
                picture.load()
                sizes.append(picture.size)
    return sizes


def all_text(cells: list[Cell]) -> str:
    return "\n".join(text for cell in cells for text in (printed(cell), *shown(cell, "text/plain")))


def assert_learnt(cells: list[Cell]) -> None:
    """Checks that a reader sees a model that has learnt what it was trained on."""
    text = all_text(cells)
    first, last = map(float, re.search(r"140 training steps, loss ([\d.]+) → ([\d.]+)\n", text).groups())
    assert last < first / 4
    weights = re.findall(r"(?m)^(vision_tower|multi_modal_projector|language_model) +([\d,]+) weights$", text)
    assert [int(count.replace(",", "")) for _, count in weights] == [105_984, 8_320, 196_928]
    assert "learnt:  This is a chest X-ray.</s>" in text
    before, after = re.search(r"models/tiny: (.*)\nruns/trained: (.*)\n", text).groups()
    assert "X-ray" not in before
    assert after.startswith("This is a")
    assert text.count("20 of 20 questions answered") == 2
    recall = re.search(r"open_recall +(\d+) % .*?(\d+) %", text)
    assert int(recall[1]) < 20
    assert int(recall[2]) > 40, "saying always the same of five kinds of image gets 20"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_holds_the_results_of_one_run_without_errors(name: str) -> None:
    cells = code_cells(EXAMPLES / name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    assert f"[{name}]({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_sentence_stands_before_what_a_notebook_does_next(name: str) -> None:
    cells = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
    kinds = "".join("t" if cell["cell_type"] == "markdown" else "c" for cell in cells)
    assert re.fullmatch(r"(tc{1,2})+t", kinds)


def test_looking_at_a_dataset_shows_what_the_notebook_holds(tmp_path: Path) -> None:
    stored, ran = (
        code_cells(EXAMPLES / "look_at_dataset.ipynb"),
        run_notebook("look_at_dataset.ipynb", tmp_path),
    )
    assert all_text(ran) == all_text(stored)
    assert [shown(cell, "text/html") for cell in ran] == [shown(cell, "text/html") for cell in stored]
    figure, strip, domains, lengths = picture_sizes(ran)
    assert (figure, strip) == ((368, 404), (850, 160))
    assert min(*domains, *lengths) > 100
    text = all_text(ran)
    assert re.search(r"assemble +rows +38 +38", text)
    assert "assistant: This is a chest X-ray.\n" in text
    assert "no fault\n" in text


def test_the_training_notebook_holds_the_results_of_a_model_that_learnt() -> None:
    assert_learnt(code_cells(EXAMPLES / "train_and_chat.ipynb"))


@pytest.mark.slow
def test_training_and_chatting_ends_with_a_model_that_learnt(tmp_path: Path) -> None:
    cells = run_notebook("train_and_chat.ipynb", tmp_path)
    assert_learnt(cells)
    chart, figure = picture_sizes(cells)
    assert min(chart) > 100
    assert figure == (368, 404)
