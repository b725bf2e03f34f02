"""A tiny model of each family, and rows of several images, one, and none."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import AutoProcessor, ProcessorMixin

from tests.llavamed_trainer.tiny_models import KINDS, missing_package, write_tiny_model

Row = dict[str, Any]


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a tiny model; the tests that use it run for each."""
    name: str = request.param
    if package := missing_package(name):
        pytest.skip(f"the processor of {name} needs {package}")
    return name


@pytest.fixture(scope="session")
def tiny_model(kind: str, drawn_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model."""
    texts = [
        part["text"]
        for row in drawn_rows
        for turn in row["messages"]
        for part in turn["content"]
        if part["text"]
    ]
    return write_tiny_model(kind, tmp_path_factory.mktemp(kind), texts)


@pytest.fixture
def processor(tiny_model: Path) -> ProcessorMixin:
    return AutoProcessor.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def batches(drawn_rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of one image, of two, of none, and all of them together."""
    one, two, none = drawn_rows[:3], with_two_images(*drawn_rows[3:5]), without_images(drawn_rows[6])
    return {
        "one image": one,
        "two images": [two, with_two_images(*drawn_rows[7:9])],
        "no image": [none, without_images(drawn_rows[9])],
        "mixed": [two, one[0], none],
    }


def with_two_images(row: Row, other: Row) -> Row:
    """The row with the image of another row before its own."""
    made = copy.deepcopy(row)
    made["id"] += "-two"
    made["images"] = other["images"] + made["images"]
    made["messages"][0]["content"].insert(0, {"type": "image", "text": None})
    return made


def without_images(row: Row) -> Row:
    made = copy.deepcopy(row)
    made["id"] += "-none"
    made["images"] = []
    for turn in made["messages"]:
        turn["content"] = [part for part in turn["content"] if part["type"] == "text"]
    return made


def as_trl_takes_it(row: Row) -> Row:
    """The row with decoded images, and without keys that are None."""
    messages = [
        {
            "role": turn["role"],
            "content": [{k: v for k, v in part.items() if v is not None} for part in turn["content"]],
        }
        for turn in row["messages"]
    ]
    return {"messages": messages, "images": [Image.open(io.BytesIO(each["bytes"])) for each in row["images"]]}


def answers(row: Row) -> list[str]:
    return [turn["content"][0]["text"] for turn in row["messages"] if turn["role"] == "assistant"]
