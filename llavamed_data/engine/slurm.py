"""Runs the stations' tasks as Slurm job arrays and waits for them by datatrove's completion marks."""

import os
import pickle
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from llavamed_data.engine.local import Engine, QuietTasks
from llavamed_data.engine.sbatch import check_sbatch
from llavamed_data.errors import LlavaMedError, UsageError

SBATCH = {"time": "24:00:00", "cpus-per-task": "1", "mem-per-cpu": "2G"}
"""What a job asks for unless told otherwise; the partition is the cluster's default one."""

_OURS = frozenset({"array", "output", "error", "nodes", "job-name", "dependency"})
_POLL_SECONDS = 2.0
_SETTLE_SECONDS = 30.0
"""How long a shared folder may take to show the marks of a job that has ended."""


@dataclass(frozen=True, slots=True)
class SlurmEngine(Engine):
    """A Slurm cluster; the working directory, the work folder and this Python must lie on shared storage.

    Attributes:
        workers: tasks at a time; None for as many as Slurm grants.
        sbatch: long options of sbatch without dashes → value, over `SBATCH`: `partition`, `time`, `account`, …

    Raises:
        UsageError: there is no sbatch on the PATH, or an option that the engine itself sets is given.
    """

    sbatch: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sbatch(self.sbatch, _OURS, "engine")
        if "SLURM_ARRAY_TASK_ID" in os.environ:
            raise UsageError("--engine slurm cannot be started from within a task of a Slurm job array")

    def _execute(self, blocks: list[PipelineStep], logs: Path, tasks: int) -> None:
        shutil.rmtree(logs / "failures", ignore_errors=True)
        options = SBATCH | dict(self.sbatch)
        if "mem" in self.sbatch:
            options.pop("mem-per-cpu")  # sbatch takes one of them
        executor = _SlurmExecutor(
            pipeline=blocks,
            tasks=tasks,
            workers=self.workers or -1,
            time=options["time"],
            partition=options.get("partition", ""),
            qos=options.get("qos", ""),
            sbatch_args=options,
            job_name="llavamed",
            env_command=f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
            logging_dir=str(logs),
        )
        executor.run()


class _SlurmExecutor(QuietTasks, SlurmPipelineExecutor):  # type: ignore[misc]
    """datatrove's Slurm executor that waits for its jobs and tells why one failed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, job_id_retriever=self._job_of)
        self.jobs: list[str] = []

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """datatrove's options, less those without a value, which sbatch would refuse."""
        stated = super().get_sbatch_args(max_array)
        return {name: value for name, value in stated.items() if value != "" or name == "requeue"}

    def launch_job(self) -> None:
        """Submits what is not done yet, and returns when all of it is."""
        try:
            super().launch_job()
            self._wait()
        except subprocess.CalledProcessError as error:
            raise LlavaMedError("sbatch refused the job, see its words above: mend --slurm") from error
        finally:
            if self.jobs and self.get_incomplete_ranks():
                subprocess.run(["scancel", *self.jobs], check=False)  # noqa: S603, S607

    def launch_merge_stats(self) -> None:
        """Submits nothing: the stations count for themselves."""

    def _job_of(self, answer: str) -> str:
        self.jobs.append(answer.split()[3])  # Submitted batch job 123 [on cluster NAME]
        return self.jobs[-1]

    def _wait(self) -> None:
        gone_since: float | None = None
        while left := self.get_incomplete_ranks():
            for path in sorted(self._failures.glob("*.pickle")):
                raise pickle.loads(path.read_bytes())  # noqa: S301  (written by our own job)
            if _is_queued(self.jobs[-1]):
                gone_since = None
            elif gone_since is None:
                gone_since = time.monotonic()
            elif time.monotonic() - gone_since > _SETTLE_SECONDS:
                raise LlavaMedError(
                    f"Slurm ended job {self.jobs[-1]} with {len(left)} of {self.tasks} tasks undone, see "
                    f"{self.slurm_logs_folder}: run the same command again, finished work is kept"
                )
            time.sleep(_POLL_SECONDS)

    @property
    def _failures(self) -> Path:
        return Path(self.logging_dir.path) / "failures"

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as error:
            self._failures.mkdir(exist_ok=True)
            aside = self._failures / f"{rank:05d}.part"
            aside.write_bytes(_pickled(error))
            aside.rename(aside.with_suffix(".pickle"))
            raise


def _is_queued(job: str) -> bool:
    """Whether Slurm still knows of a waiting or running task; a controller that does not answer may."""
    asked = subprocess.run(  # noqa: S603  (job is a number that sbatch gave)
        ["squeue", "--noheader", "--jobs", job],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return bool(asked.stdout.strip()) if asked.returncode == 0 else "Invalid job id" not in asked.stderr


def _pickled(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # noqa: S301
    except Exception:  # whatever an exception's own class does wrong
        return pickle.dumps(LlavaMedError(f"{type(error).__name__}: {error}"))
    return data
