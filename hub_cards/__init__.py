"""Cards of datasets and models, and the functions that render them."""

from hub_cards.croissant import render_croissant
from hub_cards.dataset_card import DatasetCard, StationCounts, render_dataset_card
from hub_cards.model_card import ModelCard, Result, TrainingData, render_model_card
from hub_cards.pictures import Picture, with_pictures

__all__ = [
    "DatasetCard",
    "ModelCard",
    "Picture",
    "Result",
    "StationCounts",
    "TrainingData",
    "render_croissant",
    "render_dataset_card",
    "render_model_card",
    "with_pictures",
]
