"""Inputs for any vision–language model: its processor makes token ids and pixel values, in one call for a batch."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from PIL import Image

from llavamed_data.errors import LlavaMedError, one_line
from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason
from llavamed_trainer.collate.pixels import image_size, read_image
from llavamed_trainer.collate.processor_batches import check_processor, image_tokens_of
from llavamed_trainer.evaluation.predict.inputs import (
    GenerateInputs,
    PromptBatch,
    ReadImage,
    RenderedPrompt,
    adds_first_token,
    render,
)
from llavamed_trainer.evaluation.predict.options import QuestionPrompt
from llavamed_trainer.evaluation.questions import Unanswered

_Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

_Row: TypeAlias = tuple[RenderedPrompt, list[Image.Image]]


class ProcessorInputs:
    """Token ids, padded on the left, and all else that a processor returns for a batch.

    Prompts without images are answered in batches of their own: some processors do not take them beside others.

    Args:
        model: on its device.
        processor: its processor.
        image_bytes: reads an image.
    """

    def __init__(self, model: Any, processor: Any, image_bytes: ReadImage) -> None:
        check_processor(processor)
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.unk_token or processor.tokenizer.eos_token
        self._processor, self._device, self._dtype = processor, model.device, model.dtype
        self._image_bytes = image_bytes
        self._image_tokens: dict[tuple[_Size, ...], int] = {(): 0}

    def render(self, prompts: Sequence[QuestionPrompt]) -> tuple[list[RenderedPrompt], dict[str, Unanswered]]:
        """Renders the prompts, and tells which questions cannot be asked; of their images the sizes alone are read.

        Raises:
            LlavaMedError: the chat template leaves images out, or adds some.
        """
        rendered, refused = render(self._processor, prompts, image_tokens_of(self._processor))
        sizes: dict[str, _Size | BadRowError] = {}
        rows = []
        for prompt, text, ids in rendered:
            try:
                tokens = self._count_image_tokens(tuple(self._size(each, sizes) for each in prompt.images))
            except BadRowError as error:
                detail = f"{error.reason.value}: {error.detail}"
                refused[prompt.question.id] = Unanswered(
                    prompt.question.id, BadRowReason.IMAGE_UNREADABLE.value, detail
                )
                continue
            rows.append(RenderedPrompt(prompt, text, ids, len(ids) + tokens, apart=not prompt.images))
        return rows, refused

    def read(self, batch: PromptBatch) -> GenerateInputs:
        """Reads the images of a batch, and calls the processor.

        Raises:
            LlavaMedError: the processor takes each prompt by itself, but not all together.
        """
        images: dict[str, Image.Image | BadRowError] = {}
        rows, unreadable = list[_Row](), dict[str, str]()
        for row in batch:
            try:
                rows.append((row, [self._image(digest, images) for digest in row.prompt.images]))
            except BadRowError as error:
                unreadable[row.prompt.question.id] = f"{error.reason.value}: {error.detail}"
        try:
            arguments = self._call(rows) if rows else {}
        except MemoryError:
            raise
        except Exception as error:  # processors raise what they like on an image that they do not take
            alone = {row.prompt.question.id: self._refusal((row, each)) for row, each in rows}
            told = {identity: reason for identity, reason in alone.items() if reason}
            if not told:
                raise LlavaMedError(
                    f"{type(self._processor).__name__} takes each of {len(rows)} prompts, but not all of them in one "
                    f"batch ({one_line(error, 200)}): rerun the same command with --batch-size 1"
                ) from error
            unreadable |= told
            rows = [(row, each) for row, each in rows if row.prompt.question.id not in told]
            arguments = self._call(rows) if rows else {}
        return GenerateInputs([row for row, _ in rows], arguments, unreadable)

    def make(self, read: GenerateInputs) -> GenerateInputs:
        """Brings the tensors of a batch to the model's device, and pixel values to its data type."""
        arguments = {
            name: value.to(self._device, self._dtype if value.is_floating_point() else None)
            for name, value in read.arguments.items()
        }
        return GenerateInputs(read.rows, arguments, read.unreadable)

    def _call(self, rows: Sequence[_Row]) -> dict[str, torch.Tensor]:
        texts, images = [row.text for row, _ in rows], [each for _, each in rows]
        made: dict[str, Any] = self._processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            add_special_tokens=adds_first_token(self._processor, texts[0]),
            return_tensors="pt",
        )
        return {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}

    def _refusal(self, row: _Row) -> str | None:
        """Why the processor does not take a prompt by itself; None if it does."""
        try:
            self._call([row])
        except MemoryError:
            raise
        except Exception as error:  # as in `read`
            return self._not_taken(error)
        return None

    def _not_taken(self, error: Exception) -> str:
        return f"{type(self._processor).__name__} does not take it: {one_line(error, 200)}"

    def _size(self, digest: str, sizes: dict[str, _Size | BadRowError]) -> _Size:
        if digest not in sizes:
            try:
                sizes[digest] = image_size(self._image_bytes(digest))
            except BadRowError as error:
                sizes[digest] = error
        found = sizes[digest]
        if isinstance(found, BadRowError):
            raise found
        return found

    def _image(self, digest: str, images: dict[str, Image.Image | BadRowError]) -> Image.Image:
        if digest not in images:
            try:
                images[digest] = read_image(self._image_bytes(digest))
            except BadRowError as error:
                images[digest] = error
        found = images[digest]
        if isinstance(found, BadRowError):
            raise found
        return found

    def _count_image_tokens(self, sizes: tuple[_Size, ...]) -> int:
        """The number of tokens that images take; a processor that does not say is called with grey images."""
        if sizes not in self._image_tokens:
            try:
                if hasattr(self._processor, "_get_num_multimodal_tokens"):
                    turned = [(height, width) for width, height in sizes]
                    counted = self._processor._get_num_multimodal_tokens(image_sizes=turned)
                    self._image_tokens[sizes] = sum(counted["num_image_tokens"])
                else:
                    grey = [Image.new("RGB", size, "grey") for size in sizes]
                    text = self._processor.image_token * len(sizes)
                    made = self._processor(text=[text], images=[grey], return_tensors="pt")
                    self._image_tokens[sizes] = made["input_ids"].shape[1]
            except MemoryError:
                raise
            except Exception as error:  # as in `read`
                raise BadRowError(BadRowReason.IMAGE_UNREADABLE, self._not_taken(error)) from error
        return self._image_tokens[sizes]
