"""A sweep with the real commands, on the tiny model: train, predict, score, tables."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from llavamed_data.dataset.schema import arrow_schema
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.tables import collect, fill, parse_variant

SETTINGS = {
    "use_cpu": True,
    "bf16": False,
    "global_batch_size": 4,
    "per_device_train_batch_size": 4,
    "dataloader_num_workers": 0,
    "gradient_checkpointing": False,
}


def vqa_rad(folder: Path, drawn: list[dict[str, Any]]) -> Path:
    """The drawn rows' first rounds as a benchmark: 8 to train on, 8 to test, half of them closed."""
    data = folder / "vqa-rad" / "data"
    data.mkdir(parents=True)
    stated = {
        "source": "drawn",
        "source_date": None,
        "recipe": "vqa-rad",
        "generator": "source",
        "model": None,
    }
    hashes = {"prompt_sha256": None, "few_shots_sha256": None, "rules_version": None}
    for split, rows in (("train", drawn[:8]), ("test", drawn[8:16])):
        table = [
            {
                "images": row["images"],
                "messages": row["messages"][:2],
                "id": row["id"],
                "caption": "",
                "inline_mentions": [],
                "figure_label": "",
                "license": "CC0",
                "provenance": {**stated, **hashes},
                "answer_type": "CLOSED" if at % 2 else "OPEN",
                "question_type": "COLOR",
                "language": "en",
            }
            for at, row in enumerate(rows)
        ]
        pq.write_table(
            pa.Table.from_pylist(table, arrow_schema("vqa")), data / f"{split}-00000-of-00001.parquet"
        )
    return data.parent


@pytest.mark.slow
def test_a_grid_is_trained_scored_and_put_into_the_tables(
    tiny_llava: Path, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    stated = {
        "grid": [{"ft": 1}],
        "benchmarks": ["vqa-rad"],
        "bases": {"clip 7b llava": {"checkpoint": str(tiny_llava)}},
        "datasets": {"vqa-rad": str(vqa_rad(tmp_path, drawn_rows))},
        "settings": {"all": SETTINGS},
        "predict": {"max_new_tokens": 4},
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(stated))
    command = ["sweep", "--grid", str(tmp_path / "grid.yaml"), "--output", str(tmp_path / "runs"), "--json"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert [run["state"] for run in json.loads(first.stdout)["runs"]] == ["done", "done"]
    (scored,) = collect(tmp_path / "runs").scored
    assert scored.variant == parse_variant("ft=1")
    assert (scored.scores["scored"], scored.scores["missing"], scored.scores["prompt_form"]) == (
        8,
        0,
        "options",
    )
    assert [run.recipe for run in collect(tmp_path / "runs").hours] == ["finetune-vqa-rad"]
    assert len(fill(collect(tmp_path / "runs"))[-1].groups[0][1]) == 1  # 0/0/1 is no row of the paper's
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout)["failed"] == {}
