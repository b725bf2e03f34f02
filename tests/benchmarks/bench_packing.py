"""Training steps on packs beside padded batches of the same rows: tokens a second that are no padding.

    python -m tests.benchmarks.bench_packing

A tiny Qwen2.5-VL on one thread, rows of text of mixed lengths, `sdpa` attention. Without flash attention, attention
over a pack takes time and memory with the square of the pack's length, which counts most in a model as narrow as this.
"""

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_trainer.collate import ConversationCollator, grouped_batches, pack_plan, token_lengths
from tests.llavamed_trainer.tiny_models import write_tiny_model

ROWS = 96
BATCH = 8
PACKS = (1024, 2048, 4096)


def main() -> None:
    """Prints one table."""
    torch.set_num_threads(1)
    rows = _rows()
    table = Table(title=f"tiny Qwen2.5-VL, forward and backward of {ROWS} rows of text")
    for column in ("batches", "tokens/s", "padding"):
        table.add_column(column, justify="left" if column == "batches" else "right")
    with tempfile.TemporaryDirectory() as folder:
        path = write_tiny_model("qwen2.5-vl", Path(folder), ["Word by word. Is it seen?"])
        processor = AutoProcessor.from_pretrained(path)
        model = AutoModelForImageTextToText.from_pretrained(path)
        lengths = token_lengths(rows, processor)
        order = random.Random(0).sample(range(ROWS), ROWS)
        ways = {
            f"shuffled, {BATCH} rows": [order[at : at + BATCH] for at in range(0, ROWS, BATCH)],
            f"grouped_batches, {BATCH} rows": grouped_batches(lengths, BATCH, 0),
            **{f"packs of {most:,} tokens": pack_plan(lengths, most, 0) for most in PACKS},
        }
        for way, plan in ways.items():
            collator = ConversationCollator(processor, packing=way.startswith("packs"))
            batches = [collator([rows[number] for number in chosen]) for chosen in plan]
            _train(model, batches[:1])
            start = time.perf_counter()
            _train(model, batches)
            seconds = time.perf_counter() - start
            places = sum(batch["input_ids"].numel() for batch in batches)
            table.add_row(way, f"{sum(lengths) / seconds:,.0f}", f"{1 - sum(lengths) / places:.1%}")
    Console().print(table)


def _rows() -> list[dict[str, Any]]:
    chance = random.Random(0)
    return [
        {
            "id": str(number),
            "images": [],
            "messages": [
                {"role": role, "content": [{"type": "text", "text": text}]}
                for role, text in (
                    ("user", "Is it seen?"),
                    ("assistant", "Word by word. " * chance.randint(1, 100)),
                )
            ],
        }
        for number in range(ROWS)
    ]


def _train(model: Any, batches: Sequence[dict[str, torch.Tensor]]) -> None:
    for batch in batches:
        model.zero_grad()
        model(**batch, use_cache=False).loss.backward()


if __name__ == "__main__":
    main()
