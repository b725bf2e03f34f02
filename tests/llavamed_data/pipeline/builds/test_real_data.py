"""Real articles and the real evaluation set, with the counts that were worked out from the files themselves."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.llavamed_data.pipeline.builds.test_build import llavamed

EVAL = ["build", "eval", "--json", "--source"]


def build_eval(shared_data: Path, folder: Path, *flags: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    released = shared_data / "llava_med_eval"
    done = llavamed(*EVAL, f"released:{released}", "--images", str(released / "images"), *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "llava-med/eval/data/test-00000-of-00001.parquet").to_pylist()
    return json.loads(done.stdout), rows


def test_the_released_eval_set_with_the_images_as_users_got_them(shared_data: Path, tmp_path: Path) -> None:
    summary, rows = build_eval(shared_data, tmp_path)
    acquire = next(step for step in summary["stations"] if step["station"] == "acquire")
    assert (acquire["in"], acquire["kept"]) == (193, 115)
    assert acquire["dropped"] == {"image empty": 70, "image truncated": 8}
    assert Counter(row["question_type"] for row in rows) == {"conversation": 86, "detailed_description": 29}
    assert Counter(row["domain"] for row in rows) == {
        "chest_xray": 15,
        "mri": 24,
        "histology": 36,
        "gross": 24,
        "ct_scan": 16,
    }
    assert len({row["images"][0]["bytes"] for row in rows}) == 29
    assert {row["images"][0]["bytes"] for row in rows} <= {
        path.read_bytes() for path in (shared_data / "llava_med_eval" / "images").iterdir()
    }
    assert summary["notes"] == ["eval: the released llava_med_eval_qa50_qa.jsonl"]
    assert llavamed("validate", "llava-med/eval", cwd=tmp_path).returncode == 0


def test_the_released_eval_set_with_all_its_questions(shared_data: Path, tmp_path: Path) -> None:
    summary, rows = build_eval(shared_data, tmp_path, "--keep-without-image")
    _, kept, lost = summary["notes"]
    assert kept == "eval: 78 questions kept without image"
    assert lost.startswith("eval: 21 lost images, with reasons: .llavamed/released-")
    assert len(rows) == 193
    assert Counter(row["question_type"] for row in rows) == {"conversation": 143, "detailed_description": 50}
    # Table 1 of the paper
    assert Counter(row["domain"] for row in rows) == {
        "chest_xray": 37,
        "mri": 38,
        "histology": 44,
        "gross": 34,
        "ct_scan": 40,
    }
    assert sum(not row["images"] for row in rows) == 78
    assert all(row["messages"][0]["content"][0]["type"] == "image" for row in rows)
    assert llavamed("validate", "llava-med/eval", cwd=tmp_path).returncode == 0


def test_real_packages_keep_what_a_broken_archive_still_holds(shared_data: Path, tmp_path: Path) -> None:
    source = f"packages:{shared_data / 'pmc_packages'}"
    done = llavamed(
        "build", "alignment-600k", "--source", source, "--keep-eval-articles", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    counts = {(step["station"], step["unit"]): step for step in summary["stations"]}
    assert counts["extract", "articles"]["kept"] == 5
    assert counts["extract", "figures"]["kept"] == 27
    assert counts["acquire", "figures"]["dropped"] == {"archive truncated": 1}
    assert summary["datasets"][0]["rows"] == 26
    assert llavamed("validate", "llava-med/alignment-600k", cwd=tmp_path).returncode == 0


def test_bare_articles_are_extracted_all(shared_data: Path, tmp_path: Path) -> None:
    source = f"jats:{shared_data / 'jats'}"
    done = llavamed("extract", "--source", source, "--out", "pairs.parquet", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "pairs.parquet")
    assert table.column_names == [
        "pair_id",
        "pmcid",
        "pmid",
        "figure_id",
        "figure_label",
        "caption",
        "inline_mentions",
        "image",
        "license",
        "single_plot",
        "domain",
    ]
    assert table.num_rows > 1000
    assert table["image"].null_count == table.num_rows
    assert len(set(table["pair_id"].to_pylist())) == table.num_rows


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "give their folder with --images"),
        (["--images", "no-such-folder"], "no-such-folder"),
    ],
)
def test_released_rows_without_images_say_what_to_do(
    shared_data: Path, tmp_path: Path, flags: list[str], says: str
) -> None:
    done = llavamed(
        "build", "eval", "--source", f"released:{shared_data / 'llava_med_eval'}", *flags, cwd=tmp_path
    )
    assert done.returncode == 2
    assert says in done.stderr


def test_training_rows_are_never_kept_without_their_image(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    done = llavamed("build", "60k", "--source", "released:rows.json", "--keep-without-image", cwd=tmp_path)
    assert done.returncode == 2
    assert "for the eval set alone" in done.stderr


def test_articles_of_the_released_eval_set_never_train(shared_data: Path, tmp_path: Path) -> None:
    first = json.loads(
        (shared_data / "llava_med_eval/llava_med_eval_qa50_qa.jsonl").read_text().splitlines()[0]
    )
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cyst."}]
    rows = [
        {"id": "a", "image": first["image"], "conversations": turns, "domain": first["domain"]},
        {"id": "b", "image": "1_F1.jpg", "conversations": turns, "domain": {"gross": True}},
    ]
    (tmp_path / "llava_med_instruct_60k.json").write_text(json.dumps(rows))
    (tmp_path / "images").mkdir()
    for row in rows:
        whole = shared_data / "vqa_rad" / "images"
        (tmp_path / "images" / row["image"]).write_bytes(next(whole.iterdir()).read_bytes())
    done = llavamed("build", "60k", "--source", "released:.", "--images", "images", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)["stations"][0]
    assert (read["kept"], read["dropped"]) == (1, {"article of the released eval set": 1})
