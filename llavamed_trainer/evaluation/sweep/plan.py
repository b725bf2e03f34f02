"""Turns a grid into runs; a run that several rows of a table start from is planned once."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from llavamed_trainer.evaluation.sweep.grid import Grid
from llavamed_trainer.evaluation.tables.variant import Variant

RunKind: TypeAlias = Literal["assemble", "stage1", "stage2", "finetune", "evaluate"]

RunState: TypeAlias = Literal["waiting", "running", "done", "failed"]

PYTHON = "{python}"
"""Stands for the Python interpreter of the machine that runs a command."""

_STAGE1 = {"projector": "stage1", "full": "stage1-full", "full-no-instruction": "stage1-no-instruction"}
MODEL, PREDICTIONS, SCORES = "model", "predictions.jsonl", "predictions.scores.json"


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One run of a sweep: a model is assembled, trained for one stage, or scored on one benchmark.

    Attributes:
        name: the run's folder below that of the sweep; it names all runs from the base to this one.
        kind: what the run does.
        label: text in the tree.
        commands: the commands, run one after another; `PYTHON` stands for the interpreter.
        needs: name of the run that must be done before, if any.
        facts: for the record of a training run: recipe, epochs and model.
    """

    name: str
    kind: RunKind
    label: str
    commands: tuple[tuple[str, ...], ...]
    needs: str | None
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of the commands."""
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()[:16]


RunCallback: TypeAlias = Callable[[SweepRun, RunState, str], None]
"""Called with a run, its new state, and the reason if it failed (else empty)."""


@dataclass(frozen=True)
class SweepPlan:
    """All runs of a sweep, each listed after the one that it needs.

    Attributes:
        name: name of the grid.
        folder: folder of the sweep.
        runs: name → run.
        unshared: number of runs if each row of the grid trained its own from the start.
    """

    name: str
    folder: Path
    runs: Mapping[str, SweepRun]
    unshared: int

    @cached_property
    def counts(self) -> dict[RunKind, int]:
        """RunKind → number of runs, in the order of the curriculum."""
        kinds = [run.kind for run in self.runs.values()]
        return {kind: kinds.count(kind) for kind in get_args(RunKind) if kind in kinds}

    def after(self, name: str | None) -> list[SweepRun]:
        """The runs that need this one; those that need none if `name` is None."""
        return [run for run in self.runs.values() if run.needs == name]


def make_plan(grid: Grid, folder: Path, launcher: Sequence[str] = ()) -> SweepPlan:
    """Plans the runs of a grid.

    Two rows share a run if everything up to it is the same: base, recipe, data, epochs, seed. One epoch and three of
    a stage share nothing, because the learning rate falls over the length of a run: after one epoch of three the
    model is not that of one epoch. All seeds start from one Stage 1, as in section C.2.

    Args:
        grid: what to train.
        folder: folder of the sweep.
        launcher: command that starts training instead of python, such as `accelerate launch --config_file fsdp.yaml`.
    """
    planner = _Planner(grid, folder, tuple(launcher) or (PYTHON,))
    for variant in grid.variants:
        planner.add(variant)
    ordered = sorted(planner.runs.values(), key=lambda run: run.name.count("/"))
    return SweepPlan(grid.name, folder, {run.name: run for run in ordered}, planner.unshared)


class _Planner:
    """Collects the runs of a grid, row by row."""

    def __init__(self, grid: Grid, folder: Path, launcher: tuple[str, ...]) -> None:
        self.grid, self.folder, self.launcher = grid, folder, launcher
        self.runs: dict[str, SweepRun] = {}
        self.unshared = 0
        self._first_seed = grid.variants[0].seed

    def add(self, variant: Variant) -> None:
        """Adds a row: the runs that train its model, and those that score it on each benchmark."""
        stages = list(self._stages(variant))
        for benchmark in self.grid.benchmarks:
            runs = [*stages]
            if variant.ft:
                runs.append(self._finetune(runs[-1] if runs else None, variant, benchmark))
            self._evaluate(runs[-1] if runs else None, variant, benchmark)
            self.unshared += len(runs) + 1

    def _stages(self, variant: Variant) -> Iterator[SweepRun]:
        before = self._assembled(variant)
        if before:
            yield before
        if variant.stage1:
            recipe = _STAGE1[variant.stage1_variant]
            before = self._train(
                "stage1", recipe, "alignment", variant.stage1, before, variant, self._first_seed
            )
            yield before
        if variant.stage2:
            recipe = f"stage2-{variant.instruct}"
            before = self._train(
                "stage2", recipe, variant.instruct, variant.stage2, before, variant, variant.seed
            )
            yield before

    def _finetune(self, before: SweepRun | None, variant: Variant, benchmark: str) -> SweepRun:
        return self._train(
            "finetune", f"finetune-{benchmark}", benchmark, variant.ft, before, variant, variant.seed
        )

    def _assembled(self, variant: Variant) -> SweepRun | None:
        base = self.grid.bases[variant.vision, variant.language_model, variant.init]
        if base.checkpoint:
            return None
        name = _base_name(variant)
        output = str(self.folder / name / MODEL)
        command = (PYTHON, "-m", "llavamed_trainer", "assemble", output, *_flags(base.assemble, "-"))
        return self._add_run(
            SweepRun(name, "assemble", f"{name.replace('-', ' ')}, assembled", (command,), None)
        )

    def _train(
        self,
        stage: Literal["stage1", "stage2", "finetune"],
        recipe: str,
        data: str,
        epochs: int,
        before: SweepRun | None,
        variant: Variant,
        seed: int,
    ) -> SweepRun:
        seeded = f"-seed{seed}" if seed != self._first_seed else ""
        name = f"{before.name if before else _base_name(variant)}/{recipe}-{epochs}ep{seeded}"
        settings: dict[str, Any] = {
            "config": recipe,
            "model_name_or_path": self._model(before, variant),
            **({"dataset": self.grid.datasets[data]} if data in self.grid.datasets else {}),
            "num_train_epochs": epochs,
            "seed": seed,
            **self.grid.settings.get("all", {}),
            **self.grid.settings.get(stage, {}),
            "output_dir": self.folder / name / MODEL,
        }
        command = (*self.launcher, "-m", "llavamed_trainer", "train", *_flags(settings))
        label = f"{recipe}, {epochs} epoch{'s' * (epochs != 1)}{f', seed {seed}' if seeded else ''}"
        needs = before.name if before else None
        facts: dict[str, str | int] = {
            "recipe": recipe,
            "epochs": epochs,
            "language_model": variant.language_model,
            "vision": variant.vision,
            "init": variant.init,
        }
        return self._add_run(SweepRun(name, stage, label, (command,), needs, facts))

    def _evaluate(self, before: SweepRun | None, variant: Variant, benchmark: str) -> None:
        name = f"{before.name if before else _base_name(variant)}/eval-{benchmark}"
        answers = self.folder / name / PREDICTIONS
        dataset = self.grid.datasets.get(benchmark, benchmark)
        predict = {
            "model": self._model(before, variant),
            "benchmark": dataset,
            "out": answers,
            "prompt": "options",  # as the authors asked; plain prompts do not give the paper's closed accuracy
            **self.grid.predict,
        }
        trained = ",".join(f"{key}={value}" for key, value in variant.to_dict().items())
        score = {"benchmark": dataset, "variant": trained, "output": self.folder / name / SCORES}
        if self.grid.predict.keys() & {"limit", "partial"}:
            score["partial"] = None
        commands = (
            (PYTHON, "-m", "llavamed_trainer", "predict", *_flags(predict, "-")),
            (PYTHON, "-m", "llavamed_trainer", "score", str(answers), *_flags(score)),
        )
        self._add_run(SweepRun(name, "evaluate", benchmark, commands, before.name if before else None))

    def _model(self, before: SweepRun | None, variant: Variant) -> str:
        if before:
            return str(self.folder / before.name / MODEL)
        return self.grid.bases[variant.vision, variant.language_model, variant.init].checkpoint or ""

    def _add_run(self, run: SweepRun) -> SweepRun:
        return self.runs.setdefault(run.name, run)


def _base_name(variant: Variant) -> str:
    return f"{variant.vision}-{variant.language_model}-{variant.init}"


def _flags(settings: Mapping[str, Any], joint: str = "_") -> list[str]:
    """Settings as flags of a command: `train` joins words with underscores, as TRL does, the others with hyphens."""
    flags = list[str]()
    for name, value in settings.items():
        flags.append(f"--{str(name).replace('_', joint).replace('-', joint)}")
        if value is not None:
            flags.append(str(value))
    return flags
