"""The collator beside TRL's with assistant-only loss, on real images of the evaluation set, decoding included.

    python -m tests.benchmarks.bench_collate

Images of 336 pixels in patches of 14 (576 tokens), batches of 8, one thread, the same rows for all. Questions and
answers are those of the evaluation set; a row of several turns has those of the rows after it, too. TRL takes decoded
images: its time has Pillow's decoding in full in it, as `datasets` does it.
"""

import io
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Image as Picture
from datasets import List, load_dataset
from PIL import Image
from transformers import AutoProcessor, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from llavamed_data import BuildOptions, build
from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.collate import LlavaMedCollator
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA

BATCH = 8
BATCHES = 4
TURNS = (1, 3, 10)
AIMS = {1: 3, 3: 5, 10: 12}
SIDE = 336
WORDS = 2_000
"""Size of the tokenizer's vocabulary; it makes 1.5 tokens a word of these texts, as Vicuna's does."""

Row = dict[str, Any]


def main() -> None:
    """Prints one table for each number of turns."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = eval_rows(Path(folder))
        processor = _processor(Path(folder) / "tiny", rows)
    ours, exact = (
        LlavaMedCollator(processor, max_length=None, exact_images=exact) for exact in (False, True)
    )
    stock = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True, max_length=None)
    images = {row["images"][0]["bytes"] for row in rows}
    print(f"{len(rows)} rows, {len(images)} images of {sum(map(len, images)) / len(images) / 1024:.0f} KiB")
    for turns in TURNS:
        taken = with_turns(rows, turns)[:: len(rows) // (BATCH * BATCHES)][: BATCH * BATCHES]
        peers = {
            "LlavaMedCollator": partial(_collate, ours, taken),
            "… with exact_images": partial(_collate, exact, taken),
            "TRL": partial(_collate, lambda batch: stock([decoded(row) for row in batch]), taken),
        }
        _check_alike(ours, stock, taken[:BATCH])
        title = f"{turns} assistant turn{'s' * (turns > 1)} (aim: {AIMS[turns]} times as fast as TRL)"
        show(title, medians(peers), amount=len(taken), unit="samples", ours="LlavaMedCollator")


def _collate(collator: Callable[[list[Row]], object], rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), BATCH):
        collator(list(rows[start : start + BATCH]))


def eval_rows(folder: Path) -> list[Row]:
    source = SHARED_DATA / "llava_med_eval"
    options = BuildOptions(
        source=f"released:{source}", images=str(source / "images"), out=folder, work=folder / "work"
    )
    build(["eval"], options)
    rows = load_dataset(str(folder / "eval"), split="test", cache_dir=str(folder / "cache"))
    rows = rows.cast_column("images", List(Picture(decode=False)))
    return [_without_gaps(row) for row in rows if row["images"]]


def _without_gaps(row: Row) -> Row:
    messages = [
        {
            "role": turn["role"],
            "content": [
                {name: value for name, value in part.items() if value is not None} for part in turn["content"]
            ],
        }
        for turn in row["messages"]
    ]
    return {"id": row["id"], "images": row["images"], "messages": messages}


def _processor(folder: Path, rows: Sequence[Row]) -> LlavaProcessor:
    texts = [part.get("text", "") for row in rows for turn in row["messages"] for part in turn["content"]]
    processor: LlavaProcessor = AutoProcessor.from_pretrained(assemble_tiny(folder, texts))
    processor.tokenizer = processor.tokenizer.train_new_from_iterator(texts, WORDS)
    processor.image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return processor


def with_turns(rows: Sequence[Row], turns: int) -> list[Row]:
    return [
        {**row, "messages": row["messages"] + _said_after(rows, at, turns)} for at, row in enumerate(rows)
    ]


def _said_after(rows: Sequence[Row], at: int, turns: int) -> list[dict[str, Any]]:
    following = [rows[(at + step) % len(rows)]["messages"] for step in range(1, turns)]
    return [
        {"role": turn["role"], "content": [part for part in turn["content"] if part["type"] == "text"]}
        for messages in following
        for turn in messages
    ]


def decoded(row: Row) -> Row:
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    image.load()
    return {"messages": row["messages"], "images": [image]}


def _check_alike(ours: LlavaMedCollator, stock: Callable[[list[Row]], Any], rows: list[Row]) -> None:
    made, theirs = ours(rows), stock([decoded(row) for row in rows])
    for name in ("input_ids", "attention_mask", "labels"):
        if not torch.equal(made[name], theirs[name]):
            raise SystemExit(f"the peers do not make the same {name}: their times do not compare")


if __name__ == "__main__":
    main()
