"""Reads images into pixel values as an image processor makes them, straight from the bytes of a file.

A stock image processor resizes the shorter side (or both sides), crops the centre, scales to 0…1 and normalises. Nearly
the same values come twice as fast when a JPEG is decoded at ½, ¼ or ⅛ of its size (Pillow's draft mode: the decoder
leaves out frequencies that resizing would drop), only the kept part is resized, grey stays one channel until the end,
and scaling and normalising are one look-up in a table that the processor itself computed. On the images of the
evaluation set the mean difference is 0.01 in normalised units at 224 pixels (0.06 for the one that differs most),
nearly all of it from the draft mode.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError
from transformers import BaseImageProcessor

from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason
from llavamed_trainer.collate.rgb import ORIENTATION, to_rgb, upright
from llavamed_trainer.models.llava import Pixels, gradient, pixel_shape, process_image

_Box: TypeAlias = tuple[float, float, float, float]

_log = logging.getLogger(__name__)

SHORTEST_SIDE = 8
"""The least width and height in pixels; what is smaller is a spacer or a rule, and shows nothing."""

_ON_ITS_SIDE = (5, 6, 7, 8)
"""The values of that tag for images whose width and height are exchanged."""

_REDUCING_GAP = 2.0
"""Pillow first shrinks an image by whole blocks to at least this many times its final size; no difference shows."""

_LEVELS = 3
"""How many of 256 levels a test image may differ before a processor's settings count as not understood."""


def read_image(source: Any) -> Image.Image:
    """Reads an image as RGB, turned upright.

    Args:
        source: `{"bytes", "path"}` as `datasets` gives undecoded images, a PIL image, bytes, or a path.

    Raises:
        BadRowError: there is no image in it, or one with a side under `SHORTEST_SIDE` pixels.
    """
    with _as_bad_row():
        image = _open(source)
        _check_size(image)
        image = to_rgb(upright(image))
        image.load()  # what is damaged shows here
        return image


def image_size(source: Any) -> tuple[int, int]:
    """The width and height of an image as `read_image` returns it; only the head of a file is read.

    Raises:
        BadRowError: as `read_image`, for what the head of a file shows.
    """
    with _as_bad_row():
        image = _open(source)
        _check_size(image)
        width, height = image.size
        return (height, width) if image.getexif().get(ORIENTATION, 1) in _ON_ITS_SIDE else (width, height)


class PixelReader:
    """Reads images into pixel values.

    Args:
        processor: an image processor that makes images of one size (those of CLIP, SigLIP, ViT, BiT and DINOv2 do). If
            its settings are not understood, or its results do not follow from them, it is called for each image.
        exact: call the processor for each image, which gives its values to the bit.

    Attributes:
        shape: channels, height and width of the pixel values.
        stock: whether the processor itself is called for each image.
    """

    def __init__(self, processor: BaseImageProcessor, *, exact: bool = False) -> None:
        self.shape = pixel_shape(processor)
        self._processor = processor
        self._settings = None if exact else _ProcessorSettings.of(processor)
        if self._settings and not self._agrees(self._settings):
            self._settings = None
        self.stock = self._settings is None
        if self.stock and not exact:
            _log.warning("images go through %s itself, which is slower", type(processor).__name__)

    def read(self, source: Any, out: Pixels) -> None:
        """Writes the pixel values of an image into `out`.

        Args:
            source: `{"bytes", "path"}` as `datasets` gives undecoded images, a PIL image, bytes, or a path.
            out: a contiguous float32 array of `shape`.

        Raises:
            BadRowError: there is no image in it, or one with a side under `SHORTEST_SIDE` pixels.
        """
        with _as_bad_row():
            image = _open(source)
            _check_size(image)
            if self._settings is None or not self._settings.fill(image, out):
                out[:] = process_image(self._processor, to_rgb(upright(image)))

    def _agrees(self, settings: "_ProcessorSettings") -> bool:
        """Whether the fast way gives the processor's values, on test images of three shapes."""
        out = np.empty(self.shape, dtype=np.float32)
        for width, height in ((61, 97), (410, 300), (500, 500)):
            image = gradient(width, height)
            if not settings.fill(image, out):
                continue
            if np.abs(out - process_image(self._processor, image)).max() > _LEVELS * settings.step:
                return False
        return True


@dataclass(frozen=True, slots=True)
class _ProcessorSettings:
    """What a stock image processor does, in numbers.

    Attributes:
        shortest: the shorter side in pixels after resizing; None if `size` is given.
        size: width and height after resizing; None if `shortest` is given.
        crop: width and height of the centre that is kept; None keeps all.
        resample: Pillow's filter.
        table: [3, 256], the pixel value of each level of each channel.
    """

    shortest: int | None
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: Image.Resampling
    table: Pixels

    @classmethod
    def of(cls, processor: BaseImageProcessor) -> "_ProcessorSettings | None":
        """Reads the settings of a processor; None if it does something that is not understood here."""
        size, crop = getattr(processor, "size", None), getattr(processor, "crop_size", None)
        if not getattr(processor, "do_resize", False) or getattr(processor, "do_pad", False) or not size:
            return None
        sides = {name: value for name, value in dict(size).items() if value}
        resample = getattr(processor, "resample", None)
        if not isinstance(resample, int):  # torchvision has filters of its own
            return None
        crops = bool(getattr(processor, "do_center_crop", False))
        if set(sides) not in ({"shortest_edge"}, {"height", "width"}) or (crops and not crop):
            return None
        return cls(
            shortest=sides.get("shortest_edge"),
            size=(sides["width"], sides["height"]) if "width" in sides else None,
            crop=(crop["width"], crop["height"]) if crops and crop else None,
            resample=Image.Resampling(resample),
            table=_pixel_table(processor),
        )

    @property
    def step(self) -> float:
        """The largest difference that one level of a channel makes in a pixel value."""
        return float(np.abs(np.diff(self.table)).max())

    def fill(self, image: Image.Image, out: Pixels) -> bool:
        """Writes the pixel values into `out`; returns False if the image must be padded, which the processor does."""
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = upright(image)
        resized = self._resized(*image.size)
        kept = self.crop or resized
        if kept[0] > resized[0] or kept[1] > resized[1] or (kept[1], kept[0]) != out.shape[1:]:
            return False
        width, height = _draft(image, resized)
        if image.mode != "L" or "transparency" in image.info:  # grey stays one channel
            image = to_rgb(image)
        left, top = (resized[0] - kept[0]) // 2, (resized[1] - kept[1]) // 2
        across, down = width / resized[0], height / resized[1]
        box: _Box = (
            left * across,
            top * down,
            min((left + kept[0]) * across, image.width),
            min((top + kept[1]) * down, image.height),
        )
        levels = np.asarray(image.resize(kept, self.resample, box=box, reducing_gap=_REDUCING_GAP))
        for channel, table in enumerate(self.table):
            plane = levels if levels.ndim == 2 else levels[:, :, channel]
            np.take(table, plane, out=out[channel], mode="clip")
        return True

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.size:
            return self.size
        assert self.shortest
        if width <= height:
            return self.shortest, int(self.shortest * height / width)
        return int(self.shortest * width / height), self.shortest


def _pixel_table(processor: BaseImageProcessor) -> Pixels:
    """Every level of a channel through the processor's own arithmetic: [3, 256]."""
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)  # an RGB image, 256 × 1
    unresized: dict[str, Any] = {"do_resize": False, "do_center_crop": False}
    made = processor(images=[Image.fromarray(levels)], return_tensors="pt", **unresized)["pixel_values"][0]
    return np.ascontiguousarray(made.numpy()[:, 0, :], dtype=np.float32)


@contextmanager
def _as_bad_row() -> Iterator[None]:
    """Turns what is raised while an image is read into a `BadRowError`."""
    try:
        yield
    except (BadRowError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its own message is an address in memory
        raise BadRowError(
            BadRowReason.IMAGE_UNREADABLE, "its bytes are of no image format that Pillow reads"
        ) from error
    except Exception as error:  # Pillow's plugins raise anything on hostile bytes
        name = type(error).__name__
        raise BadRowError(
            BadRowReason.IMAGE_UNREADABLE, f"{name}: {error}" if str(error) else name
        ) from error


def _check_size(image: Image.Image) -> None:
    if min(image.size) < SHORTEST_SIDE:
        width, height = image.size
        raise BadRowError(
            BadRowReason.IMAGE_TOO_SMALL,
            f"{width} × {height} pixels, at least {SHORTEST_SIDE} a side are needed",
        )


def _open(source: Any) -> Image.Image:
    if isinstance(source, Image.Image):
        source.load()  # in full: draft mode would change the size of the caller's image
        return source
    data, path = (source.get("bytes"), source.get("path")) if isinstance(source, dict) else (source, None)
    if isinstance(data, bytes | bytearray | memoryview):
        return Image.open(io.BytesIO(data))
    path = path or data
    if not path:
        raise BadRowError(BadRowReason.NO_IMAGE, "an image has neither bytes nor a path")
    return Image.open(io.BytesIO(Path(path).read_bytes()))


def _draft(image: Image.Image, size: tuple[int, int]) -> tuple[float, float]:
    """Has a JPEG decoded at the least size not under `size`; returns its width and height, in fractions of a pixel."""
    drafted = image.draft(None, size) if image.format in ("JPEG", "MPO") else None
    return drafted[1][2:] if drafted else image.size
