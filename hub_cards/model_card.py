"""The card of a checkpoint: how it was trained, on what, what it scored, and what it must not be used for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hub_cards.markdown import environment

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
"""What the Hub takes for a dataset's name in a card."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A dataset that a checkpoint was trained on.

    Attributes:
        name: repository or folder name.
        revision: commit or tag, if known.
        license: of the dataset.
    """

    name: str
    revision: str | None
    license: str


@dataclass(frozen=True, slots=True)
class Result:
    """One score: `benchmark` and `split`, the metric's own name, its value, and how it was asked."""

    benchmark: str
    split: str
    metric: str
    value: float
    prompt: str = "plain"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything that a model card states.

    Attributes:
        name: of the checkpoint.
        base_model: repository it was trained from; None for one assembled from parts.
        recipe: name of the training recipe.
        source: table of the paper, or "released code", that the recipe follows.
        settings: hyper-parameter → value.
        data: what it was trained on.
        results: what it scored.
        losses: (step, loss), for the loss curve's table.
        version: of the toolkit.
        picture: of the loss curve, a file beside the card.
        library: what loads it: `transformers`, or `peft` for an adapter.
    """

    name: str
    base_model: str | None
    recipe: str
    source: str
    settings: Mapping[str, Any]
    data: Sequence[TrainingData]
    results: Sequence[Result]
    losses: Sequence[tuple[int, float]]
    version: str
    picture: str | None = None
    library: str = "transformers"


def render_model_card(card: ModelCard) -> str:
    """The card as Markdown with YAML metadata, results as the Hub's `model-index`."""
    metadata = yaml.safe_dump(_metadata(card), sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{metadata}---\n{environment().get_template('model.md.j2').render(card=card)}"


def _metadata(card: ModelCard) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "license": "cc-by-nc-4.0",
        "language": ["en"],
        "library_name": card.library,
        "pipeline_tag": "image-text-to-text",
        "tags": ["medical", "llava-med"],
    }
    if named := [data.name for data in card.data if _REPOSITORY.fullmatch(data.name)]:
        metadata["datasets"] = named
    if card.base_model:
        metadata["base_model"] = card.base_model
    if card.results:
        metadata["model-index"] = [{"name": card.name, "results": [_result(each) for each in card.results]}]
    return metadata


def _result(result: Result) -> dict[str, Any]:
    return {
        "task": {"type": "visual-question-answering"},
        "dataset": {"name": result.benchmark, "type": result.benchmark, "split": result.split},
        "metrics": [
            {
                "type": result.metric,
                "name": f"{result.metric} ({result.prompt} prompt)",
                "value": result.value,
            }
        ],
    }
