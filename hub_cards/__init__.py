"""Cards of datasets and models, and the functions that render them."""

from hub_cards.benchmark_card import (
    COUNTED,
    COUNTED_CHOICES,
    BenchmarkCard,
    SplitSizes,
    render_benchmark_card,
)
from hub_cards.columns import ExampleRow, column_table, without_example, without_picture
from hub_cards.croissant import CROISSANT_FILE, render_croissant, with_shards
from hub_cards.dataset_card import (
    BUILT_BY,
    CardPicture,
    DatasetCard,
    StepCounts,
    render_dataset_card,
    with_pictures,
    with_review,
)
from hub_cards.model_card import ModelCard, Result, TrainingData, render_model_card

__all__ = [
    "BUILT_BY",
    "COUNTED",
    "COUNTED_CHOICES",
    "CROISSANT_FILE",
    "BenchmarkCard",
    "CardPicture",
    "DatasetCard",
    "ExampleRow",
    "ModelCard",
    "Result",
    "SplitSizes",
    "StepCounts",
    "TrainingData",
    "column_table",
    "render_benchmark_card",
    "render_croissant",
    "render_dataset_card",
    "render_model_card",
    "with_pictures",
    "with_review",
    "with_shards",
    "without_example",
    "without_picture",
]
