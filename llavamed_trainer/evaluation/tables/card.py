"""Scores for a model card: its results table and its `model-index`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_trainer.evaluation.tables.collect import Results

if TYPE_CHECKING:
    from hub_cards import Result

CARD_METRICS = ("open_recall", "open_f1", "closed_accuracy", "open_multiset_recall", "closed_word_accuracy")
"""What a card states of each benchmark."""


def card_results(results: Results, model: str | None = None) -> "list[Result]":
    """Complete scores as a card takes them.

    Args:
        results: of a folder.
        model: as the predictions name it; needed where the folder holds several.

    Raises:
        UsageError: there are no complete scores, none of that model, or several models and none named.
    """
    from hub_cards import Result

    whole = [each for each in results.scored if not each.scores["partial"]]
    models = sorted({each.scores["model"] for each in whole})
    if model is None and len(models) > 1:
        raise UsageError(f"the results are of {len(models)} models: name one, such as --model {models[0]}")
    chosen = [each for each in whole if model in (None, each.scores["model"])]
    if not chosen:
        raise UsageError(f"there are no complete scores of {model or 'any model'} among the results")
    return [
        Result(
            benchmark=each.scores["benchmark"],
            split=each.scores["split"],
            metric=metric,
            value=each.scores["metrics"][metric]["value"],
            prompt=each.scores["prompt_form"],
        )
        for each in chosen
        for metric in CARD_METRICS
        if metric in each.scores["metrics"]
    ]


def update_card(path: Path, results: "Sequence[Result]") -> None:
    """Puts scores into a model card's metadata as `model-index`, in place of what stood there.

    Raises:
        UsageError: there is no such card.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub import ModelCard as RepoCard

    if not path.is_file():
        raise UsageError(f"there is no model card {path}: name a checkpoint's README.md")
    card = RepoCard.load(path)
    card.data.model_name = path.resolve().parent.name
    card.data.eval_results = [
        EvalResult(
            task_type="visual-question-answering",
            dataset_type=each.benchmark,
            dataset_name=each.benchmark,
            dataset_split=each.split,
            metric_type=each.metric,
            metric_name=f"{each.metric} ({each.prompt} prompt)",
            metric_value=each.value,
        )
        for each in results
    ]
    with atomic_path(path) as aside:
        card.save(aside)
