"""From a grid to runs: each trained once, however many rows of a table start from it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_trainer.evaluation.sweep.grid import Grid
from llavamed_trainer.evaluation.tables.variant import Variant

Kind: TypeAlias = Literal["assemble", "stage1", "stage2", "finetune", "evaluate"]

PYTHON = "{python}"
"""Stands for the interpreter of whoever runs a command."""

_STAGE1 = {"projector": "stage1", "full": "stage1-full", "full-no-instruction": "stage1-no-instruction"}
MODEL, PREDICTIONS, SCORES = "model", "predictions.jsonl", "predictions.scores.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One thing to do, which is done or not.

    Attributes:
        name: its folder below that of the sweep: the way from the base to it.
        kind: of run.
        label: in the tree.
        commands: one after the other; `PYTHON` stands for the interpreter.
        needs: the run that must be done before, if any.
        facts: for the record: recipe, epochs and model of a training run.
    """

    name: str
    kind: Kind
    label: str
    commands: tuple[tuple[str, ...], ...]
    needs: str | None
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Changes where a command does."""
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep, each after what it needs.

    Attributes:
        name: of the grid.
        folder: of the sweep.
        runs: name → run.
        unshared: how many runs there would be if each row of the grid trained its own from the start.
    """

    name: str
    folder: Path
    runs: Mapping[str, Run]
    unshared: int

    @cached_property
    def counts(self) -> dict[str, int]:
        """Kind → how many runs, in the order of the curriculum."""
        counts = dict[str, int]()
        for kind in ("assemble", "stage1", "stage2", "finetune", "evaluate"):
            if number := sum(run.kind == kind for run in self.runs.values()):
                counts[kind] = number
        return counts

    def after(self, name: str | None) -> list[Run]:
        """The runs that need this one; those that need none where `name` is None."""
        return [run for run in self.runs.values() if run.needs == name]


def make_plan(grid: Grid, folder: Path, launcher: Sequence[str] = ()) -> Plan:
    """The runs of a grid.

    Two rows share a run where everything up to it is the same: base, recipe, data, epochs, seed. One epoch and
    three of a stage share nothing, for the learning rate falls over the length of a run: after one epoch of three
    the model is not that of one epoch. All seeds start from one Stage 1, as section C.2 does.

    Args:
        grid: what to train.
        folder: where the runs' folders go.
        launcher: of training in place of python, such as `accelerate launch --config_file fsdp.yaml`.
    """
    planner = _Planner(grid, folder, tuple(launcher) or (PYTHON,))
    for variant in grid.variants:
        planner.add(variant)
    ordered = sorted(planner.runs.values(), key=lambda run: run.name.count("/"))
    return Plan(grid.name, folder, {run.name: run for run in ordered}, planner.unshared)


class _Planner:
    def __init__(self, grid: Grid, folder: Path, launcher: tuple[str, ...]) -> None:
        self.grid, self.folder, self.launcher = grid, folder, launcher
        self.runs: dict[str, Run] = {}
        self.unshared = 0
        self._first_seed = grid.variants[0].seed

    def add(self, variant: Variant) -> None:
        """A row of a table: the way to it, and its scores on each benchmark."""
        shared = list(self._stages(variant))
        for benchmark in self.grid.benchmarks:
            way = [*shared]
            if variant.ft:
                way.append(self._finetune(way[-1] if way else None, variant, benchmark))
            self._evaluate(way[-1] if way else None, variant, benchmark)
            self.unshared += len(way) + 1

    def _stages(self, variant: Variant) -> Iterator[Run]:
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

    def _finetune(self, before: Run | None, variant: Variant, benchmark: str) -> Run:
        return self._train(
            "finetune", f"finetune-{benchmark}", benchmark, variant.ft, before, variant, variant.seed
        )

    def _assembled(self, variant: Variant) -> Run | None:
        base = self.grid.bases[variant.vision, variant.language_model, variant.init]
        if base.checkpoint:
            return None
        name = _base_name(variant)
        output = str(self.folder / name / MODEL)
        command = (PYTHON, "-m", "llavamed_trainer", "assemble", output, *_flags(base.assemble, "-"))
        return self._put(Run(name, "assemble", f"{name.replace('-', ' ')}, assembled", (command,), None))

    def _train(
        self,
        stage: Literal["stage1", "stage2", "finetune"],
        recipe: str,
        data: str,
        epochs: int,
        before: Run | None,
        variant: Variant,
        seed: int,
    ) -> Run:
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
        }
        return self._put(Run(name, stage, label, (command,), needs, facts))

    def _evaluate(self, before: Run | None, variant: Variant, benchmark: str) -> None:
        name = f"{before.name if before else _base_name(variant)}/eval-{benchmark}"
        answers = self.folder / name / PREDICTIONS
        what = self.grid.datasets.get(benchmark, benchmark)
        predict = {
            "model": self._model(before, variant),
            "benchmark": what,
            "out": answers,
            "prompt": "options",  # as the authors asked: without it the paper's closed accuracy is not met
            **self.grid.predict,
        }
        stated = ",".join(f"{key}={value}" for key, value in variant.stated().items())
        score = {"benchmark": what, "variant": stated, "output": self.folder / name / SCORES}
        commands = (
            (PYTHON, "-m", "llavamed_trainer", "predict", *_flags(predict, "-")),
            (PYTHON, "-m", "llavamed_trainer", "score", str(answers), *_flags(score)),
        )
        self._put(Run(name, "evaluate", benchmark, commands, before.name if before else None))

    def _model(self, before: Run | None, variant: Variant) -> str:
        if before:
            return str(self.folder / before.name / MODEL)
        return self.grid.bases[variant.vision, variant.language_model, variant.init].checkpoint or ""

    def _put(self, run: Run) -> Run:
        return self.runs.setdefault(run.name, run)


def _base_name(variant: Variant) -> str:
    return f"{variant.vision}-{variant.language_model}-{variant.init}"


def _flags(settings: Mapping[str, Any], joint: str = "_") -> list[str]:
    """Settings as a command takes them: `train` joins words as TRL does, the other commands by hyphens."""
    flags = list[str]()
    for name, value in settings.items():
        flags.append(f"--{name.replace('_', joint).replace('-', joint)}")
        if value is not None:
            flags.append(str(value))
    return flags
