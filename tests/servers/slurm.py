"""A Slurm of one machine: stand-ins for sbatch, srun, sacct and scancel, so that our side of the protocol is tried.

`install` writes the four commands; each runs this file. A job's script runs as sbatch's manual says that it runs, its
tasks one after another in a process that outlives who submitted it. Files in the folder of jobs say what became of a
task: `NAME.running` while it runs, `NAME.code` with its exit code when it has ended.
"""

import itertools
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel")


def install(tools: Path, jobs: Path) -> None:
    """Writes the commands into the folder `tools`; what they do is kept in the folder `jobs`."""
    tools.mkdir(parents=True)
    jobs.mkdir(parents=True)
    for name in COMMANDS:
        command = tools / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} {jobs} "$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)


def scripts(jobs: Path) -> list[str]:
    """The batch scripts that were submitted, in order."""
    return [path.read_text() for path in sorted(jobs.glob("*.sh"))]


def sbatch(jobs: Path, script: str) -> None:
    text = Path(script).read_text()
    directives = dict(
        line[10:].partition("=")[::2] for line in text.splitlines() if line.startswith("#SBATCH --")
    )
    job = str(100 + len(list(jobs.glob("*.sh"))))
    (jobs / f"{job}.sh").write_text(text)
    array = re.match(r"(\d+)-(\d+)", directives.get("array", ""))
    numbers = range(int(array[1]), int(array[2]) + 1) if array else [None]
    tasks = [job if number is None else f"{job}_{number}" for number in numbers]
    (jobs / f"{job}.tasks").write_text("\n".join(tasks))
    command = [sys.executable, __file__, "run", str(jobs), job]
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    print("Submitted batch job", job)


def run(jobs: Path, job: str) -> None:
    """Runs the tasks of a job that have not been cancelled."""
    for task in (jobs / f"{job}.tasks").read_text().split():
        if (jobs / f"{task}.code").exists():
            continue
        (jobs / f"{task}.running").touch()
        names = {"SLURM_JOB_ID": job, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
        names |= dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
        if "_" in task:
            names |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": task.partition("_")[2]}
        done = subprocess.run(["bash", str(jobs / f"{job}.sh")], env={**os.environ, **names}, check=False)
        (jobs / f"{task}.code").write_text(str(done.returncode))


def sacct(jobs: Path, *words: str) -> None:
    print("JobID|State|NodeList")
    for job in (after for word, after in itertools.pairwise(words) if word == "-j"):
        for task in (jobs / f"{job}.tasks").read_text().split():
            code, running = jobs / f"{task}.code", (jobs / f"{task}.running").exists()
            state = "RUNNING" if running else "PENDING"
            if code.exists():
                state = "COMPLETED" if code.read_text() == "0" else "FAILED"
            print(f"{task}|{state}|here")


def srun(_jobs: Path, *words: str) -> None:
    """Runs the command behind the options; `--output` and `--error` say where its output goes."""
    job, number = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_TASK_ID", "")
    files, rest = {}, list(words)
    while rest[0].startswith("--"):
        option = rest.pop(0)
        if option in ("--output", "--error"):
            path = rest.pop(0).replace("%A", job).replace("%a", number).replace("%j", job).replace("%t", "0")
            files[option] = path
    with Path(files["--output"]).open("a") as out, Path(files["--error"]).open("a") as err:
        done = subprocess.run(rest, stdout=out, stderr=err, check=False)
    sys.exit(abs(done.returncode))


def scancel(jobs: Path, *tasks: str) -> None:
    with (jobs / "cancelled").open("a") as file:
        file.writelines(f"{task}\n" for task in tasks)
    for task in tasks:
        (jobs / f"{task}.code").write_text("15")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
