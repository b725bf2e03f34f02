"""Scores for a model card: its table of results, and its `model-index` metadata."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_trainer.evaluation.tables.collect import Results

if TYPE_CHECKING:
    from hub_cards import Result

CARD_METRICS = (
    "open_recall",
    "open_f1",
    "closed_accuracy",
    "open_multiset_recall",
    "closed_word_accuracy",
    "choice_accuracy",
    "choice_unreadable",
)
"""The metrics that a card states of each benchmark."""


def card_results(results: Results, model: str | None = None) -> "list[Result]":
    """The scores of one model in the form that cards take; partial scores and those of blind answers are left out.

    Args:
        results: the results in a folder.
        model: name of the model in the files of answers; needed if the results are of several.

    Raises:
        UsageError: there are no complete scores of the model, or scores of several models and none is named.
    """
    from hub_cards import Result

    complete = [each for each in results.scored if not each.scores["partial"] and each.images == "real"]
    models = sorted({each.scores["model"] for each in complete})
    if model is None and len(models) > 1:
        raise UsageError(
            f"the results are of {len(models)} models: name one with --model, such as {models[0]}"
        )
    chosen = [each for each in complete if model in (None, each.scores["model"])]
    if not chosen:
        raise UsageError(
            f"there are no complete scores of {model or 'any model'} among the results: score all of its answers first"
        )
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
    """Puts scores into a model card's metadata as `model-index`; they replace those that stood there.

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
    with atomic_path(path) as temporary:
        card.save(temporary)
