"""The cost of a recipe on given GPUs: training steps, tokens, operations, memory, and hours beside the paper's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from llavamed_data.dataset.layout import CARD, find_shards
from llavamed_data.errors import UsageError
from llavamed_trainer.planning.arithmetic import (
    GIGABYTE,
    BatchShape,
    GpuMemory,
    TrainedParts,
    memory,
    operations,
    trained_parameters,
)
from llavamed_trainer.planning.shape import ModelShape, find_shape, known_shapes, read_table
from llavamed_trainer.recipes import RUNS, TrainingRecipe, accumulation, load_base

UTILISATION = 0.35
"""The share of a GPU's peak that training reaches: an assumption of ours, from the usual 0.3 to 0.5 for 7B models.
Measure and state your own."""

_PAPER_MODEL = "llava-v1-7b"
_RECIPES_MODEL = "llava-1.5-7b-hf"
_PAPER_GPUS = 8
_PAPER_GPU = "a100-40g"
_TERA = 1e12

_ASSUMED_TEXT_TOKENS = 300
_ASSUMED_ANSWER_SHARE = 0.6
"""The share of a row's text that has labels, where nothing is known about a dataset."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU.

    Attributes:
        name: as `--gpu` takes it.
        tflops: dense bfloat16 operations per second in units of 10¹².
        gigabytes: memory in units of 10⁹ bytes.
        source: the data sheet.
    """

    name: str
    tflops: float
    gigabytes: float
    source: str


@dataclass(frozen=True, slots=True)
class DatasetSize:
    """The numbers of a dataset that the cost depends on.

    Attributes:
        rows: their number, of one image each.
        text_tokens: of a row, with the prompt and without the image.
        answer_tokens: of a row; these have labels.
        source: where the number of rows is from.
        note: what is to be known about a folder whose rows were counted, for people.
    """

    rows: int
    text_tokens: int
    answer_tokens: int
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PaperHours:
    """The hours that the paper states for the same data and epochs.

    Attributes:
        table: of the paper.
        hours: on eight A100 GPUs.
        utilisation: the share of their peak that these hours come to, for the paper's model and our count.
    """

    table: str
    hours: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The cost of a run.

    Attributes:
        recipe: the name of the recipe.
        base: the base model for which the recipe is laid out; None for the paper's.
        model: the name of the model's shape.
        note: a description of the model.
        parameters: of the model.
        parts: the parameters of each part of the model.
        trained: parameters that are trained, those of adapters among them.
        adapters: the rank of adapters; None without adapters.
        bits: of a frozen weight in memory.
        image: where the number of an image's tokens is from.
        data: the size of the dataset.
        epochs: their number.
        image_tokens: of a row, the marks around the image included.
        row_tokens: of a row with its image, cut at the recipe's greatest length.
        gpus: their number.
        gpu: their kind.
        batch: rows on a GPU at once.
        accumulated: batches that are accumulated in a training step.
        steps: training steps of the whole run.
        tokens: of the whole run.
        operations: of the whole run.
        memory: of one GPU under full sharding.
        utilisation: the share of a GPU's peak that is assumed.
        hours: at this utilisation.
        paper: the hours of the paper, if it states any.
    """

    recipe: str
    base: str | None
    model: str
    note: str
    parameters: int
    parts: Mapping[str, int]
    trained: int
    adapters: int | None
    bits: int
    image: str
    data: DatasetSize
    epochs: float
    image_tokens: int
    row_tokens: int
    gpus: int
    gpu: Gpu
    batch: int
    accumulated: int
    steps: int
    tokens: int
    operations: int
    memory: GpuMemory
    utilisation: float
    hours: float
    paper: PaperHours | None

    @property
    def fits(self) -> bool:
        """Whether the memory of a GPU is enough."""
        return self.memory.total <= self.gpu.gigabytes * GIGABYTE

    def to_dict(self) -> dict[str, Any]:
        """All values as a dictionary that can be written as JSON."""
        return {**asdict(self), "memory_total": self.memory.total, "fits": self.fits}


def find_gpu(name: str) -> Gpu:
    """Finds a GPU by its name in `gpus.yaml`.

    Raises:
        UsageError: it is not there.
    """
    gpus = read_table("gpus")
    if name not in gpus:
        raise UsageError(f"the speed and memory of {name!r} are not known: choose from {', '.join(gpus)}")
    return Gpu(name=name, **gpus[name])


def make_plan(
    recipe: TrainingRecipe,
    gpus: int,
    gpu: Gpu,
    *,
    model: str | None = None,
    rows: int | None = None,
    text_tokens: int | None = None,
    image_tokens: int | None = None,
    batch: int | None = None,
    lora: int | None = None,
    utilisation: float = UTILISATION,
) -> TrainingPlan:
    """Works out the cost of a recipe from its settings; no weights and no rows are read.

        make_plan(find_recipe("stage2-60k-im", "qwen2.5-vl-3b", adapters=True), 1, find_gpu("h100-80g"))

    Args:
        recipe: a packaged one, or that of a user's file.
        gpus: the number of GPUs.
        gpu: their kind.
        model: another model than the recipe's: a known name, a folder with a config.json, or a name on the Hub.
        rows: rows of the dataset, if it is neither here nor one of the paper's.
        text_tokens: tokens of a row's text, if they are known better.
        image_tokens: tokens that an image takes, if they are known better.
        batch: rows on a GPU at once, in place of the recipe's.
        lora: rank of adapters that are trained in place of the language model.
        utilisation: share of the GPU's peak.

    Raises:
        UsageError: the size of the model or dataset is not known, or a batch does not divide.
    """
    settings = recipe.settings
    shape = _shape(model, recipe)
    if image_tokens is not None:
        shape = replace(shape, image=shape.image.with_tokens(image_tokens))
    dataset = str(settings.get("dataset", ""))
    data = dataset_size(dataset, str(settings.get("split", "train")), rows=rows, text_tokens=text_tokens)
    batch = batch or int(settings.get("per_device_train_batch_size", 8))
    accumulated = accumulation(int(settings.get("global_batch_size", 128)), batch, gpus)
    if lora is None and settings.get("use_peft"):
        lora = int(settings.get("lora_r", 16))
    trained = TrainedParts(
        language=settings.get("stage") != "projector",
        checkpointing=bool(settings.get("gradient_checkpointing", True)),
        lora=lora,
        bits=_bits(settings),
    )
    tokens = shape.image.tokens + data.text_tokens
    if settings.get("max_length"):
        tokens = min(tokens, int(settings["max_length"]))
    epochs = float(settings.get("num_train_epochs", 3))
    rows_seen = round(data.rows * epochs)
    total = rows_seen * operations(shape, BatchShape(1, tokens, data.answer_tokens), trained).total
    return TrainingPlan(
        recipe=recipe.name,
        base=recipe.base,
        model=shape.name,
        note=shape.note,
        parameters=shape.parameters,
        parts={
            "vision tower": shape.vision.parameters,
            "projector": shape.projector.parameters,
            "language model": shape.language.parameters,
            **_of_each_token(shape),
        },
        trained=trained_parameters(shape, trained),
        adapters=lora,
        bits=trained.bits,
        image=shape.image.source,
        data=data,
        epochs=epochs,
        image_tokens=shape.image.tokens,
        row_tokens=tokens,
        gpus=gpus,
        gpu=gpu,
        batch=batch,
        accumulated=accumulated,
        steps=ceil(epochs * ceil(ceil(data.rows / (batch * gpus)) / accumulated)),
        tokens=rows_seen * tokens,
        operations=total,
        memory=memory(shape, BatchShape(batch, tokens, data.answer_tokens), trained, gpus),
        utilisation=utilisation,
        hours=_hours(total, gpus, gpu, utilisation),
        paper=_paper_hours(dataset, epochs, data, trained),
    )


def dataset_size(
    dataset: str, split: str, *, rows: int | None = None, text_tokens: int | None = None
) -> DatasetSize:
    """The size of a dataset: what is given, else what its folder holds, else what `datasets.yaml` states.

    Raises:
        UsageError: the number of rows is not known.
    """
    known = _known_datasets().get(Path(dataset).name)
    source, note = "given", ""
    if rows is None and (counted := _count_rows(Path(dataset), split)) is not None:
        rows, source = counted, f"counted in the folder {dataset}"
        note = _folder_note(dataset, counted, known)
    if rows is None:
        if known is None:
            raise UsageError(
                f"the number of rows of {dataset} is not known: it is no folder here and none of the paper's sets; "
                "give --rows"
            )
        rows, source = known.rows, f"as the paper has them: {known.source}"
    text = text_tokens or (known.text_tokens if known else _ASSUMED_TEXT_TOKENS)
    share = known.answer_tokens / known.text_tokens if known else _ASSUMED_ANSWER_SHARE
    return DatasetSize(rows, text, max(1, round(text * share)), source, note)


def _folder_note(dataset: str, counted: int, known: DatasetSize | None) -> str:
    """Says that a folder is not the paper's set, if it is not, and how that is planned."""
    if known is None or counted == known.rows:
        return ""
    sample = ", for it was built from the small sample of this package" if _is_sample(Path(dataset)) else ""
    return (
        f"{dataset} here has {counted:,} rows{sample}; the paper's set has {known.rows:,}: --rows {known.rows} plans "
        "for that"
    )


def _is_sample(folder: Path) -> bool:
    """Whether the card of a dataset says that it was built from the packaged sample."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
        return "synthetic" in (yaml.safe_load(text.split("---")[1]).get("tags") or ())
    except (OSError, UnicodeDecodeError, IndexError, AttributeError, yaml.YAMLError):
        return False


def _known_datasets() -> Mapping[str, DatasetSize]:
    return {name: DatasetSize(**stated) for name, stated in read_table("datasets").items()}


def _count_rows(folder: Path, split: str) -> int | None:
    shards = [shard.path for shard in find_shards(folder)[0] if shard.split == split]
    return sum(pq.read_metadata(shard).num_rows for shard in shards) if shards else None


def _shape(model: str | None, recipe: TrainingRecipe) -> ModelShape:
    """The shape of a model; that of the base for the output of a stage, or a conversion, that has not been run yet."""
    stated = str(recipe.settings.get("model_name_or_path", ""))
    if model is None and not Path(stated).is_dir():
        if stated.startswith(f"{RUNS}/"):
            stated = load_base(recipe.base).model if recipe.base else _RECIPES_MODEL
        if Path(stated).name in known_shapes():
            stated = Path(stated).name
    return find_shape(model or stated)


def _bits(settings: Mapping[str, Any]) -> int:
    """The bits of a frozen weight in memory."""
    if settings.get("load_in_4bit"):
        return 4
    if settings.get("load_in_8bit"):
        return 8
    return 16 if settings.get("dtype") in ("bfloat16", "float16") else 32


def _of_each_token(shape: ModelShape) -> dict[str, int]:
    """The parameters of the language model that compute with a token, where a mixture of experts leaves some out."""
    language = shape.language
    return {"of it for each token": language.parameters - language.passed_by} if language.passed_by else {}


def _hours(total: int, gpus: int, gpu: Gpu, utilisation: float) -> float:
    return total / (gpus * gpu.tflops * _TERA * utilisation) / 3600


def _paper_hours(dataset: str, epochs: float, data: DatasetSize, trained: TrainedParts) -> PaperHours | None:
    if trained.lora is not None:
        return None
    name = Path(dataset).name
    for table, datasets in read_table("paper_hours").items():
        hours = datasets.get(name, {}).get(epochs)
        if hours is not None:
            shape = find_shape(_PAPER_MODEL)
            batch = BatchShape(1, shape.image.tokens + data.text_tokens, data.answer_tokens)
            known = _known_datasets().get(name)
            rows = known.rows if known else data.rows  # the paper's rows, however many of them are here
            total = round(rows * epochs) * operations(shape, batch, trained).total
            return PaperHours(table, hours, _hours(total, _PAPER_GPUS, find_gpu(_PAPER_GPU), hours))
    return None
