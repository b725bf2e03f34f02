"""A tiny LLaVA, and rows to train it on: drawn ones, and the real evaluation set where it is."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from llavamed_data import BuildOptions, build
from llavamed_trainer.assembly import assemble_tiny

Row = dict[str, Any]

SHAPES = ("square", "circle", "line", "cross")
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="session")
def drawn_rows() -> list[Row]:
    """48 rows: a drawn shape, a question or three, short answers."""
    return [_drawn(number) for number in range(48)]


@pytest.fixture(scope="session")
def eval_rows(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The 115 rows of the released evaluation set whose images are there, as a build makes them."""
    from datasets import Image as Picture
    from datasets import List, load_dataset

    out = tmp_path_factory.mktemp("eval-set")
    source = shared_data / "llava_med_eval"
    options = BuildOptions(
        source=f"released:{source}", images=str(source / "images"), out=out, work=out / "work"
    )
    build(["eval"], options)
    rows = load_dataset(str(out / "eval"), split="test").cast_column("images", List(Picture(decode=False)))
    return [{name: row[name] for name in ("id", "images", "messages")} for row in rows]


@pytest.fixture(scope="session")
def tiny_llava(drawn_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random LLaVA with the paper's linear projector and the Vicuna v1 template."""
    texts = [
        part["text"]
        for row in drawn_rows
        for turn in row["messages"]
        for part in turn["content"]
        if part["text"]
    ]
    return assemble_tiny(tmp_path_factory.mktemp("tiny-llava"), texts)


def _drawn(number: int) -> Row:
    shape, colour = SHAPES[number % 4], COLOURS[number // 4 % 4]
    image = Image.new("RGB", (80 + number, 64), "black")
    draw = ImageDraw.Draw(image)
    box = (10 + number % 7, 10, 50, 50)
    match shape:
        case "square":
            draw.rectangle(box, fill=colour)
        case "circle":
            draw.ellipse(box, fill=colour)
        case "line":
            draw.line(box, fill=colour, width=5)
        case _:
            draw.line(box, fill=colour, width=3)
            draw.line((box[0], box[3], box[2], box[1]), fill=colour, width=3)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    turns = [("What does the image show?", f"A {colour} {shape}.")]
    if number % 3 == 0:
        turns += [("Which colour is it?", colour.capitalize()), ("Is it alive?", "No, it is drawn.")]
    messages = []
    for index, (question, answer) in enumerate(turns):
        image_part = [{"type": "image", "text": None}] if index == 0 else []
        messages.append({"role": "user", "content": [*image_part, {"type": "text", "text": question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return {
        "id": f"drawn-{number}",
        "images": [{"bytes": file.getvalue(), "path": f"{number}.jpg"}],
        "messages": messages,
    }
