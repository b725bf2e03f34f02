"""Cards of datasets and models, and the functions that render them."""

from hub_cards.benchmark_card import BenchmarkCard, SplitSizes, render_benchmark_card
from hub_cards.croissant import render_croissant
from hub_cards.dataset_card import DatasetCard, StationCounts, render_dataset_card
from hub_cards.model_card import ModelCard, Result, TrainingData, render_model_card
from hub_cards.pictures import Picture, with_pictures

__all__ = [
    "BenchmarkCard",
    "DatasetCard",
    "ModelCard",
    "Picture",
    "Result",
    "SplitSizes",
    "StationCounts",
    "TrainingData",
    "render_benchmark_card",
    "render_croissant",
    "render_dataset_card",
    "render_model_card",
    "with_pictures",
]
