"""The same work on this machine, on a Ray cluster that loses a node, and by Slurm's job arrays: the same bytes."""

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from datatrove.pipeline.base import PipelineStep

from llavamed_data.cli.app import app
from llavamed_data.engine.local import Engine, tasks_for
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pipeline.steps.extract import LEAST_ARTICLES, MOST_ARTICLES
from llavamed_data.pipeline.steps.image_store import LEAST_IMAGES, MOST_IMAGES
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.sample import corpus_path
from tests.benchmarks.bench_memory import multiplied
from tests.conftest import EXAMPLES
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed

ray = pytest.importorskip("ray")


class Note(PipelineStep):
    """Says in `folder` when a task begins, takes its time, and then that it ended."""

    name = "note"
    type = "test"

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__()
        self.folder = str(folder)
        self.seconds = seconds

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # noqa: ARG002
        from ray import get_runtime_context

        node = get_runtime_context().get_node_id()
        (Path(self.folder) / f"began-{rank}-{node}-{os.getpid()}").touch()
        time.sleep(self.seconds)
        (Path(self.folder) / f"ended-{rank}").touch()


class Fail(PipelineStep):
    """Raises `error` in task 1."""

    name = "fail"
    type = "test"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # noqa: ARG002
        if rank == 1:
            raise self.error


class Cluster:
    """A head without a CPU and two nodes of one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        store = {"object_store_memory": 80 * 2**20}
        head = {"num_cpus": 0, "include_dashboard": False, **store}
        self.cluster = RayCluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1, **store) for _ in range(2)]
        self.address = self.cluster.address

    def lose_a_node(self) -> str:
        """Kills a node and all its processes; returns its id."""
        node = self.nodes.pop()
        self.cluster.remove_node(node, allow_graceful=False)
        return node.node_id


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    ray.shutdown()
    made.cluster.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight times the sample corpus: enough tasks that a node can be lost between them."""
    return multiplied(corpus_path(), tmp_path_factory.mktemp("corpus"), 8)


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What this machine alone, with one worker, makes of the corpus."""
    folder = tmp_path_factory.mktemp("expected")
    done = llavamed("build", "60k-im", "--source", str(corpus), "--workers", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return digests(folder / "llava-med")


def marks(work: Path) -> list[Path]:
    """datatrove's marks of the ended tasks of whatever runs in a work folder."""
    return [path for folder in work.rglob("completions") for path in folder.iterdir()]


def begun(work: Path, station: str) -> tuple[int, int] | None:
    """How many tasks of a station have ended, of how many, once the first of several has."""
    listed, most = ("handles.txt", MOST_ARTICLES) if station == "extract" else ("wanted.txt", MOST_IMAGES)
    least = LEAST_ARTICLES if station == "extract" else LEAST_IMAGES
    try:
        for path in work.rglob(listed):
            tasks = tasks_for(len(path.read_text().splitlines()), least=least, most=most)
            ended = len(marks(path.parent))
            if tasks > 2 and ended:
                return ended, tasks
    except FileNotFoundError:  # a folder was renamed into its place while it was looked at: look again
        return None
    return None


def wait_for(holds: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_two_workers_write_what_one_writes(corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    done = llavamed("build", "60k-im", "--source", str(corpus), "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "llava-med") == expected


@pytest.mark.slow
@pytest.mark.parametrize("station", ["extract", "images"])
def test_a_build_on_ray_that_loses_a_node_is_complete_and_identical(
    station: str, cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "llavamed_data", "build", "60k-im", "--source", str(corpus), "--quiet"]
    on_ray = ["--engine", "ray", "--ray-address", cluster.address]
    with subprocess.Popen([*command, *on_ray], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as build:
        work = tmp_path / ".llavamed"
        wait_for(lambda: begun(work, station) or build.poll() is not None)
        assert build.poll() is None, build.stderr.read()
        ended, tasks = begun(work, station)
        cluster.lose_a_node()
        _, words = build.communicate(timeout=200)
    assert (build.returncode, words) == (0, "")
    assert 0 < ended < tasks
    assert digests(tmp_path / "llava-med") == expected
    assert not [path for path in work.rglob(".*.part") if "images" not in path.parts]


@pytest.mark.slow
def test_tasks_of_a_dead_node_run_again_and_no_others(cluster: Cluster, tmp_path: Path) -> None:
    from llavamed_data.engine.ray import RayEngine

    lost: list[str] = []

    def lose(name: str, done: int, tasks: int) -> None:
        if not lost and done >= 2:
            lost.append(cluster.lose_a_node())

    notes = tmp_path / "notes"
    notes.mkdir()
    engine = RayEngine(address=cluster.address, on_progress=lose)
    engine.run("note", [Note(notes, 1.5)], folder=tmp_path / "work", tasks=8)
    assert lost
    began = [path.name.split("-") for path in notes.glob("began-*")]
    assert {rank for _, rank, *_ in began} == {str(rank) for rank in range(8)}
    assert {path.name for path in notes.glob("ended-*")} == {f"ended-{rank}" for rank in range(8)}
    again = {rank for _, rank, *_ in began if [line[1] for line in began].count(rank) > 1}
    assert len(again) == 1  # the dead node had one CPU
    assert {node for _, rank, node, _ in began if rank in again} > set(lost)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LlavaMedError("the mirror went away: mount it"), "the mirror went away: mount it"),
        (Drop(Reason.ARCHIVE_HOSTILE, "a.tar.gz"), "try: archive hostile: a.tar.gz"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), r"\[Errno 28\] No space left on device: 'x'"),
    ],
)
@pytest.mark.parametrize("where", ["one process", "two processes", "ray"])
def test_an_error_in_a_task_is_that_error_here(
    where: str, error: Exception, line: str, tmp_path: Path, ray_here: None
) -> None:
    from llavamed_data.engine.ray import RayEngine

    engine = RayEngine() if where == "ray" else Engine(workers=1 if where == "one process" else 2)
    with pytest.raises((LlavaMedError, OSError), match=f"^{line}$") as caught:
        engine.run("try", [Fail(error)], folder=tmp_path, tasks=3)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    yield
    ray.shutdown()


def test_a_task_that_failed_is_run_again_and_the_others_are_not(tmp_path: Path) -> None:
    with pytest.raises(LlavaMedError):
        Engine(workers=1).run("try", [Fail(LlavaMedError("no"))], folder=tmp_path, tasks=2)
    assert [mark.name for mark in marks(tmp_path)] == ["00000"]
    Engine(workers=1).run("try", [Fail(LlavaMedError("no"))], folder=tmp_path, tasks=1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--engine", "ray", "--ray-address", "127.0.0.1:9"], "no Ray cluster answers at 127.0.0.1:9"),
        (["--engine", "ray", "--ray-address", "head"], "must be HOST:PORT"),
        (["--ray-address", "head:6379"], "--ray-address goes with --engine ray"),
        (["--slurm", "partition=cpu"], "--slurm goes with --engine slurm"),
        (["--engine", "slurm"], "needs sbatch on the PATH"),
        (["--engine", "spark"], "spark"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(flags: list[str], words: str, tmp_path: Path) -> None:
    done = llavamed("build", "60k-im", *flags, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['ray'] = None; from llavamed_data.cli.app import main; main()"
    command = [sys.executable, "-c", hidden, "build", "60k-im", "--engine", "ray"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "pip install 'llavamed-data[ray]'" in done.stderr


SBATCH = r"""#!{python}
# A one-machine Slurm: runs the array of the batch script that it is given, as sbatch's manual says an array runs.
import os, re, subprocess, sys
options = dict(arg[2:].split("=", 1) for arg in sys.argv[1:-1])
script = open(sys.argv[-1]).read()
directives = dict(line[10:].partition("=")[::2] for line in script.splitlines() if line.startswith("#SBATCH --"))
number = len(os.listdir("{folder}")) + 1
open(f"{folder}/{{number}}", "w").write(script)
first, last = map(int, re.match(r"(\d+)-(\d+)", directives["array"]).groups())
exported = dict(pair.split("=") for pair in options["export"].split(",")[1:])
copy = f"{folder}/{{number}}"
loop = "; ".join(
    f"SLURM_ARRAY_TASK_ID={{task}} bash {{copy}} > {folder}/../{{number}}_{{task}}.log 2>&1"
    for task in range(first, last + 1)
)
held = subprocess.Popen(["bash", "-c", loop + f"; touch {folder}/../ended-{{number}}"],
                        env={{**os.environ, **exported}}, stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job", number)
"""
SQUEUE = """#!/bin/bash
[ -e "{folder}/../ended-${{@: -1}}" ] || echo "${{@: -1}} R"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for sbatch, squeue, srun and scancel: our side of the protocol, not Slurm, is tried with them."""
    tools, jobs = tmp_path / "bin", tmp_path / "slurm" / "jobs"
    tools.mkdir()
    jobs.mkdir(parents=True)
    scripts = {"sbatch": SBATCH, "squeue": SQUEUE, "srun": SRUN, "scancel": "#!/bin/bash\n"}
    for name, text in scripts.items():
        filled = text.format(python=sys.executable, folder=jobs) if name in ("sbatch", "squeue") else text
        (tools / name).write_text(filled)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))  # jobs load the blocks of this file
    return jobs


def test_an_extraction_by_job_arrays_is_identical(slurm: Path, corpus: Path, tmp_path: Path) -> None:
    source = ["--source", str(corpus)]
    flags = ["--engine", "slurm", "--slurm", "partition=cpu", "--slurm", "time=00:10:00", "--workers", "3"]
    here = llavamed(
        "extract", *source, "--out", "here.parquet", "--work", "a", "--workers", "1", cwd=tmp_path
    )
    jobs = llavamed("extract", *source, "--out", "jobs.parquet", "--work", "b", *flags, cwd=tmp_path)
    assert (here.returncode, jobs.returncode) == (0, 0), jobs.stderr
    assert (tmp_path / "jobs.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert not list((tmp_path / "b").rglob(".datatrove"))
    script = (slurm / "1").read_text()
    for line in ("--partition=cpu", "--time=00:10:00", "--array=0-6%3", "--mem-per-cpu=2G"):
        assert f"#SBATCH {line}\n" in script
    assert "--qos" not in script


def test_an_error_in_a_job_is_that_error_here(slurm: Path, tmp_path: Path) -> None:
    from llavamed_data.engine.slurm import SlurmEngine

    error = OSError(errno.ENOSPC, "No space left on device", "x")
    with pytest.raises(OSError, match="No space left") as caught:
        SlurmEngine().run("try", [Fail(error)], folder=tmp_path / "work", tasks=3)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "x")


def test_options_that_the_engine_sets_are_refused(slurm: Path) -> None:
    from llavamed_data.engine.slurm import SlurmEngine

    with pytest.raises(UsageError, match="--slurm array cannot be set"):
        SlurmEngine(sbatch={"array": "0-9"})


def test_examples_parse_and_name_real_flags() -> None:
    import typer

    known = {flag for p in typer.main.get_command(app).commands["build"].params for flag in p.opts}
    script = EXAMPLES / "build_on_slurm.sh"
    cluster = yaml.safe_load((EXAMPLES / "ray_cluster.yaml").read_text())
    assert script.stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    texts = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    texts += [
        line
        for line in (EXAMPLES / "ray_cluster.yaml").read_text().splitlines()
        if "llavamed_data build" in line
    ]
    used = {word.partition("=")[0] for line in texts for word in line.split() if word.startswith("--")}
    assert used - known == set()
    assert {"--engine", "--slurm", "--ray-address"} <= used
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster))
