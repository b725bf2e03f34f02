"""The same work on this machine, on a Ray cluster that loses a node, and by Slurm's job arrays: the same bytes."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from llavamed_data.cli.app import app
from llavamed_data.engine import Engine, LocalEngine, number_of_tasks, share
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.sample import corpus_path
from tests.benchmarks.bench_memory import multiplied
from tests.conftest import EXAMPLES
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.servers.slurm import scripts

ray = pytest.importorskip("ray")


@dataclass(frozen=True)
class Part:
    """A task whose output names the process that made it."""

    folder: Path
    number: int

    @property
    def output(self) -> Path:
        return self.folder / f"ended-{self.number}"


def parts(folder: Path, count: int) -> list[Part]:
    folder.mkdir(parents=True, exist_ok=True)
    return [Part(folder, number) for number in range(count)]


def note(part: Part, seconds: float = 0.0) -> None:
    """Says when it begins and on which node, takes its time, and leaves its output."""
    from ray import get_runtime_context

    node = get_runtime_context().get_node_id() if ray.is_initialized() else "here"
    (part.folder / f"began-{part.number}-{node}-{os.getpid()}").touch()
    time.sleep(seconds)
    part.output.write_text(str(os.getpid()))


def note_variable(part: Part) -> None:
    """Leaves the value of an environment variable."""
    part.output.write_text(os.environ["LLAVAMED_TEST"])


def fail(error: Exception, part: Part) -> None:
    """Raises `error` in task 1."""
    if part.number == 1:
        raise error
    part.output.touch()


def die(part: Part) -> None:
    """Is killed in task 1, as by a machine without memory."""
    if part.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    part.output.touch()


def run(engine: Engine, function: Callable[[Part], None], tasks: list[Part], name: str = "try") -> None:
    engine.map(function, tasks, name=name, folder=tasks[0].folder)


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


def begun(work: Path, step: str) -> tuple[int, int] | None:
    """How many tasks of a step have ended, of how many, once the first of several has."""
    try:
        if step == "extract":
            (listing,) = work.rglob("handles.txt")
            folder, tasks = (
                listing.parent,
                number_of_tasks(len(listing.read_text().splitlines()), least=32, most=5_000),
            )
            ended = len(list(folder.glob("counts-*.json")))
        else:
            folder = max(work.rglob(".fetch-*"), key=lambda each: len(list(each.glob("wanted-*"))))
            tasks, ended = len(list(folder.glob("wanted-*"))), len(list(folder.glob("checks-*.parquet")))
    except (FileNotFoundError, ValueError):  # not there yet, or renamed while it was looked at
        return None
    return (ended, tasks) if tasks > 2 and ended else None


def wait_for(holds: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


@pytest.mark.slow
def test_two_workers_write_what_one_writes(corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    done = llavamed("build", "60k-im", "--source", str(corpus), "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "llava-med") == expected


@pytest.mark.slow
@pytest.mark.parametrize("step", ["extract", "images"])
def test_a_build_on_ray_that_loses_a_node_is_complete_and_identical(
    step: str, cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "llavamed_data", "build", "60k-im", "--source", str(corpus), "--quiet"]
    on_ray = ["--engine", "ray", "--ray-address", cluster.address]
    with subprocess.Popen([*command, *on_ray], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as build:
        work = tmp_path / ".llavamed"
        wait_for(lambda: begun(work, step) or build.poll() is not None)
        assert build.poll() is None, build.stderr.read()
        ended, tasks = begun(work, step)
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
    engine = RayEngine(address=cluster.address, on_progress=lose)
    run(engine, partial(note, seconds=1.5), parts(notes, 8))
    assert lost
    began = [path.name.split("-") for path in notes.glob("began-*")]
    assert {number for _, number, *_ in began} == {str(number) for number in range(8)}
    assert {path.name for path in notes.glob("ended-*")} == {f"ended-{number}" for number in range(8)}
    again = {number for _, number, *_ in began if [line[1] for line in began].count(number) > 1}
    assert len(again) == 1  # the dead node had one CPU
    assert {node for _, number, node, _ in began if number in again} > set(lost)


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

    engine = RayEngine() if where == "ray" else LocalEngine(workers=1 if where == "one process" else 2)
    with pytest.raises((LlavaMedError, OSError), match=f"^{line}$") as caught:
        run(engine, partial(fail, error), parts(tmp_path, 3))
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    yield
    ray.shutdown()


def test_a_task_that_failed_is_run_again_and_the_others_are_not(tmp_path: Path) -> None:
    tasks = parts(tmp_path, 3)
    with pytest.raises(LlavaMedError):
        run(LocalEngine(workers=1), partial(fail, LlavaMedError("no")), tasks)
    assert [task.output.exists() for task in tasks] == [True, False, False]
    run(LocalEngine(workers=1), note, tasks)
    assert sorted(path.name.split("-")[1] for path in tmp_path.glob("began-*")) == ["1", "2"]


def test_no_process_runs_more_than_sixteen_tasks_unless_there_is_one_worker(tmp_path: Path) -> None:
    several, alone = parts(tmp_path / "several", 70), parts(tmp_path / "alone", 20)
    run(LocalEngine(workers=2), note, several)
    run(LocalEngine(workers=1), note, alone)
    tasks_of_a_process = Counter(task.output.read_text() for task in several)
    assert max(tasks_of_a_process.values()) == 16
    assert len(tasks_of_a_process) <= 6  # two at the end may have had fewer
    assert {task.output.read_text() for task in alone} == {str(os.getpid())}


def test_tasks_see_the_environment_as_it_is_when_they_are_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("before", "after"):
        monkeypatch.setenv("LLAVAMED_TEST", value)
        tasks = parts(tmp_path / value, 2)
        run(LocalEngine(workers=2), note_variable, tasks)
        assert {task.output.read_text() for task in tasks} == {value}


def test_a_process_that_is_killed_between_two_tasks_is_replaced(tmp_path: Path) -> None:
    first, second = parts(tmp_path, 2)
    with closing(LocalEngine(workers=2).run(note, [first, second, Part(tmp_path, 2)], tmp_path)) as outcomes:
        ended, _ = next(outcomes)
        pid = int(ended.output.read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}").exists())
        assert [error for _, error in outcomes] == [None, None]


@pytest.mark.slow
def test_processes_end_when_the_engine_is_killed(tmp_path: Path) -> None:
    code = (
        f"from {__name__} import *; from pathlib import Path; import sys; "
        "run(LocalEngine(workers=2), partial(note, seconds=1.0), parts(Path(sys.argv[1]), 9))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True
    ) as driver:
        wait_for(lambda: len(list(tmp_path.glob("began-*"))) == 2)
        driver.kill()
        assert driver.stderr.read() == ""  # which ends when the last of its processes does
    assert len(list(tmp_path.glob("began-*"))) == 2


def test_a_worker_that_is_killed_is_told_and_its_task_can_be_run_again(tmp_path: Path) -> None:
    tasks = parts(tmp_path, 3)
    with pytest.raises(LlavaMedError, match=r"killed by signal 9.*fewer --workers; finished work is kept"):
        run(LocalEngine(workers=2), die, tasks)
    run(LocalEngine(workers=2), note, tasks)
    assert all(task.output.exists() for task in tasks)


def test_what_is_running_ends_with_the_engine(tmp_path: Path) -> None:
    tasks = parts(tmp_path, 2)
    outcomes = LocalEngine(workers=2).run(partial(note, seconds=60), [*tasks, Part(tmp_path, 9)], tmp_path)

    def stop() -> None:
        wait_for(lambda: len(list(tmp_path.glob("began-*"))) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    import threading

    threading.Thread(target=stop).start()
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    pids = [int(path.name.split("-")[-1]) for path in tmp_path.glob("began-*")]
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)


def test_a_task_waits_for_the_one_that_it_needs_and_is_not_run_if_that_fails(tmp_path: Path) -> None:
    tasks = parts(tmp_path, 4)  # 1 fails; 0 needs 2, and 3 needs 1
    needs = {tasks[0].output: tasks[2].output, tasks[3].output: tasks[1].output}
    started: list[int] = []
    outcomes = list(
        LocalEngine(workers=1).run(
            partial(fail, LlavaMedError("no")),
            tasks,
            tmp_path,
            needs=needs,
            on_start=lambda task: started.append(task.number),
        )
    )
    assert started == [1, 2, 0]
    assert [(task.number, str(error or "")) for task, error in outcomes] == [(1, "no"), (2, ""), (0, "")]


def test_shares_are_contiguous_and_complete() -> None:
    assert [list(share(7, number, 3)) for number in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert number_of_tasks(28, least=32, most=5_000) == 1
    assert number_of_tasks(6_400, least=32, most=5_000) == 64
    assert number_of_tasks(8_000_000, least=32, most=5_000) == 1_600


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


@pytest.mark.slow
def test_an_extraction_by_job_arrays_is_identical(slurm: Path, corpus: Path, tmp_path: Path) -> None:
    source = ["--source", str(corpus)]
    flags = ["--engine", "slurm", "--slurm", "partition=cpu", "--slurm", "time=00:10:00", "--workers", "3"]
    here = llavamed(
        "extract", *source, "--out", "here.parquet", "--work", "a", "--workers", "1", cwd=tmp_path
    )
    jobs = llavamed("extract", *source, "--out", "jobs.parquet", "--work", "b", *flags, cwd=tmp_path)
    assert (here.returncode, jobs.returncode) == (0, 0), jobs.stderr
    assert (tmp_path / "jobs.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert not list((tmp_path / "b").rglob(".engine"))
    script = scripts(slurm)[0]
    for line in ("--partition=cpu", "--time=10", "--array=0-6%3", "--mem-per-cpu=2G"):
        assert f"#SBATCH {line}\n" in script
    assert "--qos" not in script


def slurm_engine(**settings: Any) -> Engine:
    from llavamed_data.engine.slurm import SlurmEngine

    return SlurmEngine(**settings)


@pytest.mark.slow
def test_an_error_in_a_job_is_that_error_here_and_the_other_jobs_are_cancelled(
    slurm: Path, tmp_path: Path
) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "x")
    with pytest.raises(OSError, match="No space left") as caught:
        run(slurm_engine(), partial(fail, error), parts(tmp_path / "work", 20))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "x")
    assert len((slurm / "cancelled").read_text().split()) >= 10


@pytest.mark.slow
def test_a_job_that_slurm_ends_is_told_with_its_last_words(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(
        LlavaMedError, match=r"Slurm ended job 100_1 \(FAILED\) before it was finished.*rerun the same"
    ):
        run(slurm_engine(), die, parts(tmp_path / "work", 3))


@pytest.mark.slow
def test_arrays_are_cut_at_what_the_cluster_takes(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = slurm.parent / "bin" / "scontrol"
    config.write_text("#!/bin/sh\necho 'MaxArraySize            = 4'\n")
    config.chmod(0o755)
    run(slurm_engine(workers=2), note, parts(tmp_path / "work", 7))
    arrays = [re.findall("--array=(.*)", script) for script in scripts(slurm)]
    assert arrays == [["0-2%2"], ["0-2%2"], []]  # the seventh is a job of its own


@pytest.mark.slow
def test_jobs_that_a_killed_run_left_are_waited_for_and_not_submitted_again(
    slurm: Path, tmp_path: Path
) -> None:
    code = (
        f"from {__name__} import *; from pathlib import Path; import sys; import llavamed_data.engine.slurm as s; "
        "s._POLL_SECONDS = 0.1; run(slurm_engine(), partial(note, seconds=1.0), parts(Path(sys.argv[1]), 4))"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "work")])
    wait_for(lambda: (tmp_path / "work" / "ended-0").exists())
    driver.kill()
    driver.wait()
    run(slurm_engine(), partial(note, seconds=1.0), parts(tmp_path / "work", 4))
    assert len(list((tmp_path / "work").glob("began-*"))) == 4
    assert len(scripts(slurm)) == 1


@pytest.mark.parametrize(
    ("time", "minutes"),
    [("90", 90), ("10:30", 11), ("04:00:00", 240), ("1-12", 2160), ("2-01:30", 2970), ("1-00:00:01", 1441)],
)
def test_times_are_read_as_sbatch_reads_them(time: str, minutes: int) -> None:
    from llavamed_data.engine.slurm import minutes as read

    assert read(time) == minutes


def test_options_that_the_engine_sets_and_times_that_are_none_are_refused(slurm: Path) -> None:
    with pytest.raises(UsageError, match="--slurm array cannot be set"):
        slurm_engine(sbatch={"array": "0-9"})
    with pytest.raises(UsageError, match="--slurm time=soon is no time"):
        slurm_engine(sbatch={"time": "soon"})


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
