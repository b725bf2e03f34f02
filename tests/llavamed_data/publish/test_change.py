"""What a second publication sends of a set in which few rows changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import published_files
from tests.servers.hub import HubProcess


@pytest.mark.parametrize(
    ("by_chunk", "least", "most", "line"),
    [
        (True, 0.01, 0.15, "of changed shards only the parts that differ are sent (Xet)"),
        (False, 0.99, 1.02, "changed shards are sent whole (LFS): with hf_xet only the parts that differ"),
    ],
    ids=["xet", "lfs"],
)
def test_one_row_in_a_hundred(
    hub: HubProcess,
    tmp_path: Path,
    repo: str,
    new_set: Callable[..., Path],
    by_chunk: bool,
    least: float,
    most: float,
    line: str,
) -> None:
    client = Client(hub, tmp_path, xet=by_chunk)
    options = {"rows": 300, "shard_rows": 300, "first": 1000 if by_chunk else 2000}
    assert client.publish(new_set("old/60k-im", **options), "--repo-id", repo).code == 0
    new = new_set("new/60k-im", **options, changed=[options["first"] + number for number in (100, 101, 102)])
    since = len(hub.log())
    run = client.publish(new, "--repo-id", repo)
    assert line in run.out
    shard = published_files(new)["data/train-00000-of-00001.parquet"]
    assert least < hub.received(since) / len(shard) < most
    assert client.files(repo)["data/train-00000-of-00001.parquet"] == shard
