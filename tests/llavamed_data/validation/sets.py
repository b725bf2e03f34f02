"""Small sound datasets, written with pyarrow alone, for tests to read or to damage."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from llavamed_data.dataset.schema import arrow_schema

Row = dict[str, Any]

DOMAINS = ("chest_xray", "mri", "histology", "gross", "ct_scan")


def jpeg(shade: int, size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise(size, 40).point(lambda value: (value + shade) % 256)
    noise.save(file, "JPEG", quality=80)
    return file.getvalue()


def turn(role: str, *texts: str, image: bool = False) -> Row:
    parts: list[Row] = [{"type": "image", "text": None}] if image else []
    return {"role": role, "content": [*parts, *({"type": "text", "text": text} for text in texts)]}


def instruct_row(number: int) -> Row:
    return {
        "images": [{"bytes": jpeg(number), "path": f"{number}_F1.jpg"}],
        "messages": [
            turn("user", "What does the image show?", image=True),
            turn("assistant", "A synthetic phantom."),
            turn("user", "Is it a person?"),
            turn("assistant", "No, it is noise."),
        ],
        "id": f"{9000 + number}_F1",
        "domain": DOMAINS[number % 5],
        "caption": "A phantom made of noise.",
        "inline_mentions": ["Noise is shown in Fig. 1."],
        "figure_label": "Figure 1",
        "pmcid": f"PMC{5000 + number}",
        "pmid": str(9000 + number),
        "license": "CC BY",
        "provenance": {
            "source": "sample",
            "source_date": None,
            "recipe": "10k",
            "generator": "offline",
            "model": None,
            "prompt_sha256": None,
            "few_shots_sha256": None,
            "rules_version": "1",
        },
    }


def alignment_row(number: int) -> Row:
    row = instruct_row(number)
    return row | {
        "messages": row["messages"][:2],
        "domain": None,
        "provenance": row["provenance"] | {"recipe": "alignment-600k"},
    }


def eval_row(number: int) -> Row:
    row = instruct_row(number)
    return row | {
        "messages": row["messages"][:2],
        "provenance": row["provenance"] | {"recipe": "eval"},
        "question_id": number,
        "question_type": "conversation" if number % 2 else "detailed_description",
    }


def vqa_row(number: int) -> Row:
    row = instruct_row(number)
    return row | {
        "messages": row["messages"][:2],
        "domain": None,
        "pmcid": None,
        "pmid": None,
        "provenance": row["provenance"] | {"recipe": "slake"},
        "answer_type": "CLOSED",
        "question_type": None,
        "language": "en",
    }


def choice_row(number: int) -> Row:
    row = vqa_row(number)
    choices = ["A phantom, made of noise", "A person"]
    asked = turn("user", f"What is shown?\nA. {choices[0]}\nB. {choices[1]}", image=True)
    asked["content"].insert(0, {"type": "image", "text": None})
    added = {"question": "What is shown?", "choices": choices, "answer_type": "CHOICE"}
    types = {name: row.pop(name) for name in ("answer_type", "question_type", "language")}
    return row | {
        "images": [*row["images"], {"bytes": jpeg(number + 50), "path": None}],
        "messages": [asked, turn("assistant", "AB"[number % 2])],
        "provenance": row["provenance"] | {"recipe": "medframeqa"},
        **added,
        **{name: value for name, value in types.items() if name != "answer_type"},
    }


MAKERS: dict[str, Callable[[int], Row]] = {
    "alignment": alignment_row,
    "instruct": instruct_row,
    "eval": eval_row,
    "vqa": vqa_row,
    "choice": choice_row,
}


def card(**rows: int) -> str:
    splits = "".join(f"  - name: {split}\n    num_examples: {count}\n" for split, count in rows.items())
    return f"---\nlicense: cc-by-4.0\ndataset_info:\n  splits:\n{splits}---\n# A set for tests\n"


def write_set(
    folder: Path,
    rows: Sequence[Row],
    *,
    kind: str = "instruct",
    shards: int = 2,
    schema: pa.Schema | None = None,
) -> Path:
    """Writes `rows` over `shards` files of row groups of 4, and a card with their number."""
    split = "test" if kind == "eval" else "train"
    (folder / "data").mkdir(parents=True)
    size = -(-len(rows) // shards)
    for index in range(shards):
        table = pa.Table.from_pylist(rows[index * size : (index + 1) * size], schema or arrow_schema(kind))
        pq.write_table(
            table, folder / "data" / f"{split}-{index:05d}-of-{shards:05d}.parquet", row_group_size=4
        )
    (folder / "README.md").write_text(card(**{split: len(rows)}), encoding="utf-8")
    return folder


def sound_set(folder: Path, kind: str = "instruct", *, first: int = 0, rows: int = 12) -> Path:
    return write_set(folder, [MAKERS[kind](number) for number in range(first, first + rows)], kind=kind)
