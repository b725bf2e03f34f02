"""Runs tasks as job arrays of a Slurm cluster, through submitit."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavamed_data.engine.engine import Backend, Engine, Outcome, T, attempt
from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.io.atomic import write_text

if TYPE_CHECKING:
    from submitit import Job

DEFAULTS = {"time": "24:00:00", "cpus-per-task": "1", "mem-per-cpu": "2G"}
"""What a job of a build asks for unless told otherwise; the partition is the cluster's default one."""

RESERVED = frozenset(
    {
        "array",
        "output",
        "error",
        "nodes",
        "job-name",
        "dependency",
        "open-mode",
        "signal",
        "ntasks-per-node",
        "wckey",
    }
)
"""Options of sbatch that the engine sets itself."""

_COMMANDS = ("sbatch", "srun", "sacct", "scancel")
_POLL_SECONDS = 2.0
_SACCT_SECONDS = 30
"""How often Slurm is asked for the states of jobs; results are looked for more often, as files."""

_ARRAY_SIZE = 1_000
"""The most tasks in one job array where the cluster does not say: Slurm's own default for MaxArraySize is 1,001."""

_LOG_CHARACTERS = 600
"""How much of the end of a job's log an error shows."""

_JOBS = "jobs.json"
"""Output of a task → its job, kept so that a rerun takes over jobs that still wait or run."""


@dataclass(frozen=True, slots=True)
class SlurmEngine(Engine):
    """A Slurm cluster; the working directory, the work folder and this Python must lie on shared storage.

    Attributes:
        workers: the most tasks that run at a time; None for as many as Slurm grants.
        sbatch: long options of sbatch without dashes → value: `partition`, `time`, `account`, …
        defaults: the same, where `sbatch` does not say.

    Raises:
        UsageError: a command of Slurm is not on the PATH, an option that the engine itself sets is given, or the
            engine is started from within a job array.
    """

    sbatch: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=lambda: DEFAULTS)

    def __post_init__(self) -> None:
        if taken := sorted(RESERVED & self.sbatch.keys()):
            raise UsageError(f"--slurm {taken[0]} cannot be set: the engine sets it itself")
        if missing := [command for command in _COMMANDS if shutil.which(command) is None]:
            raise UsageError(
                f"--engine slurm needs {missing[0]} on the PATH: run it on a login node of a Slurm cluster"
            )
        if "SLURM_ARRAY_TASK_ID" in os.environ:
            raise UsageError("--engine slurm cannot be started from within a task of a Slurm job array")
        minutes(_options(self)["time"])

    @contextmanager
    def _open(self, function: Callable[[T], None], tasks: int, folder: Path) -> Iterator[Backend[T, Any]]:  # noqa: ARG002
        folder.mkdir(parents=True, exist_ok=True)
        yield _SlurmJobs(self, function, folder)


class _SlurmJobs(Backend[T, "Job[Outcome]"]):
    """Submits job arrays; the handle of a task is its job."""

    def __init__(self, engine: SlurmEngine, function: Callable[[T], None], folder: Path) -> None:
        from submitit import SlurmExecutor
        from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

        SlurmJob.watcher = SlurmInfoWatcher(delay_s=_SACCT_SECONDS)
        options = _options(engine)
        self._function = partial(attempt, function)
        self._folder = folder
        self._workers = engine.workers
        self._array_size = _array_size()
        self._executor = SlurmExecutor(folder=folder)
        self._executor.update_parameters(
            job_name="llavamed",
            array_parallelism=engine.workers or self._array_size,
            time=minutes(options.pop("time")),
            additional_parameters=options,
        )
        self._jobs: dict[str, str] = _read_jobs(folder / _JOBS)

    def room(self, running: int) -> int:
        """With a number of workers, one array at a time, which Slurm itself holds to that number."""
        return self._array_size if self._workers is None or not running else 0

    def start(self, tasks: Sequence[T]) -> Sequence["Job[Outcome]"]:
        jobs = self._still_there(tasks)
        rest = [task for task in tasks if task.output not in jobs]
        if rest:
            jobs |= zip((task.output for task in rest), self._submit(rest), strict=True)
        self._jobs |= {str(output): job.job_id for output, job in jobs.items()}
        write_text(self._folder / _JOBS, json.dumps(self._jobs))
        return [jobs[task.output] for task in tasks]

    def _submit(self, tasks: Sequence[T]) -> Sequence["Job[Outcome]"]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            return self._executor.map_array(self._function, tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            raise LlavaMedError(f"sbatch refused the job ({one_line(error, 600)}): change --slurm") from error

    def _still_there(self, tasks: Sequence[T]) -> dict[Path, "Job[Outcome]"]:
        """The jobs that an earlier run submitted for these tasks and that still wait or run, by the tasks' outputs."""
        from submitit import SlurmJob

        names = {task.output: self._jobs[name] for task in tasks if (name := str(task.output)) in self._jobs}
        jobs: dict[Path, Job[Outcome]] = {
            output: SlurmJob(self._folder, name) for output, name in names.items()
        }
        if jobs:
            SlurmJob.watcher.update()  # asks for all of them at once
        return {output: job for output, job in jobs.items() if _is_under_way(job)}

    def wait(self, running: Mapping["Job[Outcome]", T]) -> Iterable[tuple["Job[Outcome]", Outcome]]:
        while not (ended := [job for job in running if job.done()]):
            time.sleep(_POLL_SECONDS)
        for job in ended:
            yield job, self._outcome(job)

    def _outcome(self, job: "Job[Outcome]") -> Outcome:
        from submitit.core.utils import UncompletedJobError

        try:
            outcome = job.result()
        except UncompletedJobError as error:
            outcome = error
        if isinstance(outcome, UncompletedJobError):
            words = one_line((job.stderr() or str(outcome))[-_LOG_CHARACTERS:], _LOG_CHARACTERS)
            return LlavaMedError(
                f"Slurm ended job {job.job_id} ({job.state}) before it was finished, see {self._folder}: {words}; "
                "rerun the same command, finished work is kept"
            )
        return outcome

    def cancel(self, running: Collection["Job[Outcome]"]) -> None:
        if running:
            subprocess.run(["scancel", *(job.job_id for job in running)], check=False)  # noqa: S603, S607


def _is_under_way(job: "Job[Outcome]") -> bool:
    """Whether the job waits or runs, by the last answer of sacct; a job that Slurm has forgotten does not."""
    known = job.watcher.get_state(job.job_id, mode="cache") != "UNKNOWN"
    return known and not job.watcher.is_done(job.job_id, mode="cache")


def _options(engine: SlurmEngine) -> dict[str, str]:
    """The options of sbatch; `mem` takes the place of `mem-per-cpu`, for sbatch takes only one of them."""
    options = {"time": DEFAULTS["time"], **engine.defaults, **engine.sbatch}
    if "mem" in engine.sbatch:
        options.pop("mem-per-cpu", None)
    return options


def minutes(time: str) -> int:
    """The minutes of a time as sbatch takes it, rounded up.

    >>> minutes("90"), minutes("04:00:00"), minutes("1-12"), minutes("10:30")
    (90, 240, 2160, 11)

    Raises:
        UsageError: it is not of the form MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS or
            DAYS-HOURS:MINUTES[:SECONDS].
    """
    days, dash, rest = time.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        if dash:
            hours, minute, seconds = (*parts, 0, 0, 0)[:3]
        else:
            hours, minute, seconds = ((0, *parts, 0), (0, *parts), parts)[len(parts) - 1][:3]
        return int(days or 0) * 1440 + hours * 60 + minute + (seconds > 0)
    except (ValueError, IndexError) as error:
        raise UsageError(f"--slurm time={time} is no time that sbatch takes, such as 04:00:00") from error


def _array_size() -> int:
    """The most tasks that the cluster takes in one job array."""
    if shutil.which("scontrol") is None:
        return _ARRAY_SIZE
    shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False)  # noqa: S607
    stated = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown.stdout, re.MULTILINE)
    return max(1, int(stated[1]) - 1) if stated else _ARRAY_SIZE


def _read_jobs(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
