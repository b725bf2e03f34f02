"""Prompts as a chat template renders them, and what `generate` is given for a batch of them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate.bad_rows import BadRowReason
from llavamed_trainer.evaluation.predict.options import QuestionPrompt
from llavamed_trainer.evaluation.questions import Unanswered

ReadImage: TypeAlias = Callable[[str], bytes]
"""Reads the bytes of an image by their SHA-256."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt in the words of the chat template.

    Attributes:
        prompt: the question and its images.
        text: the text, with one token for each image.
        ids: its token ids, with one token for each image.
        length: the number of tokens by which prompts of similar length are found.
        apart: whether it is answered in batches of its own kind, after the others.
    """

    prompt: QuestionPrompt
    text: str
    ids: tuple[int, ...]
    length: int
    apart: bool = False


PromptBatch: TypeAlias = list[RenderedPrompt]
"""Prompts that are answered together."""


@dataclass(frozen=True, slots=True)
class GenerateInputs:
    """What `generate` is given for a batch.

    Attributes:
        rows: the prompts, in the order of the rows of the arguments.
        arguments: the tensors, each with a row for each prompt or a value for each image.
        unreadable: question id → why its images cannot be read; it is in no row.
    """

    rows: PromptBatch
    arguments: dict[str, Any]
    unreadable: dict[str, str]


class PromptInputs(Protocol):
    """Makes what `generate` is given."""

    def render(self, prompts: Sequence[QuestionPrompt]) -> tuple[list[RenderedPrompt], dict[str, Unanswered]]:
        """Renders the prompts, and tells which questions cannot be asked.

        Raises:
            LlavaMedError: the chat template leaves images out, or adds some.
        """

    def read(self, batch: PromptBatch) -> Any:
        """Reads the images of a batch: the part of the work that is done in a thread."""

    def make(self, read: Any) -> GenerateInputs:
        """Makes what `generate` is given from what `read` returned."""


def render(
    processor: Any, prompts: Sequence[QuestionPrompt], reserved: Collection[str]
) -> tuple[list[tuple[QuestionPrompt, str, tuple[int, ...]]], dict[str, Unanswered]]:
    """Renders prompts with the chat template, each image before the question.

    Args:
        processor: of the model.
        prompts: the prompts.
        reserved: tokens that no question may contain, those that stand for images.

    Returns:
        Each prompt with its text and token ids; and the questions that cannot be asked.

    Raises:
        LlavaMedError: the chat template leaves images out, or adds some.
        UsageError: the chat template cannot write a question.
    """
    refused = dict[str, Unanswered]()
    usable, texts = list[QuestionPrompt](), list[str]()
    for prompt in prompts:
        if written := [token for token in reserved if token in prompt.text]:
            reason = BadRowReason.IMAGE_TOKEN_IN_TEXT.value
            detail = f"{written[0]} is written in the question"
            refused[prompt.question.id] = Unanswered(prompt.question.id, reason, detail)
            continue
        content = [{"type": "image"} for _ in prompt.images] + [{"type": "text", "text": prompt.text}]
        turns = [{"role": "user", "content": content}]
        try:
            text: str = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template may raise anything
            raise UsageError(
                f"the checkpoint's chat template cannot write a question ({one_line(error)}): set another in "
                "chat_template.jinja"
            ) from error
        if (tokens := text.count(processor.image_token)) != len(prompt.images):
            raise LlavaMedError(
                f"the prompt of {prompt.question.id!r} has {tokens} image tokens for {len(prompt.images)} images "
                "after the chat template: use a checkpoint whose template puts one for each image"
            )
        usable.append(prompt)
        texts.append(text)
    if not usable:
        return [], refused
    ids = processor.tokenizer(texts, add_special_tokens=adds_first_token(processor, texts[0]), verbose=False)
    return list(zip(usable, texts, map(tuple, ids["input_ids"]), strict=True)), refused


def adds_first_token(processor: Any, text: str) -> bool:
    """Whether the tokenizer is to add its first token: unless the chat template has written it."""
    first = processor.tokenizer.bos_token
    return not (first and text.startswith(first))
