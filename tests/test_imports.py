"""Which room may import which: the contracts that `pyproject.toml` states."""

import subprocess
import sys

from tests.conftest import CHECKOUT


def test_imports_run_from_a_higher_room_to_a_lower_one() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
