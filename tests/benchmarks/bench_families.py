"""The collator beside TRL's for each family of models, with the time of the image processor told apart.

    python -m tests.benchmarks.bench_families [FAMILY …]

Tiny models' real processors, the questions and answers of the evaluation set, images decoded beforehand for both,
batches of 8, one thread. The image processor is the same code in both; what a collator does besides (rendering,
tokenising, labels, padding) is given as text. Where TRL cannot mask questions in a family's template, it does less.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoProcessor

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.collate import ConversationCollator
from tests.benchmarks.bench_collate import TURNS, Row, decoded, eval_rows, with_turns
from tests.llavamed_trainer.tiny_models import KINDS, TINY, missing_package
from tests.llavamed_trainer.trl_collator import trl_collator

BATCH = 8
ROWS = 32
ROUNDS = 5


def main() -> None:
    """Prints one line for each family and number of turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    families = parser.parse_args().families or KINDS
    torch.set_num_threads(1)
    table = Table(title="rows/s of ours and of TRL's collator; whole, and without the image processor")
    for column in ("family", "turns", "ours", "TRL", "ratio", "ours, text", "TRL, text", "ratio, text"):
        table.add_column(column, justify="left" if column == "family" else "right")
    with tempfile.TemporaryDirectory() as folder:
        rows = eval_rows(Path(folder))
        texts = [part.get("text", "") for row in rows for turn in row["messages"] for part in turn["content"]]
        for family in families:
            if package := missing_package(family):
                print(f"{family} is left out: its processor needs {package}")
                continue
            processor: Any = (
                AutoProcessor.from_pretrained(assemble_tiny(Path(folder) / "llava", texts))
                if family == "llava"
                else TINY[family](texts)[1]
            )
            ours = ConversationCollator(processor, max_length=None, exact_images=True)
            stock, masks = trl_collator(processor)
            for turns in TURNS:
                taken = [decoded(row) for row in with_turns(rows, turns)[:: len(rows) // ROWS][:ROWS]]
                whole, text = zip(*(_rates(make, taken, processor) for make in (ours, stock)), strict=True)
                table.add_row(
                    family if masks else f"{family} (TRL without mask)",
                    str(turns),
                    *(f"{rate:,.0f}" for rate in whole),
                    f"{whole[0] / whole[1]:.1f}",
                    *(f"{rate:,.0f}" for rate in text),
                    f"{text[0] / text[1]:.1f}",
                )
    Console(width=120).print(table)


def _rates(make: Callable[[list[Row]], object], rows: Sequence[Row], processor: Any) -> tuple[float, float]:
    """Rows per second of the processor's time: of the whole, and without the time of the image processor."""
    images, stock = 0.0, processor.image_processor.preprocess

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal images
        start = time.process_time()
        made = stock(*args, **kwargs)
        images += time.process_time() - start
        return made

    processor.image_processor.preprocess = timed
    try:
        found = []
        for _ in range(ROUNDS + 1):  # the first round fills caches
            images, start = 0.0, time.process_time()
            for at in range(0, len(rows), BATCH):
                make([dict(row) for row in rows[at : at + BATCH]])
            whole = time.process_time() - start
            found.append((whole, whole - images))
    finally:
        del processor.image_processor.preprocess
    whole, text = (min(seconds) for seconds in zip(*found[1:], strict=True))
    return len(rows) / whole, len(rows) / text


if __name__ == "__main__":
    main()
