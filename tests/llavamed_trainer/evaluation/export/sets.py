"""Sets of questions to export, made with drawn images: open, closed and multiple-choice questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, List, Value

from tests.llavamed_trainer.evaluation.benchmarks import drawn

_PART = {"type": Value("string"), "text": Value("string")}
FEATURES = Features(
    {
        "images": List(Image()),
        "messages": List({"role": Value("string"), "content": List(_PART)}),
        "question": Value("string"),
        "choices": List(Value("string")),
        **{name: Value("string") for name in ("id", "answer_type", "question_type", "language")},
    }
)


def asked(
    identity: str,
    question: str,
    answer: str,
    answer_type: str | None,
    images: Sequence[bytes | None],
    choices: Sequence[str] = (),
    **more: str,
) -> dict[str, Any]:
    """A row with one question; None is an image that is lost."""
    shown = "\n".join(
        [question, *(f"{letter}. {text}" for letter, text in zip("ABCDEFGH", choices, strict=False))]
    )
    parts = [{"type": "image", "text": None} for _ in images]
    return {
        "images": [{"bytes": image, "path": f"{at}.png"} for at, image in enumerate(images) if image],
        "messages": [
            {"role": "user", "content": [*parts, {"type": "text", "text": shown}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
        "question": question if choices else None,
        "choices": list(choices),
        "id": identity,
        "answer_type": answer_type,
        "question_type": "PLANE",
        "language": "en",
        **more,
    }


VQA_ROWS = [
    asked("a-1", "Is there a fracture?", "No", "CLOSED", [drawn(1)]),
    asked("a-2", "Which\tplane,\n\"axial\" or 'coronal'?", "axial", "OPEN", [drawn(1)]),
    asked("a-3", "=SUM(A1)", "None", "OPEN", [drawn(2, "PNG"), drawn(3)]),
    asked("a-4", "!function utils.doc_to_text", "两个", "OPEN", [drawn(4)], language="zh"),
    asked("a-5", "Is it large?", "yes", "CLOSED", [drawn(4)]),
]

CHOICE_ROWS = [
    asked("c-1", "Which scan?", "B", "CHOICE", [drawn(5)], ["MRI", "CT", "None"]),
    asked("c-2", "Which organ?", "A", "CHOICE", [drawn(6), drawn(7)], ["liver", "10"]),
]


def write_set(folder: Path, rows: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> str:
    """Writes a dataset's folder; returns its path."""
    (folder / "data").mkdir(parents=True)
    dataset = Dataset.from_list([dict(row) for row in rows], features=FEATURES).remove_columns(list(without))
    dataset.to_parquet(folder / "data/test-00000-of-00001.parquet")
    return str(folder)
