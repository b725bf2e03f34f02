"""What a run states of its rows: how many, how long, of which version, under which licence."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from huggingface_hub import HfApi

from llavamed_data.engine.engine import cores
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.batches import packed_dataset
from llavamed_trainer.running.data import (
    counting_processes,
    describe_dataset,
    load_rows,
    steps_of_stream,
    summarise_lengths,
    with_lengths,
)
from tests.conftest import CHECKOUT
from tests.llavamed_trainer.running.conftest import FEATURES, write_set
from tests.servers.hub import HubProcess, running_hub


def descriptions(hub: HubProcess, home: Path, *revisions: str | None) -> list[list[str | None]]:
    """What a process that is logged in states of revisions of `med-lab/set`."""
    code = (
        "import json, sys; from llavamed_trainer.running.data import describe_dataset\n"
        "stated = [describe_dataset('med-lab/set', revision) for revision in json.loads(sys.argv[1])]\n"
        "print(json.dumps([[each.name, each.revision, each.license] for each in stated]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(revisions)],
        cwd=CHECKOUT,
        env=hub.environment("ada", home, xet=False),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    stated: list[list[str | None]] = json.loads(done.stdout)
    return stated


@pytest.mark.slow
def test_a_dataset_on_the_hub_is_described_by_its_commit_and_the_licence_of_its_card(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.address, token=hub.token("ada"))
        api.create_repo("med-lab/set", repo_type="dataset")
        commits = [
            api.upload_file(
                path_or_fileobj=f"---\nlicense: {licence}\n---\n".encode(),
                path_in_repo="README.md",
                repo_id="med-lab/set",
                repo_type="dataset",
            ).oid
            for licence in ("cc-by-nc-4.0", "cc0-1.0")
        ]
        found = descriptions(hub, tmp_path / "home", commits[0], None, "no-such-branch")
    assert found == [
        ["med-lab/set", commits[0], "cc-by-nc-4.0"],
        ["med-lab/set", commits[1], "cc0-1.0"],
        ["med-lab/set", "no-such-branch", "not stated"],  # nothing is made up
    ]


def test_a_folder_is_described_by_a_fingerprint_of_its_files(dataset: Path, tmp_path: Path) -> None:
    before = describe_dataset(str(dataset), None)
    assert before.license == "cc-by-nc-4.0"
    copy = tmp_path / dataset.name
    for path in (path for path in dataset.rglob("*") if path.is_file()):
        (copy / path.relative_to(dataset)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(dataset)).write_bytes(path.read_bytes())
    assert describe_dataset(str(copy), None).revision == before.revision
    shard = next(copy.glob("data/train*"))
    shard.write_bytes(shard.read_bytes() + b"!")
    assert describe_dataset(str(copy), None).revision != before.revision


def test_images_stay_bytes_and_rows_get_lengths(dataset: Path) -> None:
    rows = load_rows(str(dataset), "train", max_rows=5)
    counted = with_lengths(rows, lambda messages: [len(row["messages"]) for row in messages], "turns", None)
    assert [row["length"] for row in counted] == [len(row["messages"]) for row in rows]
    assert isinstance(counted[0]["images"][0]["bytes"], bytes)


def test_lengths_are_summarised_without_unusable_rows() -> None:
    found = summarise_lengths([10, 0, 20, 30, 0, 40], 40)
    assert (found.rows, found.unusable, found.tokens) == (6, 2, 100)
    assert (found.median, found.longest, found.cut) == (25, 40, 1)


def test_a_stream_needs_a_number_of_rows_or_of_steps() -> None:
    assert steps_of_stream(600_000, 1, 128, "set") == 4688
    with pytest.raises(UsageError, match="give --max_steps to stream it"):
        steps_of_stream(None, 1, 128, "set")


def cache_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of `datasets`."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def heavy_set(drawn_rows: list[dict[str, Any]], tmp_path: Path) -> tuple[Path, int]:
    """A dataset of 48 rows with images of 100 KB, and the bytes of all its images."""
    rows = [
        row | {"images": [{"bytes": row["images"][0]["bytes"] + os.urandom(100_000), "path": "0.jpg"}]}
        for row in drawn_rows
    ]
    return write_set(tmp_path / "heavy", rows), sum(len(row["images"][0]["bytes"]) for row in rows)


@pytest.mark.parametrize("split", ["train", "train[:20]", "train[:50%]+train[50%:]"])
def test_loading_writes_each_image_once_to_the_cache(
    heavy_set: tuple[Path, int], cache: Path, split: str
) -> None:
    folder, size = heavy_set
    rows = load_rows(str(folder), split, max_rows=40)
    counted = with_lengths(rows, lambda given: [len(row["messages"]) for row in given], "turns", None)
    packs = packed_dataset(counted, 100, 0)
    assert sum(map(len, packs["rows"])) == len(counted) == (20 if "20" in split else 40)
    assert size < cache_bytes(cache) < 1.05 * size
    assert isinstance(counted[3]["images"][0]["bytes"], bytes)
    assert load_dataset(str(folder), split="train").features["images"] == List(Image())  # for other programs
    assert cache_bytes(cache) < 1.05 * size


def test_images_that_are_stored_otherwise_are_loaded_as_bytes_too(
    drawn_rows: list[dict[str, Any]], tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(drawn_rows[0]["images"][0]["bytes"])
    plain = Features(FEATURES | {"images": List({"bytes": Value("binary"), "path": Value("string")})})
    for name, images, features in (
        ("plain", drawn_rows[0]["images"], plain),  # as written by pandas or pyarrow
        ("paths", [str(tmp_path / "a.jpg")], Features(FEATURES | {"images": List(Value("string"))})),
    ):
        (tmp_path / name).mkdir()
        Dataset.from_list([drawn_rows[0] | {"images": images}], features=features).to_parquet(
            tmp_path / name / "train.parquet"
        )
        rows = load_rows(str(tmp_path / name), "train")
        assert rows.features is not None
        assert rows.features["images"] == List(Image(decode=False))
        stored = next(iter(rows))["images"][0]
        assert stored["bytes"] or Path(stored["path"]).is_file()


def test_files_that_changed_under_the_same_card_are_read_anew(
    drawn_rows: list[dict[str, Any]], cache: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "set", drawn_rows[:4])
    assert len(load_rows(str(folder), "train")) == 4
    write_set(folder, drawn_rows[10:16])
    for _ in range(2):
        assert [row["id"] for row in load_rows(str(folder), "train")] == [
            row["id"] for row in drawn_rows[10:16]
        ]


def turns(rows: Sequence[dict[str, Any]]) -> list[int]:
    return [len(row["messages"]) for row in rows]


def test_several_processes_count_what_one_counts_in_order_and_once(
    dataset: Path, cache: Path, tmp_path: Path
) -> None:
    rows = load_rows(str(dataset), "train")
    assert isinstance(rows, Dataset)
    calls = tmp_path / "calls"

    def noted(given: Sequence[dict[str, Any]]) -> list[int]:
        with calls.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return turns(given)

    counted = with_lengths(rows, noted, "turns", 3)
    assert counted["length"][:] == turns(list(rows))
    assert len(set(calls.read_text().split()) - {str(os.getpid())}) == 3
    calls.unlink()
    for processes in (3, None, 2):  # found again, however many processes count
        again = with_lengths(load_rows(str(dataset), "train"), noted, "turns", processes)
        assert again["length"][:] == counted["length"][:]
    assert not calls.exists()
    with_lengths(rows, noted, "another template", None)
    assert calls.exists()


def test_a_process_that_counts_and_is_killed_is_told_in_words(dataset: Path, cache: Path) -> None:
    rows = load_rows(str(dataset), "train")
    assert isinstance(rows, Dataset)

    def killed(given: Sequence[dict[str, Any]]) -> list[int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return turns(given)

    with pytest.raises(LlavaMedError, match="ended from outside.*--dataset_num_proc 1"):
        with_lengths(rows, killed, "turns", 2)


def test_small_sets_are_counted_in_one_process() -> None:
    assert counting_processes(500) is None
    assert counting_processes(600_000) == (cores() if cores() > 1 else None)
