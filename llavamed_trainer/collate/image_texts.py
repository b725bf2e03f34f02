"""What a processor writes into a text in the place of images, by their sizes."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from PIL import Image

from llavamed_data.errors import one_line
from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason

Size: TypeAlias = tuple[int, int]
"""The width and height of an image in pixels."""

_TRIED: tuple[Size, ...] = ((32, 32), (128, 32), (32, 128), (641, 480), (480, 640), (1333, 1999), (2000, 500))
"""Sizes on which a processor is tried: small ones, large ones, and the longest shapes that are relied on."""

_LEAST_SIDE, _GREATEST_RATIO = 32, 4

_MOST_KEPT = 4096
"""Rows whose texts are kept; the text of an image may have 10,000 characters."""


class ImageTexts:
    """Finds what a processor writes for the images of a row from their sizes.

    The processor itself is given blank images of the sizes, unless it writes the same for every size or states rightly
    how many tokens an image takes. Whether it does is tried once on images of a few sizes; for rows of several images
    apart, since LLaVA-OneVision makes tiles of one, and none of several. Small and long images are always given to it.

    Args:
        processor: with an `image_token` and a tokenizer.
        write: a function from the images of a row to the texts that the processor writes for them.
    """

    def __init__(self, processor: Any, write: Callable[[list[Image.Image]], list[str]]) -> None:
        self._processor, self._write = processor, write
        self._written: dict[tuple[Size, ...], list[str]] = {}
        self._same: dict[bool, str | None] = {}
        self._states_rightly: dict[bool, bool] = {}

    def counts(self, sizes: Sequence[Size]) -> list[int] | None:
        """The tokens that each image of a row takes, as the processor states them; None if it is not relied on."""
        if not _are_usual(sizes):
            return None
        self._try(several=len(sizes) > 1)
        return self._stated(sizes) if self._states_rightly[len(sizes) > 1] else None

    def texts(self, sizes: Sequence[Size]) -> list[str]:
        """The text for each of the images of a row.

        Raises:
            BadRowError: the processor does not take the images.
        """
        if _are_usual(sizes):
            self._try(several=len(sizes) > 1)
            if (same := self._same[len(sizes) > 1]) is not None:
                return [same] * len(sizes)
        key = tuple(sizes)
        if key not in self._written:
            if len(self._written) >= _MOST_KEPT:
                self._written.clear()
            self._written[key] = self._by_processor(sizes)
        return self._written[key]

    def _try(self, *, several: bool) -> None:
        """Finds out once what can be relied on in rows of one image, or of several."""
        if several in self._same:
            return
        self._same[several], self._states_rightly[several] = None, False
        rows = [(size, _TRIED[-1 - number])[: 1 + several] for number, size in enumerate(_TRIED)]
        try:
            written = [self._by_processor(row) for row in rows]
        except BadRowError:
            return
        texts = {text for row in written for text in row}
        if len(texts) == 1:
            self._same[several] = texts.pop()
            return
        try:
            stated = [self._stated(row) for row in rows]
        except Exception:  # not all processors state it, and what they raise differs
            return
        self._states_rightly[several] = stated == [[self._tokens(text) for text in row] for row in written]

    def _stated(self, sizes: Sequence[Size]) -> list[int]:
        made = self._processor._get_num_multimodal_tokens(image_sizes=[[high, wide] for wide, high in sizes])
        return [int(count) for count in made["num_image_tokens"]]

    def _by_processor(self, sizes: Sequence[Size]) -> list[str]:
        if not sizes:
            return []
        try:
            return self._write([Image.new("RGB", size, "grey") for size in sizes])
        except MemoryError:
            raise
        except Exception as error:
            # processors raise what they like on an image of a shape that they do not take
            raise BadRowError(BadRowReason.IMAGE_UNREADABLE, one_line(error, 200)) from error

    def _tokens(self, text: str) -> int:
        return len(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _are_usual(sizes: Sequence[Size]) -> bool:
    return bool(sizes) and all(
        min(size) >= _LEAST_SIDE and max(size) <= _GREATEST_RATIO * min(size) for size in sizes
    )
