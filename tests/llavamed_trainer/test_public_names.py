"""The public names of the package: imported when they are first used, and with types that mypy and editors see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import llavamed_trainer
from tests.conftest import CHECKOUT

TYPES = {
    "run_training": "def (settings: llavamed_trainer.running.arguments.TrainingSettings, *, "
    "console: Any | None =) -> llavamed_trainer.running.run.TrainingReport",
    "make_plan(load_recipe('stage1'), 8, find_gpu('a100-40g')).hours": "float",
    "Stage.PROJECTOR": "Literal[llavamed_trainer.models.stages.Stage.PROJECTOR]?",
    "BadRows(limit=3).counts": "dict[llavamed_trainer.collate.bad_rows.BadRowReason, int]",
    "token_lengths": "def (rows: typing.Sequence[typing.Mapping[str, Any]], processor: Any, "
    "max_length: int | None =, *, text: Literal['all'] | Literal['answers'] =) -> list[int]",
}
"""Expressions with public names, and what mypy's `reveal_type` says of them."""

CONFIG = """
[mypy]
strict = true
follow_imports = skip
[mypy-llavamed_trainer.*,llavamed_data.*,hub_cards.*]
follow_imports = normal
"""
"""Other packages are left out, so that mypy ends within seconds; what they define is Any then."""


def run_mypy(folder: Path, code: str) -> str:
    (folder / "mypy.ini").write_text(CONFIG)
    (folder / "snippet.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "snippet.py"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_mypy_sees_the_types_of_public_names_and_refuses_others(tmp_path: Path) -> None:
    names = ", ".join(llavamed_trainer.__all__)
    revealed = "".join(f"reveal_type({expression})\n" for expression in TYPES)
    output = run_mypy(
        tmp_path, f"from llavamed_trainer import {names}\n{revealed}from llavamed_trainer import nothing\n"
    )
    lines = [line.partition(": ")[2] for line in output.splitlines() if line.startswith("snippet.py")]
    assert lines == [
        *(f'note: Revealed type is "{kind}"' for kind in TYPES.values()),
        'error: Module "llavamed_trainer" has no attribute "nothing"  [attr-defined]',
    ]


def test_every_public_name_can_be_imported() -> None:
    for name in llavamed_trainer.__all__:
        assert getattr(llavamed_trainer, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        llavamed_trainer.nothing  # noqa: B018


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, llavamed_trainer; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
