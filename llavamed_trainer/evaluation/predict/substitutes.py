"""Images that a model is shown instead of a question's own, to see whether it looks at them."""

import hashlib
import io
import random
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.questions import ImageMode, QuestionImages

GREY = (128, 128, 128)
"""The colour of blank images in RGB, in the middle of black and white."""


class ImageSource(Protocol):
    """Reads the images that the questions are asked about."""

    def read(self, question_id: str, number: int = 0) -> bytes:
        """The bytes of an image of a question, counted from 0."""


class SubstituteImages:
    """Grey images, noise, or the images of other questions, as many for each question as it has and may be read.

    What is shown for a question depends on its id, the seed and, for `shuffled`, on the questions of the set, whatever
    part of them is asked. A blank or noisy image is as large as the one that it stands for, and unreadable where that
    is, so that the same questions have an answer.

    Args:
        images: the questions' own images.
        mode: what takes their place.
        seed: seed of the noise, and of the order in which images are exchanged.

    Raises:
        UsageError: the images cannot be exchanged, because too few are different.
    """

    def __init__(self, images: QuestionImages, mode: ImageMode, seed: int) -> None:
        self._images, self._mode, self._seed = images, mode, seed
        self._own = images.digests()
        self._places = {
            digest: (identity, number)
            for identity, digests in self._own.items()
            for number, digest in enumerate(digests)
        }
        self._exchanged = exchange(self._own.values(), seed) if mode == "shuffled" else {}

    def digests(self) -> dict[str, tuple[str, ...]]:
        """Question id → a SHA-256 of what is shown for each image; it tells apart what differs."""
        return {
            identity: tuple(self._digest(identity, *each) for each in enumerate(digests))
            for identity, digests in self._own.items()
        }

    def read(self, question_id: str, number: int = 0) -> bytes:
        """The bytes of what is shown for an image of a question, counted from 0."""
        if self._mode == "shuffled":
            return self._images.read(*self._places[self._exchanged[self._own[question_id][number]]])
        try:
            with Image.open(io.BytesIO(self._images.read(question_id, number))) as opened:
                size = ImageOps.exif_transpose(opened).size  # decodes it: what is damaged shows here
        except Exception:
            return b""  # as unreadable as the image; hostile bytes make Pillow raise anything
        if self._mode == "blank":
            shown = Image.new("RGB", size, GREY)
        else:
            key = hashlib.sha256(f"{self._seed}\n{number}\n{question_id}".encode()).digest()
            chance = np.random.default_rng(int.from_bytes(key[:16], "big"))
            shown = Image.fromarray(chance.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        stored = io.BytesIO()
        shown.save(stored, "PNG", compress_level=1 if self._mode == "blank" else 0)  # noise does not compress
        return stored.getvalue()

    def _digest(self, identity: str, number: int, own: str) -> str:
        if self._mode == "shuffled":
            return self._exchanged[own]
        # one blank image for all questions about an image, so that it is encoded once; noise is each question's own
        name = f"blank {own}" if self._mode == "blank" else f"noise {self._seed} {own} {number} {identity}"
        return hashlib.sha256(name.encode()).hexdigest()


def exchange(shown_together: Iterable[tuple[str, ...]], seed: int) -> Mapping[str, str]:
    """Gives each image another's place, so that no question is shown any of its own images.

    Images that one question shows together, or that others link to them, are kept in a row, the rows are shuffled, and
    every image takes the place of the one as many places ahead as the longest row is long.

    >>> sorted(exchange([("a",), ("a",), ("b",)], seed=0).items())
    [('a', 'b'), ('b', 'a')]

    Args:
        shown_together: the digests of the images of each question.
        seed: seed of the order.

    Returns:
        Digest → digest of the image that is shown instead; each of them once.

    Raises:
        UsageError: a question, and those linked to it, show more than half of the different images.
    """
    rows = _linked(shown_together)
    count, longest = sum(map(len, rows)), max(map(len, rows), default=0)
    if count < 2 * longest:
        raise UsageError(
            f"images cannot be exchanged between questions: of {count} different image{'s' * (count != 1)}, {longest} "
            f"belong{'s' * (longest == 1)} to questions that show the same; choose --images blank or noise"
        )
    chance = random.Random(seed)  # noqa: S311  (no secret)
    chance.shuffle(rows)
    order = list[str]()
    for row in rows:
        chance.shuffle(row)
        order += row
    return {digest: order[(place + longest) % count] for place, digest in enumerate(order)}


def _linked(shown_together: Iterable[tuple[str, ...]]) -> list[list[str]]:
    """The different images, those together that a question shows together or that others link."""
    row_of = dict[str, list[str]]()
    for digests in shown_together:
        rows = {id(row): row for digest in digests if (row := row_of.get(digest))}
        joined = [each for row in rows.values() for each in row]
        joined += [digest for digest in dict.fromkeys(digests) if digest not in row_of]
        row_of.update(dict.fromkeys(joined, joined))
    return list({id(row): row for row in row_of.values()}.values())
