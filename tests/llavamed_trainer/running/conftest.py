"""Datasets in folders, and training runs in this process."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value
from rich.console import Console

from llavamed_trainer.running import TrainingReport, parse_settings, run_training

_PART = {"type": Value("string"), "text": Value("string")}
FEATURES = Features(
    {
        "id": Value("string"),
        "images": List(Image()),
        "messages": List({"role": Value("string"), "content": List(_PART)}),
    }
)

Train = Callable[..., TrainingReport]


def write_set(folder: Path, rows: list[dict[str, Any]], split: str = "train") -> Path:
    """Writes rows as a dataset in the published form."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=FEATURES).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A set\n")
    return folder


@pytest.fixture(scope="session")
def dataset(drawn_rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 16 rows to train on and 8 to evaluate on."""
    folder = write_set(tmp_path_factory.mktemp("sets") / "drawn", drawn_rows[:16])
    return write_set(folder, drawn_rows[16:24], "test")


@pytest.fixture
def output() -> io.StringIO:
    """The text that a run prints."""
    return io.StringIO()


@pytest.fixture
def train(tiny_llava: Path, dataset: Path, tmp_path: Path, output: io.StringIO) -> Train:
    """`train(recipe, …flags)` trains the tiny model on the drawn rows, 8 in a training step, and logs every step."""

    def run(recipe: str, *flags: str | Path, console: Console | None = None) -> TrainingReport:
        words = [
            *("--config", recipe, "--model_name_or_path", tiny_llava, "--dataset", dataset),
            *("--global_batch_size", 8, "--per_device_train_batch_size", 4, "--dataloader_num_workers", 0),
            *("--logging_steps", 1, "--num_train_epochs", 4, "--output_dir", tmp_path / "run", *flags),
        ]
        console = console or Console(file=output, width=160)
        return run_training(parse_settings([str(word) for word in words]), console=console)

    return run
