"""Greedy answers by `generate`: batches of like length, every image decoded and encoded once."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.collate.refusals import Refusal
from llavamed_trainer.evaluation.predict.checkpoint import Checkpoint

Floats: TypeAlias = NDArray[np.float32]

_FEATURE_BYTES = 1 << 30
"""Image features kept for questions to come: 228 images of LLaVA 1.5 7B in bfloat16."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt.

    Attributes:
        id: of the row.
        prompt: the text of the user turn.
        image: digest of the image's bytes; None asks without an image.
    """

    id: str
    prompt: str
    image: str | None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as the model reads it, with the one image token where the image goes."""

    asked: Asked
    ids: tuple[int, ...]


@dataclass(slots=True)
class Batch:
    """Prompts that are answered together."""

    rows: list[Encoded]


@dataclass(frozen=True, slots=True)
class Said:
    """The answers to one batch.

    Attributes:
        answers: id → answer.
        cut: ids of answers that reached the longest answer allowed.
        unreadable: id → why its image cannot be decoded; it has no answer.
    """

    answers: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)


class Answerer:
    """Answers prompts with a checkpoint, greedily.

    Args:
        checkpoint: model and processor.
        image_bytes: the bytes of an image by its digest.
        max_new_tokens: the longest answer.
    """

    def __init__(
        self, checkpoint: Checkpoint, image_bytes: Callable[[str], bytes], *, max_new_tokens: int = 1024
    ) -> None:
        self._model, self._processor = checkpoint.model, checkpoint.processor
        self._device = checkpoint.device
        self._image_bytes = image_bytes
        self._pixels = PixelReader(self._processor.image_processor, exact=True)
        self._max_new_tokens = max_new_tokens
        self._image_id = self._model.config.image_token_id
        self._reader = ThreadPoolExecutor(1, "read-images")
        self._reading: dict[str, Future[Floats]] = {}
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._held = 0
        stops = self._model.generation_config.eos_token_id
        tokenizer = self._processor.tokenizer
        listed = stops if isinstance(stops, list) else [stops]
        self._stops = sorted({*listed, tokenizer.eos_token_id} - {None})
        self._pad = next(each for each in (tokenizer.pad_token_id, *self._stops, 0) if each is not None)

    def batches(self, asked: Sequence[Asked], size: int) -> list[Batch]:
        """All prompts in batches of like length; the same prompts and size give the same batches.

        The longest come first, so that what does not fit into memory fails at once.
        """
        encoded = sorted(
            self._encoded(asked), key=lambda each: (-len(each.ids), each.asked.image or "", each.asked.id)
        )
        return [Batch(encoded[start : start + size]) for start in range(0, len(encoded), size)]

    def answers(self, batches: Sequence[Batch]) -> Iterator[tuple[Batch, Said]]:
        """Each batch with its answers; while one is answered, the next one's images are decoded in a thread."""
        for batch, following in zip_longest(batches, batches[1:]):
            if following:
                self._foresee(following)
            yield batch, self.answer(batch)

    def _foresee(self, batch: Batch) -> None:
        for digest in dict.fromkeys(row.asked.image for row in batch.rows):
            if digest and digest not in self._features and digest not in self._reading:
                self._reading[digest] = self._reader.submit(self._read, digest)

    @torch.inference_mode()
    def answer(self, batch: Batch) -> Said:
        """The answers to one batch.

        Raises:
            LlavaMedError: the batch does not fit into memory.
        """
        said = Said()
        rows, embedded = [], []
        for row in batch.rows:
            try:
                embedded.append(self._embedded(row))
                rows.append(row)
            except Refusal as refusal:
                said.unreadable[row.asked.id] = f"{refusal.fault.value}: {refusal.detail}"
        if not rows:
            return said
        try:
            tokens = self._generate(embedded)
        except torch.OutOfMemoryError as error:
            raise LlavaMedError(
                f"a batch of {len(rows)} does not fit into memory: run again with a smaller --batch-size, "
                "what was answered is kept"
            ) from error
        texts = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for row, text, line in zip(rows, texts, tokens.tolist(), strict=True):
            said.answers[row.asked.id] = text.strip()
            if len(line) >= self._max_new_tokens and not set(self._stops) & set(line):
                said.cut.add(row.asked.id)
        return said

    def _encoded(self, asked: Sequence[Asked]) -> list[Encoded]:
        if not asked:
            return []
        rendered = [self._render(each) for each in asked]
        tokenizer = self._processor.tokenizer
        with_start = bool(tokenizer.bos_token) and rendered[0].startswith(tokenizer.bos_token)
        found = tokenizer(rendered, add_special_tokens=not with_start)["input_ids"]
        encoded = []
        for each, ids in zip(asked, found, strict=True):
            if ids.count(self._image_id) != (each.image is not None):
                raise LlavaMedError(
                    f"the prompt of {each.id!r} has {ids.count(self._image_id)} image tokens after the chat template"
                )
            encoded.append(Encoded(each, tuple(ids)))
        return encoded

    def _render(self, asked: Asked) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] if asked.image is not None else []
        content.append({"type": "text", "text": asked.prompt})
        text: str = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return text

    def _embedded(self, row: Encoded) -> torch.Tensor:
        """[tokens, hidden]: the prompt with the image's features in the place of its token."""
        ids = torch.tensor(row.ids, device=self._device)
        embeddings: torch.Tensor = self._model.get_input_embeddings()(ids)
        if row.asked.image is None:
            return embeddings
        place = row.ids.index(self._image_id)
        features = self._image_features(row.asked.image).to(embeddings.dtype)
        return torch.cat([embeddings[:place], features, embeddings[place + 1 :]])

    def _image_features(self, digest: str) -> torch.Tensor:
        """[tokens, hidden]; each image goes through the tower alone, so its features depend on nothing else."""
        if digest in self._features:
            self._features.move_to_end(digest)
            return self._features[digest]
        pixels = (self._reading.pop(digest, None) or self._reader.submit(self._read, digest)).result()
        found: torch.Tensor = self._model.get_image_features(
            torch.from_numpy(pixels).to(self._device, self._model.dtype)
        ).pooler_output[0]
        self._features[digest] = found
        self._held += found.nbytes
        while self._held > _FEATURE_BYTES and len(self._features) > 1:
            self._held -= self._features.popitem(last=False)[1].nbytes
        return found

    def _read(self, digest: str) -> Floats:
        """[1, channels, height, width]."""
        pixels = np.empty((1, *self._pixels.shape), dtype=np.float32)
        self._pixels.read(self._image_bytes(digest), pixels[0])
        return pixels

    def _generate(self, embedded: Sequence[torch.Tensor]) -> torch.Tensor:
        """[rows, new tokens]: prompts padded on the left, so that every answer starts in the same column."""
        longest = max(len(each) for each in embedded)
        inputs = embedded[0].new_zeros(len(embedded), longest, embedded[0].shape[1])
        mask = torch.zeros(len(embedded), longest, dtype=torch.long, device=self._device)
        for line, each in enumerate(embedded):
            inputs[line, longest - len(each) :] = each
            mask[line, longest - len(each) :] = 1
        tokens: Any = self._model.generate(
            inputs_embeds=inputs,
            attention_mask=mask,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=self._max_new_tokens,
            eos_token_id=self._stops or None,
            pad_token_id=self._pad,
        )
        return tokens  # type: ignore[no-any-return]
