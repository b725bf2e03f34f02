"""Inputs for LLaVA: each image is decoded and encoded once, and its features are kept for further questions."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from llavamed_trainer.collate.bad_rows import BadRowError
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.evaluation.predict.inputs import (
    GenerateInputs,
    PromptBatch,
    ReadImage,
    RenderedPrompt,
    render,
)
from llavamed_trainer.evaluation.predict.options import QuestionPrompt
from llavamed_trainer.evaluation.questions import Unanswered

_Floats: TypeAlias = NDArray[np.float32]
_ReadImages: TypeAlias = dict[str, _Floats | BadRowError]
"""SHA-256 → [1, channels, height, width], or why the image cannot be read."""

_ReadBatch: TypeAlias = tuple[PromptBatch, _ReadImages]

_MAX_FEATURE_BYTES = 1 << 30
"""Image features that are kept for later questions: 228 images of LLaVA 1.5 7B in bfloat16."""


class LlavaInputs:
    """Embeddings of prompts, with the features of images in the places of their tokens.

    Args:
        model: a LLaVA on its device.
        processor: its processor, which makes images of one size.
        image_bytes: reads an image.
    """

    def __init__(self, model: Any, processor: Any, image_bytes: ReadImage) -> None:
        self._model, self._processor, self._device = model, processor, model.device
        self._image_bytes = image_bytes
        self._pixels = PixelReader(processor.image_processor, exact=True)
        self._image_id = model.config.image_token_id
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._feature_bytes = 0

    def render(self, prompts: Sequence[QuestionPrompt]) -> tuple[list[RenderedPrompt], dict[str, Unanswered]]:
        """Renders the prompts, and tells which questions cannot be asked.

        Raises:
            LlavaMedError: the chat template leaves images out, or adds some.
        """
        rendered, refused = render(self._processor, prompts, {self._processor.image_token})
        patch = self._model.config.vision_config.patch_size
        image_tokens = (self._pixels.shape[1] // patch) * (self._pixels.shape[2] // patch)
        return [
            # A prompt without an image counts as if it had one, so that batches stay what they were.
            RenderedPrompt(prompt, text, ids, len(ids) + image_tokens * max(len(prompt.images) - 1, 0))
            for prompt, text, ids in rendered
        ], refused

    def read(self, batch: PromptBatch) -> _ReadBatch:
        """Decodes the images of a batch whose features are not there."""
        digests = dict.fromkeys(digest for row in batch for digest in row.prompt.images)
        return batch, {digest: self._read(digest) for digest in digests if digest not in self._features}

    @torch.inference_mode()
    def make(self, read: _ReadBatch) -> GenerateInputs:
        """Embeds a batch: prompts padded on the left, so that every answer starts in the same column."""
        batch, images = read
        rows, embedded, unreadable = list[RenderedPrompt](), list[torch.Tensor](), dict[str, str]()
        for row in batch:
            try:
                embedded.append(self._embedded(row, images))
                rows.append(row)
            except BadRowError as error:
                unreadable[row.prompt.question.id] = f"{error.reason.value}: {error.detail}"
        if not rows:
            return GenerateInputs([], {}, unreadable)
        longest = max(len(each) for each in embedded)
        inputs = embedded[0].new_zeros(len(embedded), longest, embedded[0].shape[1])
        mask = torch.zeros(len(embedded), longest, dtype=torch.long, device=self._device)
        for number, each in enumerate(embedded):
            inputs[number, longest - len(each) :] = each
            mask[number, longest - len(each) :] = 1
        return GenerateInputs(rows, {"inputs_embeds": inputs, "attention_mask": mask}, unreadable)

    def _embedded(self, row: RenderedPrompt, images: _ReadImages) -> torch.Tensor:
        """[tokens, hidden]: token embeddings, with the images' features in the places of their tokens."""
        ids = torch.tensor(row.ids, device=self._device)
        embeddings: torch.Tensor = self._model.get_input_embeddings()(ids)
        places = [place for place, each in enumerate(row.ids) if each == self._image_id]
        pieces, start = list[torch.Tensor](), 0
        for place, digest in zip(places, row.prompt.images, strict=True):
            features = self._image_features(digest, images).to(embeddings.dtype)
            pieces += [embeddings[start:place], features]
            start = place + 1
        return torch.cat([*pieces, embeddings[start:]])

    def _image_features(self, digest: str, images: _ReadImages) -> torch.Tensor:
        """[tokens, hidden]; each image goes through the vision tower alone, so its features depend on nothing else."""
        if digest in self._features:
            self._features.move_to_end(digest)
            return self._features[digest]
        pixels = images[digest] if digest in images else self._read(digest)
        if isinstance(pixels, BadRowError):
            raise pixels
        found: torch.Tensor = self._model.get_image_features(
            torch.from_numpy(pixels).to(self._device, self._model.dtype)
        ).pooler_output[0]
        self._features[digest] = found
        self._feature_bytes += found.nbytes
        while self._feature_bytes > _MAX_FEATURE_BYTES and len(self._features) > 1:
            self._feature_bytes -= self._features.popitem(last=False)[1].nbytes
        return found

    def _read(self, digest: str) -> _Floats | BadRowError:
        pixels = np.empty((1, *self._pixels.shape), dtype=np.float32)
        try:
            self._pixels.read(self._image_bytes(digest), pixels[0])
        except BadRowError as error:
            return error
        return pixels
