"""One run of a sweep in its folder: its commands, one after another, and the record that it is done."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_data.io.locks import exclusive_lock
from llavamed_trainer.evaluation.results import write_result
from llavamed_trainer.evaluation.sweep.plan import PYTHON, SweepRun

DONE, LOG, SPEC = "done.json", "log.txt", "sweep.json"
_LOCK, _STARTS = ".lock", ".starts"
_LOG_TAIL_BYTES = 10_000
_MESSAGE_CHARACTERS = 400
_TERMINATION_SECONDS = 30.0


def write_spec(folder: Path, run: SweepRun) -> None:
    """Writes into a run's folder what `execute` needs to know, on whatever machine it runs."""
    stated = {
        "name": run.name,
        "commands": run.commands,
        "facts": dict(run.facts),
        "fingerprint": run.fingerprint,
    }
    write_text(folder / SPEC, json.dumps(stated, indent=1) + "\n")


def is_done(folder: Path, run: SweepRun) -> bool:
    """Whether the run is complete.

    Raises:
        UsageError: it is, but other commands were run.
    """
    record = folder / DONE
    if not record.is_file():
        return False
    if json.loads(record.read_text(encoding="utf-8"))["fingerprint"] != run.fingerprint:
        raise UsageError(
            f"{folder} was made with other settings than this grid states: remove it to run it anew, or choose "
            "another --output"
        )
    return True


def execute(folder: Path) -> None:
    """Runs the commands of the folder's spec, their output going to `log.txt`, and writes `done.json` last.

    A run that an earlier start left unfinished is run again: its commands go on where they were.

    Raises:
        LlavaMedError: a command failed, or an earlier start of this run is still running.
    """
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    busy = f"an earlier start of {folder} is still running: wait for it, or end it"
    with exclusive_lock(folder / _LOCK, busy=busy) as lock, (folder / LOG).open("ab") as log:
        starts = folder / _STARTS
        number = 1 + (int(starts.read_text(encoding="utf-8") or 0) if starts.is_file() else 0)
        starts.write_text(f"{number}\n", encoding="utf-8")
        began = time.monotonic()
        for command in spec["commands"]:
            _run([sys.executable if part == PYTHON else part for part in command], folder, log, lock)
        record: dict[str, Any] = {
            **spec["facts"],
            # what earlier starts took is not known: no hours, rather than too few
            "hours": (time.monotonic() - began) / 3600 if number == 1 else None,
            "name": spec["name"],
            "fingerprint": spec["fingerprint"],
        }
        if spec["facts"]:
            write_result(folder / DONE, "llavamed-run", record)
        else:
            write_text(folder / DONE, json.dumps(record, indent=1) + "\n")


def _run(command: Sequence[str], folder: Path, log: IO[bytes], lock: int) -> None:
    """Runs one command, which also holds the lock: if it outlives this process, no other start runs beside it."""
    log.write(f"$ {' '.join(command)}\n".encode())
    log.flush()
    try:
        child = subprocess.Popen(  # noqa: S603  (the user's own grid)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
    except OSError as error:
        raise LlavaMedError(
            f"{command[0]} cannot be started ({error.strerror or error}): check the launcher and rerun the same command"
        ) from error
    try:
        code = child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(_TERMINATION_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    if code != 0:
        ending = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise LlavaMedError(
            f"{' '.join(command[1:4])} {ending}: {_last_line(folder / LOG)} (its whole output is in {folder / LOG})"
        )


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last[:_MESSAGE_CHARACTERS]
