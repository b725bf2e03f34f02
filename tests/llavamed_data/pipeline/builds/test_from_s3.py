"""`build` from an S3 server through a network that fails: the same bytes as from a folder, and a bar that tells."""

import os
import pty
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.llavamed_data.pipeline.builds.test_update import sample
from tests.llavamed_data.sources.corpus import inventory, lay_out
from tests.servers import s3
from tests.servers.faults import Fault, FaultyProxy, Latency, Request, Reset, Status, Truncated

MIRROR = "mirror"
SOURCE = ("--source", f"s3://{MIRROR}")


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    held = sample()
    return held | inventory(held)


def rough(request: Request) -> Fault | None:
    """Each object fails once or twice in one of these ways, by its name; what is asked a third time comes."""
    kind = zlib.crc32(request.path.encode()) % 6
    if kind == 5 and request.nth <= 2:
        return Status(503)
    if request.nth > 1:
        return None
    return {0: Latency(0.1), 1: Reset(), 2: Status(503), 3: Truncated(0.4), 4: Status(500)}.get(kind)


@pytest.mark.slow
def test_a_rough_network_changes_no_byte(objects: dict[str, bytes], tmp_path: Path) -> None:
    lay_out(objects, tmp_path / "copy")
    calm = llavamed("build", "60k-im", "--source", "copy", "--out", "calm", cwd=tmp_path)
    assert calm.returncode == 0, calm.stderr
    with s3.bucket(MIRROR, objects) as server, FaultyProxy(server, rough) as proxy:
        done = llavamed(
            "build",
            "60k-im",
            *SOURCE,
            "--out",
            "rough",
            cwd=tmp_path,
            env={"AWS_ENDPOINT_URL_S3": proxy.address},
        )
        assert done.returncode == 0, done.stderr
        met = Counter(type(rough(request)).__name__ for request in proxy.log)
    assert {"Latency", "Reset", "Status", "Truncated"} <= met.keys(), met
    assert digests(tmp_path / "rough") == digests(tmp_path / "calm")


def on_a_terminal(*arguments: str, cwd: Path, env: dict[str, str]) -> str:
    """What a run shows on a terminal that stands where standard error goes."""
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "llavamed_data", *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", **env}
    running = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=its)
    os.close(its)
    shown = b""
    try:
        while part := os.read(mine, 65536):
            shown += part
    except OSError:  # how Linux tells that the other side is closed
        pass
    os.close(mine)
    assert running.wait(60) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.slow
def test_who_watches_sees_objects_speed_retries_and_the_expected_end(
    objects: dict[str, bytes], tmp_path: Path
) -> None:
    def slow(request: Request) -> Fault | None:
        if not request.path.lower().endswith((".jpg", ".jpeg", ".png", ".xml")):
            return None
        kind = zlib.crc32(request.path.encode()) % 3
        return Status(503) if request.nth == 1 and kind == 0 else Latency(0.5 + kind)

    with s3.bucket(MIRROR, objects) as server, FaultyProxy(server, slow) as proxy:
        environment = {"AWS_ENDPOINT_URL_S3": proxy.address}
        shown = on_a_terminal("build", "60k-im", *SOURCE, cwd=tmp_path, env=environment)
        quiet = on_a_terminal(
            "build", "60k-im", *SOURCE, "--quiet", "--out", "q", "--work", "w", cwd=tmp_path, env=environment
        )
    fetching = re.findall(r"fetch and check images\D+(\d+)/(\d+) (\S+) MB/s, (\d+) retries (\S+)", shown)
    assert fetching, shown
    done = [int(line[0]) for line in fetching]
    assert any(0 < count < int(fetching[0][1]) for count in done)
    assert any(float(line[2]) > 0 for line in fetching), fetching
    assert any(int(line[3]) > 0 for line in fetching)
    assert any(re.fullmatch(r"\d:\d\d:\d\d", line[4]) for line in fetching)
    assert re.search(r"extract\D+\d+/28 \S+ MB/s", shown)
    assert quiet == ""
    assert not list((tmp_path / ".llavamed").rglob(".fetched*"))


def test_counts_of_tasks_add_up_and_a_task_that_runs_again_does_not_count_twice(tmp_path: Path) -> None:
    from llavamed_data.console.progress import FetchCounts
    from llavamed_data.engine import FetchCounter
    from llavamed_data.engine.fetch_counter import read_counts

    for number, sizes in enumerate(([10, 20], [5])):
        for _ in range(2):
            counter = FetchCounter(tmp_path / f"part-{number}.parquet")
            for size in sizes:
                counter.add(size)
            counter.update_retries(FetchCounts(retries=3))
            counter.close()
    assert read_counts(tmp_path) == FetchCounts(objects=3, bytes=35, retries=6)
    assert read_counts(tmp_path / "none") == FetchCounts()
