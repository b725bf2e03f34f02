"""Cards of datasets and models, and the functions that render them."""

from hub_cards.dataset_card import DatasetCard, StationCounts, render_dataset_card

__all__ = ["DatasetCard", "StationCounts", "render_dataset_card"]
