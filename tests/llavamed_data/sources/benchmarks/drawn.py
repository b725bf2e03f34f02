"""The three benchmarks in the forms in which users have them, with a few drawn images."""

import io
import json
import pickle
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, Value
from PIL import Image as Pillow


@cache
def picture(number: int, form: str = "JPEG") -> bytes:
    """A small image that no other number gives."""
    sink = io.BytesIO()
    Pillow.linear_gradient("L").resize((64, 48)).point(lambda level: (level + 40 * number) % 256).save(
        sink, form
    )
    return sink.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


RAD_ROWS: list[dict[str, Any]] = [
    {"qid": 1, "image_name": "synpic1.jpg", "question": "Is there a mass?", "answer": "Yes", "answer_type": "CLOSED ",
     "question_type": "PRSE", "phrase_type": "freeform"},
    {"qid": 2, "image_name": "synpic1.jpg", "question": " How many? ", "answer": 2, "answer_type": "OPEN",
     "question_type": "COUNT", "phrase_type": "para"},
    {"qid": 3, "image_name": "synpic2.jpg", "question": "Is it there?", "answer": "No", "answer_type": "CLOSED",
     "question_type": "PRES", "phrase_type": "frame"},
    {"qid": 4, "image_name": "synpic2.jpg", "question": "CT or MRI?", "answer": "MRI", "answer_type": "CLOSED",
     "question_type": "MODALITY", "phrase_type": "test_freeform"},
    {"qid": 5, "image_name": "synpic1.jpg", "question": "What is it?", "answer": "a cyst", "answer_type": "OPEN",
     "question_type": "ABN", "phrase_type": "test_para"},
]  # fmt: skip
"""In the public file's form; the third is a framed row, as the other form has them too."""


def write_rad_pair(folder: Path) -> Path:
    """`trainset.json`, `testset.json` and `images/`."""
    test = [row | {"phrase_type": row["phrase_type"].removeprefix("test_")} for row in RAD_ROWS[3:]]
    write(folder / "trainset.json", json.dumps(RAD_ROWS[:3]))
    write(folder / "testset.json", json.dumps(test))
    return _rad_images(folder / "images")


def write_rad_public(folder: Path) -> Path:
    """The one public file and its folder of images."""
    write(folder / "VQA_RAD Dataset Public.json", json.dumps(RAD_ROWS))
    return _rad_images(folder / "VQA_RAD Image Folder")


def _rad_images(folder: Path) -> Path:
    for number in (1, 2):
        write(folder / f"synpic{number}.jpg", picture(number))
    return folder.parent


def slake_row(qid: int, image: int, language: str, **fields: Any) -> dict[str, Any]:
    texts = {"en": ("Is this a CT?", "Yes"), "zh": ("这是CT吗?", "是的")}[language]
    return {
        "img_id": image,
        "img_name": f"xmlab{image}/source.jpg",
        "question": texts[0],
        "answer": texts[1],
        "q_lang": language,
        "location": "Lung",
        "modality": "X-Ray",
        "answer_type": "CLOSED",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": qid,
    } | fields


def write_slake(folder: Path, *, zipped: bool = False) -> Path:
    """Two questions a split, one in each language, about an image of its own."""
    for number, name in enumerate(("train", "validate", "test")):
        rows = [slake_row(2 * number, number, "en"), slake_row(2 * number + 1, number, "zh")]
        write(folder / f"{name}.json", json.dumps(rows, ensure_ascii=False))
    for number in range(3):
        write(folder / "imgs" / f"xmlab{number}" / "source.jpg", picture(number))
        write(folder / "imgs" / f"xmlab{number}" / "mask.png", picture(9, "PNG"))
    if zipped:
        _zip_away(folder / "imgs", folder / "imgs.zip")
    return folder


def _zip_away(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            opened.write(path, path.relative_to(folder.parent))
            path.unlink()


def path_rows(split: str) -> list[dict[str, str]]:
    asked = [("where is the nucleus?", "centre"), ("is fat present?", "Yes"), ("is it dead?", "no")]
    return [{"image": f"{split}_0001", "question": question, "answer": answer} for question, answer in asked]


def write_path(folder: Path, *, as_json: bool = False) -> Path:
    """`qas/SPLIT/SPLIT_qa.pkl` and `images/SPLIT/SPLIT_0001.jpg`."""
    for number, split in enumerate(("train", "val", "test")):
        rows = path_rows(split)
        qas = folder / "qas" / split
        if as_json:
            write(qas / f"{split}_qa.json", json.dumps(rows))
        else:
            write(qas / f"{split}_qa.pkl", pickle.dumps(rows))
        write(folder / "images" / split / f"{split}_0001.jpg", picture(number))
    return folder


def write_hub_layout(folder: Path, splits: dict[str, list[tuple[bytes, str, str]]]) -> Path:
    """`data/SPLIT-0000i-of-0000n.parquet` with image, question and answer, two rows a shard, as the Hub copies."""
    features = Features({"image": Image(), "question": Value("string"), "answer": Value("string")})
    for split, rows in splits.items():
        shards = [rows[start : start + 2] for start in range(0, len(rows), 2)]
        for index, shard in enumerate(shards):
            table = pa.table(
                {
                    "image": [{"bytes": data, "path": None} for data, _, _ in shard],
                    "question": [question for _, question, _ in shard],
                    "answer": [answer for _, _, answer in shard],
                },
                schema=features.arrow_schema,
            )
            path = folder / "data" / f"{split}-{index:05d}-of-{len(shards):05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
    return folder


def write_rad_hub(folder: Path) -> Path:
    """VQA-RAD as its Hub copy has it: lower-case answers, no types, no numbers."""
    rows = [
        (picture(int(row["image_name"][6])), row["question"].strip(), str(row["answer"]).lower())
        for row in RAD_ROWS
        if row["phrase_type"] != "frame"
    ]
    return write_hub_layout(folder, {"train": rows[:2], "test": rows[2:]})
