"""How fast a run goes: tokens, images and padding since the last look, over all processes."""

import time
from collections.abc import Callable, Mapping

import torch


class Meter:
    """Counts batches on their own device, so that nothing waits until somebody looks."""

    def __init__(self, add_up: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._add_up = add_up
        self.start()

    def start(self) -> None:
        """Counts from now on."""
        self._tokens: torch.Tensor | int = 0
        self._places = self._images = 0
        self._since = time.monotonic()

    def count(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Adds a batch as the collator makes it."""
        places = batch["input_ids"].numel()
        self._places += places
        mask = batch.get("attention_mask")
        self._tokens = self._tokens + (places if mask is None else mask.sum())
        if "pixel_values" in batch:
            self._images += len(batch["pixel_values"])

    def read(self) -> dict[str, float]:
        """Tokens and images a second and the share of padding since the last call; {} if nothing was counted.

        Every process must call it, as their counts are added up.
        """
        tokens, places, images = self._add_up(
            torch.tensor([float(self._tokens), float(self._places), float(self._images)])
        ).tolist()
        seconds = max(time.monotonic() - self._since, 1e-9)
        self.start()
        if not places:
            return {}
        return {
            "tokens_per_second": round(tokens / seconds, 1),
            "images_per_second": round(images / seconds, 2),
            "padding": round(1 - tokens / places, 4),
        }
