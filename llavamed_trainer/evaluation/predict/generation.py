"""Greedy answers by `generate`, in batches of similar length; the next batch is read while one is answered."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

import torch
from transformers import LlavaProcessor

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.collate import learnt_end_ids
from llavamed_trainer.evaluation.predict.inputs import GenerateInputs, PromptBatch, PromptInputs
from llavamed_trainer.evaluation.predict.llava_inputs import LlavaInputs
from llavamed_trainer.evaluation.predict.options import QuestionPrompt
from llavamed_trainer.evaluation.predict.processor_inputs import ProcessorInputs
from llavamed_trainer.evaluation.questions import Unanswered
from llavamed_trainer.models import family_of
from llavamed_trainer.models.llava import LLAVA
from llavamed_trainer.models.stopping import stop_ids


@dataclass(frozen=True, slots=True)
class BatchAnswers:
    """The answers to one batch.

    Attributes:
        answers: question id → answer.
        truncated: ids of answers that were cut off at the longest answer allowed.
        unreadable: question id → why its images cannot be read; it has no answer.
    """

    answers: dict[str, str] = field(default_factory=dict)
    truncated: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)


class Answerer:
    """Answers prompts with a checkpoint, greedily.

    An answer ends at a token that the generation configuration stops at, at the tokenizer's end of text, or at a token
    with which the chat template ends answers.

    Args:
        model: a vision–language model of transformers, in evaluation mode on its device.
        processor: its processor.
        image_bytes: reads the bytes of an image by their SHA-256.
        max_new_tokens: longest answer, in tokens.

    Attributes:
        unusable: question id → why its prompt cannot be asked; `batches` finds them, and leaves them out.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        image_bytes: Callable[[str], bytes],
        *,
        max_new_tokens: int = 1024,
    ) -> None:
        self._model, self._max_new_tokens = model, max_new_tokens
        fast = isinstance(processor, LlavaProcessor) and family_of(model) is LLAVA
        kind = LlavaInputs if fast else ProcessorInputs
        self._inputs: PromptInputs = kind(model, processor, image_bytes)
        tokenizer = processor.tokenizer
        self._stops = stop_tokens(model, processor)
        self._pad = next(each for each in (tokenizer.pad_token_id, *self._stops, 0) if each is not None)
        # a tokenizer serves one thread at a time, and the reader has the processor's
        self._tokenizer = copy.deepcopy(tokenizer)
        self._reader = ThreadPoolExecutor(1, "read-prompts")
        self.unusable: dict[str, Unanswered] = {}

    def batches(self, prompts: Sequence[QuestionPrompt], size: int) -> list[PromptBatch]:
        """All prompts in batches of similar length; the same prompts and size give the same batches.

        The longest come first, so that what does not fit into memory fails at once.

        Raises:
            LlavaMedError: the chat template leaves images out, or adds some.
        """
        rendered, self.unusable = self._inputs.render(prompts)
        rendered.sort(key=lambda row: (row.apart, -row.length, row.prompt.images, row.prompt.question.id))
        batches = list[PromptBatch]()
        for _, group in groupby(rendered, key=lambda row: row.apart):
            rows = list(group)
            batches += [rows[start : start + size] for start in range(0, len(rows), size)]
        return batches

    def answers(self, batches: Sequence[PromptBatch]) -> Iterator[tuple[PromptBatch, BatchAnswers]]:
        """Each batch with its answers; while one is answered, the next is read in a thread.

        Raises:
            LlavaMedError: a batch does not fit into memory.
        """
        reading: Future[Any] | None = None
        for batch, following in zip_longest(batches, batches[1:]):
            read = reading.result() if reading else self._inputs.read(batch)
            try:
                inputs = self._inputs.make(read)
                reading = self._reader.submit(self._inputs.read, following) if following else None
                answered = self._answer(inputs)
            except torch.OutOfMemoryError as error:
                raise LlavaMedError(
                    f"a batch of {len(batch)} does not fit into memory: rerun the same command with a smaller "
                    "--batch-size; what was answered is kept"
                ) from error
            yield batch, answered

    @torch.inference_mode()
    def _answer(self, inputs: GenerateInputs) -> BatchAnswers:
        answered = BatchAnswers(unreadable=inputs.unreadable)
        if not inputs.rows:
            return answered
        tokens: torch.Tensor = self._model.generate(
            **inputs.arguments,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=self._max_new_tokens,
            eos_token_id=self._stops or None,
            pad_token_id=self._pad,
        )
        if "input_ids" in inputs.arguments:  # then the prompt comes before the answer
            tokens = tokens[:, inputs.arguments["input_ids"].shape[1] :]
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for row, text, ids in zip(inputs.rows, texts, tokens.tolist(), strict=True):
            answered.answers[row.prompt.question.id] = text.strip()
            if len(ids) >= self._max_new_tokens and not set(self._stops) & set(ids):
                answered.truncated.add(row.prompt.question.id)
        return answered


def stop_tokens(model: Any, processor: Any) -> list[int]:
    """The tokens at which an answer ends: those of the generation configuration, the tokenizer and the template."""
    stated = stop_ids(model.generation_config.eos_token_id)
    return sorted({*stated, processor.tokenizer.eos_token_id, *learnt_end_ids(processor)} - {None})
