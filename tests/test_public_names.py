"""The public names of both packages: imported when they are first used, and with types that mypy and editors see."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import llavamed_data
import llavamed_trainer
from tests.conftest import CHECKOUT

TYPES: dict[ModuleType, dict[str, str]] = {
    llavamed_data: {
        "build('60k-im', size=5)": "llavamed_data.pipeline.builds.summary.BuildSummary",
        "stats('set')": "list[llavamed_data.stats.counts.DatasetStats]",
        "estimate('60k-im', 'gpt-4o')": "llavamed_data.instruct.estimate.ConversationEstimate",
        "BuildOptions().source": "str",
        "__version__": "str",
    },
    llavamed_trainer: {
        "run_training": "def (settings: llavamed_trainer.running.arguments.TrainingSettings, *, "
        "console: Any | None =) -> llavamed_trainer.running.summary.TrainingReport",
        "make_plan(load_recipe('stage1'), 8, find_gpu('a100-40g')).hours": "float",
        "Stage.PROJECTOR": "Literal[llavamed_trainer.models.stages.Stage.PROJECTOR]?",
        "BadRows(limit=3).counts": "dict[llavamed_trainer.collate.bad_rows.BadRowReason, int]",
        "token_lengths": "def (rows: typing.Sequence[typing.Mapping[str, Any]], processor: Any, "
        "max_length: int | None =, *, text: Literal['all'] | Literal['answers'] =) -> list[int]",
    },
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


@pytest.mark.parametrize("package", TYPES, ids=lambda package: package.__name__)
def test_mypy_sees_the_types_of_public_names_and_refuses_others(tmp_path: Path, package: ModuleType) -> None:
    names = ", ".join(package.__all__)
    revealed = "".join(f"reveal_type({expression})\n" for expression in TYPES[package])
    output = run_mypy(
        tmp_path,
        f"from {package.__name__} import {names}\n{revealed}from {package.__name__} import nothing\n",
    )
    lines = [line.partition(": ")[2] for line in output.splitlines() if line.startswith("snippet.py")]
    assert lines == [
        *(f'note: Revealed type is "{kind}"' for kind in TYPES[package].values()),
        f'error: Module "{package.__name__}" has no attribute "nothing"  [attr-defined]',
    ]


@pytest.mark.parametrize("package", TYPES, ids=lambda package: package.__name__)
def test_every_public_name_can_be_imported(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("llavamed_data", {"datasets", "pyarrow", "numpy"}),
        ("llavamed_trainer", {"torch", "transformers", "datasets"}),
    ],
)
def test_importing_a_package_does_not_import_heavy_libraries(package: str, heavy: set[str]) -> None:
    code = f"import sys, {package}; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True)
