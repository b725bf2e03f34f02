"""The share of padding by how rows are put into batches, on 60,000 rows as long as those of the 60K-IM set.

    python -m tests.benchmarks.bench_padding

The released file is not at hand, so lengths are drawn: a row's rounds are question–answer pairs of the released
evaluation set (143 conversation questions, made by the same prompt), 2 + Poisson(1.25) of them. The paper's prompt asks
for "at least 2-3"; 3.25 on average is what the released file has room for: 84 MiB over 60,000 rows are 1,468 bytes a
row, less 210 of the JSON around a row, over 320 of text and 68 of JSON a round. Tokens: 4.3 bytes each, 8 a round for
roles and end mark, 35 for the template's opening, 256 for an image at 224 pixels (the paper's) or 576 at 336. At 336
pixels two rows do not fill 2,048 tokens and three do not fit: no plan leaves little empty there, a pack of 4,096 does.
"""

import json
import random
import time
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers.trainer_pt_utils import LengthGroupedSampler

from llavamed_trainer.collate import grouped_batches, pack_plan
from tests.conftest import SHARED_DATA

ROWS = 60_000
BATCH = 16
MAX_LENGTH = 2048
IMAGES = {"224 px, 256 tokens": 256, "336 px, 576 tokens": 576}

Batches = list[list[int]]


def main() -> None:
    """Prints one table for each size of image."""
    rounds = _bytes_of_rounds()
    for name, image in IMAGES.items():
        lengths = _lengths(rounds, image)
        low, median, high, most = np.quantile(lengths, [0.05, 0.5, 0.95, 1])
        spread = f"{low:.0f} … {median:.0f} … {high:.0f}, most {most:.0f}"
        table = Table(title=f"{name}: rows of {np.mean(lengths):.0f} tokens ({spread})")
        for column in ("batches", "padding or empty", "seconds"):
            table.add_column(column, justify="left" if column == "batches" else "right")
        for way, make in {
            f"shuffled, {BATCH} rows": _shuffled,
            f"group_by_length of transformers, {BATCH} rows": _grouped_by_transformers,
            f"grouped_batches, {BATCH} rows (aim: under 5 %)": lambda given: grouped_batches(given, BATCH, 0),
        }.items():
            start = time.perf_counter()
            batches = make(lengths)
            table.add_row(way, f"{_padding(batches, lengths):.2%}", f"{time.perf_counter() - start:.2f}")
        for most in (MAX_LENGTH, 2 * MAX_LENGTH):
            start = time.perf_counter()
            packs = pack_plan(lengths, most, 0)
            empty = 1 - sum(lengths) / (most * len(packs))
            aim = " (aim: under 1 %)" if most == MAX_LENGTH else ""
            table.add_row(
                f"pack_plan, {most:,} tokens{aim}", f"{empty:.2%}", f"{time.perf_counter() - start:.2f}"
            )
        Console().print(table)


def _bytes_of_rounds() -> list[int]:
    path = SHARED_DATA / "llava_med_eval" / "llava_med_eval_qa50_qa.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        len((row["text"].replace("\n<image>", "") + row["gpt4_answer"]).encode())
        for row in rows
        if row["type"] == "conversation"
    ]


def _lengths(rounds: Sequence[int], image: int) -> list[int]:
    chance = np.random.default_rng(0)
    counts = 2 + chance.poisson(1.25, ROWS)
    lengths = [image + 35 + sum(size / 4.3 + 8 for size in chance.choice(rounds, count)) for count in counts]
    return np.minimum(np.array(lengths), MAX_LENGTH).astype(int).tolist()


def _shuffled(lengths: Sequence[int]) -> Batches:
    order = list(range(len(lengths)))
    random.Random(0).shuffle(order)
    return _cut(order)


def _grouped_by_transformers(lengths: Sequence[int]) -> Batches:
    generator = torch.Generator().manual_seed(0)
    return _cut(list(LengthGroupedSampler(BATCH, lengths=list(lengths), generator=generator)))


def _cut(order: Sequence[int]) -> Batches:
    return [list(order[start : start + BATCH]) for start in range(0, len(order), BATCH)]


def _padding(batches: Batches, lengths: Sequence[int]) -> float:
    places = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return 1 - sum(lengths) / places


if __name__ == "__main__":
    main()
