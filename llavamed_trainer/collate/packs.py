"""Packs: the rows of a batch become one, without padding between them, for models whose processor makes batches."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import ProcessorMixin

from llavamed_data.errors import UsageError
from llavamed_trainer.collate.messages import Row
from llavamed_trainer.collate.processor_batches import BY_TOKEN, ProcessorBatches
from llavamed_trainer.collate.rendering import IGNORED
from llavamed_trainer.models.family import NOT_SHOWN
from llavamed_trainer.models.registry import family_of_processor


class PackedBatches:
    """Makes the packed batches of `ConversationCollator` from those of a processor.

    Attention masks follow from the positions, which begin at 0 in each segment: transformers masks one segment from
    another with `sdpa` and `eager` attention, and `flash_attention_2` gets the segments' lengths (`cu_seqlens`).

    Args:
        batches: makes batches that are padded on the right, to no multiple.
        processor: of the model.
        pad_to_multiple_of: as for the collator.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it.
    """

    def __init__(
        self, batches: ProcessorBatches, processor: ProcessorMixin, *, pad_to_multiple_of: int
    ) -> None:
        self._batches, self._multiple = batches, pad_to_multiple_of
        self.end_ids = batches.end_ids
        any_processor = cast("Any", processor)
        self._fills = dict.fromkeys(BY_TOKEN, 0) | {
            "input_ids": any_processor.tokenizer.pad_token_id,
            "labels": IGNORED,
        }
        family = family_of_processor(processor)
        self._merge: int | None = (
            any_processor.image_processor.merge_size if family and family.mrope else None
        )

    def make(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Makes one batch; see `ConversationCollator.__call__`."""
        batch = self._batches.make(rows)
        is_token = batch.pop("attention_mask").bool()
        lengths = is_token.sum(dim=1).tolist()
        padding = -sum(lengths) % self._multiple
        if self._merge is None:
            positions = [torch.arange(length)[None] for length in lengths]
            ends = torch.arange(padding)[None]
        else:
            grids = batch.get("image_grid_thw", is_token.new_zeros(0, 3)).tolist()
            types = batch["mm_token_type_ids"]
            positions = [
                mrope_positions((types[number, :length] == 1).tolist(), grids, self._merge)
                for number, length in enumerate(lengths)
            ]
            ends = torch.arange(padding).expand(4, 1, padding)
        batch["labels"][:, 0] = IGNORED
        for name in batch.keys() & self._fills.keys():
            batch[name] = pad(batch[name][is_token], (0, padding), value=self._fills[name])[None]
        batch["position_ids"] = torch.cat([*positions, ends], dim=-1)
        if (mask := batch.get("pixel_attention_mask")) is not None:
            # [rows, images, …], in which a row of fewer images than another is filled up with empty ones.
            is_image = mask.flatten(2).any(dim=2)
            for name in ("pixel_values", "pixel_attention_mask"):
                batch[name] = batch[name][is_image][None]
        return batch


def mrope_positions(is_image: Sequence[bool], grids: list[list[int]], merge: int) -> Tensor:
    """The positions of the tokens of a row by Qwen's rule (M-RoPE): in the row, and in time, height and width.

    Text moves on by one in all three dimensions. The tokens of an image lie in a grid that begins where the text before
    it ended; the text after it goes on behind the grid's longer side.

    Args:
        is_image: which tokens are an image's.
        grids: time, height and width in patches of the images of this row and of further ones; those of this row are
            taken out.
        merge: the patches in each direction that one token stands for.

    Returns:
        [4, 1, tokens], int64, as the models take them for packed rows.
    """
    parts, at, place = [], 0, 0
    while at < len(is_image):
        if is_image[at]:
            time, height, width = grids.pop(0)
            height, width = height // merge, width // merge
            parts.append(
                torch.cartesian_prod(torch.arange(time), torch.arange(height), torch.arange(width)).T + place
            )
            place += max(height, width)
        else:
            stop = is_image.index(True, at) if True in is_image[at:] else len(is_image)
            parts.append((torch.arange(stop - at) + place).expand(3, -1))
            place += stop - at
        at += parts[-1].shape[1]
    return torch.cat([torch.arange(len(is_image))[None], torch.cat(parts, dim=1)])[:, None]


def check_packing(processor: ProcessorMixin) -> None:
    """Checks that rows may be packed for the models of a processor.

    Raises:
        UsageError: they may not; the message says why.
    """
    family = family_of_processor(processor)
    name, refused = (family.name, family.packing_refused) if family else (type(processor).__name__, NOT_SHOWN)
    if refused:
        raise UsageError(f"rows are not packed for {name}: {refused}; leave out --packing")
