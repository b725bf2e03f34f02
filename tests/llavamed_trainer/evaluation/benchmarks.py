"""Makes small benchmarks with the published columns and drawn images."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image, ImageDraw

from llavamed_data.dataset.schema import features

SHADES = ("black", "white", "red", "navy", "olive", "teal", "gray", "maroon")


def drawn(number: int, form: str = "JPEG") -> bytes:
    """The bytes of a small image that differs with its number."""
    image = Image.new("RGB", (40 + number % 5, 36), SHADES[number % len(SHADES)])
    ImageDraw.Draw(image).ellipse((5, 5, 10 + number % 20, 30), fill=SHADES[(number // 3 + 1) % len(SHADES)])
    stored = io.BytesIO()
    image.save(stored, form)
    return stored.getvalue()


def make_row(identity: str, question: str, answer: str, image: bytes | None, **more: Any) -> dict[str, Any]:
    """A row as `build` writes it; `more` holds the columns of its kind of dataset."""
    return {
        "images": [] if image is None else [{"bytes": image, "path": f"{identity}.jpg"}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "text": None}, {"type": "text", "text": question}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
        "id": identity,
        "domain": None,
        "caption": "",
        "inline_mentions": [],
        "figure_label": "",
        "pmcid": None,
        "pmid": None,
        "license": "CC0",
        "provenance": {"source": "drawn", "recipe": "drawn", "generator": "drawn"},
        **more,
    }


def make_set(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], split: str = "test") -> Path:
    """Writes a dataset's folder that stock `load_dataset` opens."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    names = features(kind)
    stated = {"source_date", "model", "prompt_sha256", "few_shots_sha256", "rules_version"}
    whole = [{**row, "provenance": {**dict.fromkeys(stated), **row["provenance"]}} for row in rows]
    Dataset.from_list(whole, features=names).to_parquet(folder / f"data/{split}-00000-of-00001.parquet")
    return folder


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes a JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
