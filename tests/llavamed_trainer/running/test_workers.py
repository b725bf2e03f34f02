"""Worker processes make batches ahead where one core is slow, and change no result; the rate is said."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llavamed_data.errors import UsageError
from llavamed_trainer.running import parse_settings
from llavamed_trainer.running.workers import BatchMaking, number_of_workers

Train = Callable[..., Any]


@pytest.mark.parametrize(
    ("rate", "total", "cores", "workers"),
    [
        (20, 60_000, 8, 5),  # 5 × 20 rows/s are 100
        (20, 60_000, 4, 3),  # one core is left to training
        (20, 60_000, 1, 0),
        (400, 60_000, 8, 1),
        (400, 3_999, 8, 0),  # the whole run takes one core under 10 s
        (20, 200, 8, 5),
    ],
)
def test_there_are_as_many_workers_as_feed_an_accelerator_and_as_cores_are_free(
    rate: float, total: int, cores: int, workers: int
) -> None:
    assert number_of_workers(rate, total, cores) == workers


def test_how_batches_are_made_is_said() -> None:
    assert str(BatchMaking(1234.5, 2)) == "1,234 rows/s on one core; 2 worker processes make them ahead"
    assert str(BatchMaking(20.0, 1)) == "20 rows/s on one core; 1 worker process makes them ahead"
    assert str(BatchMaking(500.0, 0)) == "500 rows/s on one core; made by the training process itself"
    assert str(BatchMaking(None, 2)) == "2 worker processes make them ahead"


@pytest.mark.parametrize(
    "flag", [("--dataloader_prefetch_factor", "4"), ("--dataloader_persistent_workers",)]
)
def test_settings_of_workers_bring_workers(flag: tuple[str, ...]) -> None:
    assert parse_settings(["--config", "stage1", *flag]).training.dataloader_num_workers == 2
    stated = parse_settings(["--config", "stage1", *flag, "--dataloader_num_workers", "3"])
    assert stated.training.dataloader_num_workers == 3
    if flag[0] == "--dataloader_prefetch_factor":
        with pytest.raises(UsageError, match="dataloader_num_workers"):
            parse_settings(["--config", "stage1", *flag, "--dataloader_num_workers", "0"])


def test_a_short_run_starts_no_workers_and_its_rate_is_said(
    tiny_llava: Path, dataset: Path, tmp_path: Path, output: io.StringIO
) -> None:
    from rich.console import Console

    from llavamed_trainer.running import run_training

    words = [
        *("--config", "stage1", "--model_name_or_path", str(tiny_llava), "--dataset", str(dataset)),
        *("--global_batch_size", "8", "--per_device_train_batch_size", "4", "--max_steps", "1"),
        *("--output_dir", str(tmp_path / "run")),
    ]
    run_training(parse_settings(words), console=Console(file=output, width=160))
    said = next(line for line in output.getvalue().splitlines() if "batches" in line)
    assert re.search(r"[\d,]+ rows/s on one core; made by the training process itself", said)


def test_rows_that_are_measured_are_not_counted_as_bad(
    train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    from .conftest import write_set

    bad = [{**row, "images": [{"bytes": b"x", "path": None}]} for row in drawn_rows[8:16]]
    data = write_set(tmp_path / "set", [*drawn_rows[:8], *bad])
    with_all = train("stage1", "--dataset", data, "--num_train_epochs", 1, "--max_bad_rows", 8)
    assert with_all.bad_rows == {"image unreadable": 8}
    lines = (tmp_path / "run" / "bad_rows.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 8
