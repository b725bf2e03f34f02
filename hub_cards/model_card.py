"""The card of a checkpoint: how it was trained, on what, what it scored, and what it must not be used for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub_cards.markdown import render

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
"""The form of a repository's name on the Hub."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A dataset that a checkpoint was trained on.

    Attributes:
        name: of its repository or folder.
        revision: commit or tag, if known.
        license: of the dataset.
    """

    name: str
    revision: str | None
    license: str


@dataclass(frozen=True, slots=True)
class Result:
    """One score of a model.

    Attributes:
        benchmark, split: what was asked.
        metric: name of the metric.
        value: of the metric, in per cent.
        prompt: form of the prompt (`plain`, `options`).
    """

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
        base_model: repository of the model that it was trained from; None for one assembled from parts.
        recipe: name of the training recipe.
        source: table of the paper, or "released code", that the recipe follows.
        settings: hyper-parameter → value.
        data: the datasets that it was trained on.
        results: its scores.
        losses: (training step, loss), for the table beside the loss curve.
        version: of the toolkit.
        picture: name of the loss curve's file beside the card.
        library: what loads the checkpoint: `transformers`, or `peft` for an adapter.
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
    return render("model.md.j2", metadata, card=card)


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
