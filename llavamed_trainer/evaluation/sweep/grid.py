"""The YAML file of a grid, which states what is to be trained and scored."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.errors import UsageError, one_line
from llavamed_data.recipes import BENCHMARKS
from llavamed_trainer.evaluation.tables.paper_tables import NUMBERS, paper_table
from llavamed_trainer.evaluation.tables.variant import Variant, make_variant

GRIDS = ("table4", "table9", "table10")
"""Names of the packaged grids."""

STAGES = ("stage1", "stage2", "finetune")

_KEYS = frozenset(
    {"name", "tables", "grid", "benchmarks", "seeds", "bases", "datasets", "settings", "predict"}
)


@dataclass(frozen=True, slots=True)
class BaseCheckpoint:
    """What a model starts from: a checkpoint, or flags of `assemble` that make one."""

    checkpoint: str | None = None
    assemble: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grid:
    """The configurations to train and score, and how.

    Attributes:
        name: name of the grid.
        variants: the configurations, each once, in the order in which they are stated.
        benchmarks: benchmarks that each is fine-tuned and scored on.
        bases: `(vision, language_model, init)` → what a model starts from.
        datasets: `alignment`, an instruct set or a benchmark → the dataset to use instead of the recipe's.
        settings: stage, or `all` → flags of `train`.
        predict: flags of `predict`.
    """

    name: str
    variants: tuple[Variant, ...]
    benchmarks: tuple[str, ...]
    bases: Mapping[tuple[str, str, str], BaseCheckpoint]
    datasets: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    predict: Mapping[str, Any]


def load_grid(name: str) -> Grid:
    """Reads a grid from a file, or a packaged one: `table4`, `table9`, `table10`, with or without `.yaml`.

        tables: ["4a"]                        # the configurations of the paper's tables
        grid:                                 # and all combinations of values
          - {instruct: [60k, 60k-im], stage1: [0, 1], stage2: 3, ft: [0, 9]}
        benchmarks: [vqa-rad]
        seeds: [1, 2, 3]                      # each configuration once a seed, Stage 1 once for all
        bases: {clip 7b llava: {checkpoint: llava-hf/llava-1.5-7b-hf}}
        settings: {all: {per_device_train_batch_size: 4, template: vicuna_v1}, stage1: {max_rows: 1000}}

    Raises:
        UsageError: there is no such file, a key or value is unknown, or a configuration has no base.
    """
    stated, where = _read(name)
    if unknown := sorted(stated.keys() - _KEYS):
        raise UsageError(f"{where}: there is no {unknown[0]!r}: choose from {', '.join(sorted(_KEYS))}")
    for key in ("bases", "datasets", "settings", "predict"):
        if not isinstance(stated.get(key) or {}, dict):
            raise UsageError(f"{where}: {key} must be a mapping, not {stated[key]!r}")
    seeds = _listed(stated.get("seeds", [1]))
    if wrong := [seed for seed in seeds if not str(seed).isdigit()]:
        raise UsageError(f"{where}: the seed {wrong[0]!r} is not a number")
    variants = [
        *_of_tables(_listed(stated.get("tables") or []), where),
        *_of_products(_listed(stated.get("grid") or []), where),
    ]
    chosen = dict.fromkeys(
        replace(variant, seed=int(str(seed)))
        for variant in variants
        for seed in (seeds if variant.seed == 1 else [variant.seed])
    )
    if not chosen:
        raise UsageError(f"{where} states nothing to train: give tables or grid")
    grid = Grid(
        name=str(stated.get("name") or Path(name).stem),
        variants=tuple(chosen),
        benchmarks=tuple(
            _known(_listed(stated.get("benchmarks") or list(BENCHMARKS)), BENCHMARKS, "benchmark", where)
        ),
        bases={
            _base_key(key, where): _base(value, key, where)
            for key, value in (stated.get("bases") or {}).items()
        },
        datasets=dict(stated.get("datasets") or {}),
        settings=_settings(stated.get("settings") or {}, where),
        predict=dict(stated.get("predict") or {}),
    )
    for variant in grid.variants:
        if (variant.vision, variant.language_model, variant.init) not in grid.bases:
            key = f"{variant.vision} {variant.language_model} {variant.init}"
            raise UsageError(f"{where} trains {variant.label}, but its bases have no {key!r}")
    return grid


def _read(name: str) -> tuple[dict[str, Any], str]:
    path = Path(name)
    if path.is_file():
        try:
            text, where = path.read_text(encoding="utf-8"), name
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{name} cannot be read: {one_line(error)}") from error
    elif path.parent == Path() and path.name.removesuffix(".yaml") in GRIDS:
        where = f"{path.name.removesuffix('.yaml')}.yaml"
        text = files(__package__).joinpath("grids", where).read_text(encoding="utf-8")
    else:
        raise UsageError(
            f"there is no file {name}: name a file, or one of the packaged grids: {', '.join(GRIDS)}"
        )
    try:
        stated = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} cannot be read: {one_line(error)}") from error
    if not isinstance(stated, dict):
        raise UsageError(f"{where} must be a mapping with tables or grid, benchmarks and bases")
    return stated, where


def _of_tables(numbers: Iterable[Any], where: str) -> Iterator[Variant]:
    for number in _known(numbers, NUMBERS, "table", where):
        for _, rows in paper_table(number).groups:
            yield from (row.variant for row in rows if row.variant)


def _of_products(blocks: Iterable[Mapping[str, Any]], where: str) -> Iterator[Variant]:
    for block in blocks:
        if not isinstance(block, dict):
            raise UsageError(
                f"{where}: a block of grid must be a mapping such as {{instruct: [10k, 60k], ft: 3}}"
            )
        values = [_listed(value) for value in block.values()]
        for chosen in itertools.product(*values):
            stated = dict(zip(block, chosen, strict=True))
            if str(stated.get("stage2", 0)) == "0":
                stated.pop("instruct", None)
            yield make_variant(stated)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _known(values: Iterable[Any], known: Iterable[str], what: str, where: str) -> list[str]:
    for value in values:
        if str(value) not in known:
            raise UsageError(f"{where}: there is no {what} {value!r}: choose from {', '.join(known)}")
    return [str(value) for value in values]


def _base_key(key: str, where: str) -> tuple[str, str, str]:
    parts = str(key).split()
    if len(parts) != 3:
        raise UsageError(
            f"{where}: the base {key!r} must be VISION LANGUAGE-MODEL INIT, such as 'clip 7b llava'"
        )
    named = make_variant(dict(zip(("vision", "language_model", "init"), parts, strict=True)))
    return named.vision, named.language_model, named.init


def _base(value: Any, key: str, where: str) -> BaseCheckpoint:
    if not isinstance(value, dict) or len(value.keys() & {"checkpoint", "assemble"}) != 1 or len(value) != 1:
        raise UsageError(f"{where}: the base {key!r} needs a checkpoint, or flags to assemble it")
    if "checkpoint" in value:
        return BaseCheckpoint(checkpoint=str(value["checkpoint"]))
    if not isinstance(value["assemble"], dict):
        raise UsageError(f"{where}: assemble of the base {key!r} must be a mapping of flags of assemble")
    return BaseCheckpoint(assemble={str(flag): str(setting) for flag, setting in value["assemble"].items()})


def _settings(stated: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    known = ("all", *STAGES)
    for stage, flags in stated.items():
        if stage not in known or not isinstance(flags, dict):
            raise UsageError(
                f"{where}: settings go under {', '.join(known)}, each a mapping of flags of train"
            )
    return dict(stated)
