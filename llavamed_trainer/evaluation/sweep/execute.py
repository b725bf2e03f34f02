"""One run of a sweep in its folder: done wholly, or not at all."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.locks import exclusive_lock
from llavamed_trainer.evaluation.sweep.plan import PYTHON, Run
from llavamed_trainer.evaluation.tables.collect import RUN

DONE, LOG, SPEC = "done.json", "log.txt", "sweep.json"
_LOCK, _STARTS = ".lock", ".starts"
_LAST_LINES = 400
_END_SECONDS = 30.0


def write_spec(folder: Path, run: Run) -> None:
    """Leaves in a run's folder what `execute` needs to know, on whatever machine it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = {
        "name": run.name,
        "commands": run.commands,
        "facts": dict(run.facts),
        "fingerprint": run.fingerprint,
    }
    with atomic_path(folder / SPEC) as aside:
        aside.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")


def is_done(folder: Path, run: Run) -> bool:
    """Whether the run is complete.

    Raises:
        UsageError: it is, but was run by other commands.
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
    """Runs the commands of the folder's spec, their words going to `log.txt`, and writes `done.json` last.

    A run that an earlier start left half done is run again: its commands go on where they were.

    Raises:
        LlavaMedError: a command failed, or an earlier start of this run is still at it.
    """
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    busy = f"an earlier start of {folder} is still running: wait for it, or end it"
    with exclusive_lock(folder / _LOCK, busy=busy) as lock, (folder / LOG).open("ab") as log:
        starts = folder / _STARTS
        starts.write_text(f"{_number(starts) + 1}\n", encoding="utf-8")
        begun = time.monotonic()
        for command in spec["commands"]:
            _run([sys.executable if part == PYTHON else part for part in command], folder, log, lock)
        hours = (time.monotonic() - begun) / 3600 if _number(starts) == 1 else None
        record: dict[str, Any] = {"kind": RUN} if spec["facts"] else {}
        record |= {**spec["facts"], "hours": hours, "name": spec["name"], "fingerprint": spec["fingerprint"]}
        with atomic_path(folder / DONE) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _run(command: Sequence[str], folder: Path, log: IO[bytes], lock: int) -> None:
    """The child holds the lock too: where this process is killed and it lives on, nobody else starts the run."""
    log.write(f"$ {' '.join(command)}\n".encode())
    log.flush()
    try:
        child = subprocess.Popen(  # noqa: S603  (the user's own grid)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
    except OSError as error:
        raise LlavaMedError(f"{command[0]} cannot be started: {error.strerror or error}") from error
    try:
        code = child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
    if code != 0:
        what = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise LlavaMedError(
            f"{' '.join(command[1:4])} {what}: {_last_words(folder / LOG)} (all in {folder / LOG})"
        )


def _number(path: Path) -> int:
    return int(path.read_text(encoding="utf-8") or 0) if path.is_file() else 0


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 10_000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last[:_LAST_LINES]
