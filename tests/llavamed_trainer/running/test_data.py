"""What a run states of its rows: how many, how long, of which version, under which licence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.running.data import (
    describe_dataset,
    load_rows,
    steps_of_stream,
    summarise_lengths,
    with_lengths,
)
from tests.conftest import CHECKOUT
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
    with pytest.raises(LlavaMedError, match="none of the 2 rows can be trained on"):
        summarise_lengths([0, 0], 40)


def test_a_stream_needs_a_number_of_rows_or_of_steps() -> None:
    assert steps_of_stream(600_000, 1, 128, "set") == 4688
    with pytest.raises(UsageError, match="give --max_steps to stream it"):
        steps_of_stream(None, 1, 128, "set")
