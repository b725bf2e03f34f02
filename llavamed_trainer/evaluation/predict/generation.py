"""Greedy answers by `generate`, in batches of similar length; each image is decoded and encoded once."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate import learnt_end_ids
from llavamed_trainer.collate.bad_rows import BadRowError
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.evaluation.predict.options import QuestionPrompt

Floats: TypeAlias = NDArray[np.float32]

_MAX_FEATURE_BYTES = 1 << 30
"""Image features that are kept for later questions: 228 images of LLaVA 1.5 7B in bfloat16."""


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as the model reads it: token ids, with one image token where the image's features go."""

    prompt: QuestionPrompt
    ids: tuple[int, ...]


PromptBatch: TypeAlias = list[TokenizedPrompt]
"""Prompts that are answered together."""


@dataclass(frozen=True, slots=True)
class BatchAnswers:
    """The answers to one batch.

    Attributes:
        answers: question id → answer.
        truncated: ids of answers that were cut off at the longest answer allowed.
        unreadable: question id → why its image cannot be decoded; it has no answer.
    """

    answers: dict[str, str] = field(default_factory=dict)
    truncated: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)


class Answerer:
    """Answers prompts with a checkpoint, greedily.

    Args:
        model: a LLaVA model of transformers, in evaluation mode on its device.
        processor: its processor.
        image_bytes: reads the bytes of an image by their SHA-256.
        max_new_tokens: longest answer, in tokens.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        image_bytes: Callable[[str], bytes],
        *,
        max_new_tokens: int = 1024,
    ) -> None:
        self._model, self._processor, self._device = model, processor, model.device
        self._image_bytes = image_bytes
        self._pixels = PixelReader(self._processor.image_processor, exact=True)
        self._max_new_tokens = max_new_tokens
        self._image_id = self._model.config.image_token_id
        self._reader = ThreadPoolExecutor(1, "read-images")
        self._reading: dict[str, Future[Floats]] = {}
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._feature_bytes = 0
        stops = self._model.generation_config.eos_token_id
        tokenizer = self._processor.tokenizer
        listed = stops if isinstance(stops, list) else [stops]
        self._stops = sorted({*listed, tokenizer.eos_token_id, *learnt_end_ids(processor)} - {None})
        self._pad = next(each for each in (tokenizer.pad_token_id, *self._stops, 0) if each is not None)

    def batches(self, prompts: Sequence[QuestionPrompt], size: int) -> list[PromptBatch]:
        """All prompts in batches of similar length; the same prompts and size give the same batches.

        The longest come first, so that what does not fit into memory fails at once.
        """
        tokenized = sorted(
            self._tokenized(prompts),
            key=lambda row: (-len(row.ids), row.prompt.image or "", row.prompt.question.id),
        )
        return [tokenized[start : start + size] for start in range(0, len(tokenized), size)]

    def answers(self, batches: Sequence[PromptBatch]) -> Iterator[tuple[PromptBatch, BatchAnswers]]:
        """Each batch with its answers; while one is answered, the images of the next are decoded in a thread."""
        for batch, following in zip_longest(batches, batches[1:]):
            for digest in dict.fromkeys(row.prompt.image for row in following or ()):
                if digest and digest not in self._features and digest not in self._reading:
                    self._reading[digest] = self._reader.submit(self._read, digest)
            yield batch, self.answer(batch)

    @torch.inference_mode()
    def answer(self, batch: PromptBatch) -> BatchAnswers:
        """The answers to one batch.

        Raises:
            LlavaMedError: the batch does not fit into memory.
        """
        answered = BatchAnswers()
        rows, embedded = [], []
        for row in batch:
            try:
                embedded.append(self._embedded(row))
                rows.append(row)
            except BadRowError as error:
                answered.unreadable[row.prompt.question.id] = f"{error.reason.value}: {error.detail}"
        if not rows:
            return answered
        try:
            tokens = self._generate(embedded)
        except torch.OutOfMemoryError as error:
            raise LlavaMedError(
                f"a batch of {len(rows)} does not fit into memory: rerun the same command with a smaller "
                "--batch-size; what was answered is kept"
            ) from error
        texts = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for row, text, ids in zip(rows, texts, tokens.tolist(), strict=True):
            answered.answers[row.prompt.question.id] = text.strip()
            if len(ids) >= self._max_new_tokens and not set(self._stops) & set(ids):
                answered.truncated.add(row.prompt.question.id)
        return answered

    def _tokenized(self, prompts: Sequence[QuestionPrompt]) -> PromptBatch:
        if not prompts:
            return []
        rendered = [self._render(prompt) for prompt in prompts]
        tokenizer = self._processor.tokenizer
        with_start = bool(tokenizer.bos_token) and rendered[0].startswith(tokenizer.bos_token)
        found = tokenizer(rendered, add_special_tokens=not with_start)["input_ids"]
        for prompt, ids in zip(prompts, found, strict=True):
            if ids.count(self._image_id) != (prompt.image is not None):
                raise LlavaMedError(
                    f"the prompt of {prompt.question.id!r} has {ids.count(self._image_id)} image tokens after the "
                    "chat template: use a checkpoint whose template puts one for each image"
                )
        return [TokenizedPrompt(prompt, tuple(ids)) for prompt, ids in zip(prompts, found, strict=True)]

    def _render(self, prompt: QuestionPrompt) -> str:
        content: list[dict[str, str]] = [{"type": "image"}] if prompt.image is not None else []
        content.append({"type": "text", "text": prompt.text})
        turns = [{"role": "user", "content": content}]
        try:
            text: str = self._processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template may raise anything
            raise UsageError(
                f"the checkpoint's chat template cannot write a question ({one_line(error)}): give it another with "
                "python -m llavamed_trainer assemble"
            ) from error
        return text

    def _embedded(self, row: TokenizedPrompt) -> torch.Tensor:
        """[tokens, hidden]: token embeddings, with the image's features in the place of its token."""
        ids = torch.tensor(row.ids, device=self._device)
        embeddings: torch.Tensor = self._model.get_input_embeddings()(ids)
        if row.prompt.image is None:
            return embeddings
        place = row.ids.index(self._image_id)
        features = self._image_features(row.prompt.image).to(embeddings.dtype)
        return torch.cat([embeddings[:place], features, embeddings[place + 1 :]])

    def _image_features(self, digest: str) -> torch.Tensor:
        """[tokens, hidden]; each image goes through the vision tower alone, so its features depend on nothing else."""
        if digest in self._features:
            self._features.move_to_end(digest)
            return self._features[digest]
        pixels = (self._reading.pop(digest, None) or self._reader.submit(self._read, digest)).result()
        found: torch.Tensor = self._model.get_image_features(
            torch.from_numpy(pixels).to(self._device, self._model.dtype)
        ).pooler_output[0]
        self._features[digest] = found
        self._feature_bytes += found.nbytes
        while self._feature_bytes > _MAX_FEATURE_BYTES and len(self._features) > 1:
            self._feature_bytes -= self._features.popitem(last=False)[1].nbytes
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
        for row, each in enumerate(embedded):
            inputs[row, longest - len(each) :] = each
            mask[row, longest - len(each) :] = 1
        tokens: torch.Tensor = self._model.generate(
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
        return tokens
