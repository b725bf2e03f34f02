"""What runs a sweep's runs: this machine one after another, or Slurm or Ray, one job each."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from llavamed_data.engine.sbatch import check_sbatch
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.sweep.execute import DONE, execute
from llavamed_trainer.evaluation.sweep.plan import Run

Told: TypeAlias = Callable[[Run, str, str], None]
"""Is told of a run, its state (`running`, `done`, `failed`) and why it failed."""

JOB = "slurm-job"
_OURS = frozenset({"dependency", "job-name", "kill-on-invalid-dep", "output", "parsable"})
_POLL_SECONDS = 2.0
_SETTLE_SECONDS = 30.0
_MOST_WORDS = 600


class Engine(Protocol):
    """Runs what is not done yet."""

    def run(self, runs: Sequence[Run], folder: Path, told: Told) -> None:
        """Runs each after the one that it needs, if that is among them and ended well; tells how each ended."""


@dataclass(frozen=True, slots=True)
class Local:
    """One run after another, here."""

    def run(self, runs: Sequence[Run], folder: Path, told: Told) -> None:
        """See `Engine`."""
        lost = set[str]()
        for run in runs:
            if run.needs in lost:
                lost.add(run.name)
                continue
            told(run, "running", "")
            try:
                execute(folder / run.name)
            except LlavaMedError as error:
                lost.add(run.name)
                told(run, "failed", str(error))
            else:
                told(run, "done", "")


@dataclass(frozen=True, slots=True)
class Slurm:
    """One job each; a job waits for that of the run that it needs, and is never started where that one failed.

    Attributes:
        sbatch: long options of sbatch without dashes → value: `partition`, `gres`, `time`, …

    Raises:
        UsageError: there is no sbatch on the PATH, or an option that the engine itself sets is given.
    """

    sbatch: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sbatch(self.sbatch, _OURS, "sweep")

    def run(self, runs: Sequence[Run], folder: Path, told: Told) -> None:
        """See `Engine`. A job that an earlier start of the sweep has queued is taken over, not queued again."""
        jobs = dict[str, str]()
        for run in runs:
            jobs[run.name] = self._earlier(folder / run.name) or self._submit(
                run, folder, jobs.get(run.needs or "")
            )
            told(run, "running", f"job {jobs[run.name]}")
        waiting = list(runs)
        while waiting:
            time.sleep(_POLL_SECONDS)
            queued = _queued(jobs[run.name] for run in waiting)
            for run in [run for run in waiting if jobs[run.name] not in queued]:
                waiting.remove(run)
                self._ended(run, runs, folder, told, jobs[run.name])

    def _submit(self, run: Run, folder: Path, after: str | None) -> str:
        place = folder / run.name
        options = {
            "job-name": f"llavamed-{run.kind}",
            "output": str(place / "slurm-%j.log"),
            **({"dependency": f"afterok:{after}", "kill-on-invalid-dep": "yes"} if after else {}),
            **self.sbatch,
        }
        script = (
            "#!/bin/sh\n"
            f"cd {shlex.quote(str(Path.cwd()))} || exit 1\n"
            f"exec {shlex.quote(sys.executable)} -m {__package__} {shlex.quote(str(place))}\n"
        )
        asked = subprocess.run(  # noqa: S603
            ["sbatch", "--parsable", *(f"--{name}={value}" for name, value in options.items())],  # noqa: S607
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode != 0:
            raise LlavaMedError(f"sbatch refused {run.name}: {' '.join(asked.stderr.split())}: mend --slurm")
        job = asked.stdout.strip().partition(";")[0]
        (place / JOB).write_text(job, encoding="utf-8")
        return job

    def _earlier(self, place: Path) -> str | None:
        note = place / JOB
        job = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        return job if job and job in _queued([job]) else None

    def _ended(self, run: Run, runs: Sequence[Run], folder: Path, told: Told, job: str) -> None:
        """A shared folder may take a while to show the record of a job that has ended."""
        needed = next((each for each in runs if each.name == run.needs), None)
        if needed and not (folder / needed.name / DONE).is_file():
            return  # was never started
        place, until = folder / run.name, time.monotonic() + _SETTLE_SECONDS
        while not (place / DONE).is_file():
            words = _words(place / f"slurm-{job}.log")
            if "error: " in words or time.monotonic() > until:
                told(run, "failed", words or f"Slurm ended job {job}: see {place}")
                return
            time.sleep(0.2)
        told(run, "done", "")


def _words(log: Path) -> str:
    """What a job itself said: nothing, or why it failed; the words of its commands are in `log.txt`."""
    said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return " ".join(said.split())[-_MOST_WORDS:]


def _queued(jobs: Any) -> set[str]:
    """Those of the jobs that wait or run; all of them where the controller does not answer."""
    listed = list(jobs)
    asked = subprocess.run(  # noqa: S603
        ["squeue", "--noheader", "--format=%i", "--jobs", ",".join(listed)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0 and "Invalid job id" not in asked.stderr:
        return set(listed)
    return set(asked.stdout.split())


@dataclass(frozen=True, slots=True)
class Ray:
    """One task each on a Ray cluster whose nodes all see the sweep's folder and the working directory.

    Attributes:
        address: of the cluster; None joins what RAY_ADDRESS names or what runs here, and else starts Ray here.
        gpus: GPUs that each run takes.

    Raises:
        UsageError: Ray is not installed.
    """

    address: str | None = None
    gpus: int = 0

    def __post_init__(self) -> None:
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise UsageError("--engine ray needs Ray: pip install 'llavamed-data[ray]'") from error

    def run(self, runs: Sequence[Run], folder: Path, told: Told) -> None:
        """See `Engine`."""
        import ray

        _connect(self.address)
        task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=0)(_execute_in)
        refs = dict[str, Any]()
        for run in runs:
            refs[run.name] = task.remote(str(Path.cwd()), str(folder / run.name), refs.get(run.needs or ""))
            told(run, "running", "")
        names = {ref: run for run in runs for ref in [refs[run.name]]}
        waiting = list(names)
        try:
            while waiting:
                ended, waiting = ray.wait(waiting)
                for ref in ended:
                    try:
                        failure = ray.get(ref)
                    except ray.exceptions.RayError as error:
                        failure = f"Ray lost it: {' '.join(str(error).split())[:200]}"
                    if failure != _NOT_STARTED:
                        told(names[ref], "failed" if failure else "done", failure)
        finally:
            for ref in waiting:
                ray.cancel(ref)


_NOT_STARTED = "not started"


def _execute_in(directory: str, place: str, before: str | None) -> str:
    """What went wrong; empty if nothing did."""
    if before:
        return _NOT_STARTED
    try:
        os.chdir(directory)
        execute(Path(place))
    except (LlavaMedError, OSError) as error:
        return str(error)
    return ""


def _connect(address: str | None) -> None:
    import logging

    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if named := address or os.environ.get("RAY_ADDRESS"):
        ray.init(named, logging_level=logging.ERROR, log_to_driver=False)
        return
    try:
        ray.init("auto", logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
