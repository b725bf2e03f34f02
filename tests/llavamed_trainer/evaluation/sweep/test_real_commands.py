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
from tests.llavamed_trainer.tiny_models import missing_package, write_tiny_model

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


def texts_of(rows: list[dict[str, Any]]) -> list[str]:
    return [part["text"] or "" for row in rows for turn in row["messages"] for part in turn["content"]]


@pytest.mark.slow
@pytest.mark.skipif(missing_package("qwen2.5-vl") is not None, reason="its processor needs torchvision")
def test_a_grid_of_another_model_is_trained_scored_and_kept_out_of_the_papers_rows(
    drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    base = write_tiny_model("qwen2.5-vl", tmp_path / "qwen", texts_of(drawn_rows))
    stated = {
        "grid": [{"ft": 3, "init": "other"}],
        "benchmarks": ["vqa-rad"],
        "bases": {"clip 7b other": {"checkpoint": str(base)}},
        "datasets": {"vqa-rad": str(vqa_rad(tmp_path, drawn_rows))},
        "settings": {"all": SETTINGS},
        "predict": {"max_new_tokens": 4, "limit": 5},
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(stated))
    command = ["sweep", "--grid", str(tmp_path / "grid.yaml"), "--output", str(tmp_path / "runs"), "--json"]
    swept = CliRunner().invoke(app, command)
    assert swept.exit_code == 0, swept.output
    assert [run["state"] for run in json.loads(swept.stdout)["runs"]] == ["done", "done"]
    results = collect(tmp_path / "runs")
    (scored,) = results.scored
    assert scored.variant == parse_variant("ft=3,init=other")
    assert (scored.scores["scored"], scored.scores["partial"], scored.scores["limit"]) == (5, True, 5)
    assert results.hours == {}
    tables = fill(results)
    assert tables[-1].groups[0][1][0].head[0] == "none 0/0/3 other"
    assert not any(
        cell.ours for each in tables[:-1] for _, rows in each.groups for row in rows for cell in row.cells
    )


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
