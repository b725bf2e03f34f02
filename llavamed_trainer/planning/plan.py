"""What a recipe will cost on given GPUs: steps, tokens, operations, memory, hours beside the paper's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_trainer.planning.arithmetic import (
    GIGABYTE,
    Batch,
    Learning,
    Memory,
    memory,
    operations,
    trained_parameters,
)
from llavamed_trainer.planning.data_facts import DataFacts, data_facts, rows_of_paper, table
from llavamed_trainer.planning.shape import Shape, find_shape, known_shapes
from llavamed_trainer.recipes import Recipe, accumulation

UTILISATION = 0.35
"""Share of a GPU's peak that training reaches: ours, of the usual 0.3 to 0.5 for 7B models; measure and state yours."""

_PAPER_MODEL = "llava-v1-7b"
_PAPER_GPUS = 8
_PAPER_GPU = "a100-40g"
_TERA = 1e12


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU: dense bf16 operations a second in units of 10¹², memory in GB (10⁹ bytes)."""

    name: str
    tflops: float
    gigabytes: float
    source: str


@dataclass(frozen=True, slots=True)
class PaperHours:
    """What the paper took for the same data and epochs.

    Attributes:
        table: of the paper.
        hours: on eight A100 GPUs.
        utilisation: share of their peak that those hours come to, for the paper's model and our count.
    """

    table: str
    hours: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will cost.

    Attributes:
        recipe: its name.
        parameters, trained: of the model.
        data: rows and tokens of a row.
        row_tokens: of a row with its image, cut at the recipe's greatest length.
        batch: rows on a GPU at once; accumulated: how often before a step.
        steps, tokens, operations: of the whole run.
        memory: of one GPU under full sharding.
        hours: at the utilisation given.
    """

    recipe: str
    model: str
    note: str
    parameters: int
    trained: int
    data: DataFacts
    epochs: float
    row_tokens: int
    gpus: int
    gpu: Gpu
    batch: int
    accumulated: int
    steps: int
    tokens: int
    operations: int
    memory: Memory
    utilisation: float
    hours: float
    paper: PaperHours | None

    @property
    def fits(self) -> bool:
        """Whether a GPU's memory is enough."""
        return self.memory.total <= self.gpu.gigabytes * GIGABYTE

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for machines."""
        return {**asdict(self), "memory_total": self.memory.total, "fits": self.fits}


def known_gpus() -> Mapping[str, Gpu]:
    """GPUs whose figures are on file, by name."""
    return {name: Gpu(name=name, **each) for name, each in table("gpus").items()}


def find_gpu(name: str) -> Gpu:
    """The GPU of that name.

    Raises:
        UsageError: its figures are not on file.
    """
    gpus = known_gpus()
    if name not in gpus:
        raise UsageError(f"the figures of {name!r} are not known: choose from {', '.join(gpus)}")
    return gpus[name]


def make_plan(
    recipe: Recipe,
    gpus: int,
    gpu: Gpu,
    *,
    model: str | None = None,
    rows: int | None = None,
    text_tokens: int | None = None,
    batch: int | None = None,
    lora: int | None = None,
    utilisation: float = UTILISATION,
) -> Plan:
    """The cost of a recipe, from its settings alone: no weights and no data are read.

    Args:
        recipe: packaged, or of a user's file.
        gpus: how many.
        gpu: of which kind.
        model: another than the recipe's; a known name, or a folder with a config.json.
        rows: of the dataset, where it is neither here nor one of the paper's.
        text_tokens: of a row, where known better.
        batch: rows on a GPU at once, in place of the recipe's.
        lora: rank of adapters, in place of training the language model whole.
        utilisation: share of the GPU's peak.

    Raises:
        UsageError: a model or dataset of unknown size, a batch that does not divide.
    """
    settings = recipe.settings
    shape = _shape(model, str(settings.get("model_name_or_path", "")))
    dataset = str(settings.get("dataset", ""))
    data = data_facts(dataset, str(settings.get("split", "train")), rows=rows, text_tokens=text_tokens)
    at_once = batch or int(settings.get("per_device_train_batch_size", 8))
    rows_a_step = int(settings.get("global_batch_size", 128))
    accumulated = accumulation(rows_a_step, at_once, gpus)
    learning = _learning(settings, lora)
    tokens = shape.vision.patches + data.text_tokens
    if settings.get("max_length"):
        tokens = min(tokens, int(settings["max_length"]))
    epochs = float(settings.get("num_train_epochs", 3))
    steps = ceil(epochs * ceil(ceil(data.rows / (at_once * gpus)) / accumulated))
    each = operations(shape, Batch(1, tokens, data.answer_tokens), learning).total
    seen = round(data.rows * epochs)
    return Plan(
        recipe=recipe.name,
        model=shape.name,
        note=shape.note,
        parameters=shape.parameters,
        trained=trained_parameters(shape, learning),
        data=data,
        epochs=epochs,
        row_tokens=tokens,
        gpus=gpus,
        gpu=gpu,
        batch=at_once,
        accumulated=accumulated,
        steps=steps,
        tokens=seen * tokens,
        operations=seen * each,
        memory=memory(shape, Batch(at_once, tokens, data.answer_tokens), learning, gpus),
        utilisation=utilisation,
        hours=_hours(seen * each, gpus, gpu, utilisation),
        paper=_paper(dataset, epochs, data, learning),
    )


def _shape(model: str | None, stated: str) -> Shape:
    """A later stage starts from what an earlier one leaves: before that is there, as big as the recipes' base."""
    if model is None and stated.startswith("runs/") and not Path(stated, "config.json").is_file():
        return known_shapes()["llava-1.5-7b-hf"]
    return find_shape(model or stated)


def _learning(settings: Mapping[str, Any], lora: int | None) -> Learning:
    if lora is None and settings.get("use_peft"):
        lora = int(settings.get("lora_r", 16))
    return Learning(
        language=settings.get("stage") != "projector",
        checkpointing=bool(settings.get("gradient_checkpointing", True)),
        lora=lora,
    )


def _hours(total: int, gpus: int, gpu: Gpu, utilisation: float) -> float:
    return total / (gpus * gpu.tflops * _TERA * utilisation) / 3600


def _paper(dataset: str, epochs: float, data: DataFacts, learning: Learning) -> PaperHours | None:
    for name, sets in table("paper_hours").items():
        hours = sets.get(Path(dataset).name, {}).get(epochs)
        if hours is not None and learning.lora is None:
            shape = find_shape(_PAPER_MODEL)
            batch = Batch(1, shape.vision.patches + data.text_tokens, data.answer_tokens)
            rows = rows_of_paper(dataset) or data.rows
            total = round(rows * epochs) * operations(shape, batch, learning).total
            return PaperHours(name, hours, _hours(total, _PAPER_GPUS, find_gpu(_PAPER_GPU), hours))
    return None
