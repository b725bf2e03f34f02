"""Answers on this machine: a checkpoint and `generate`, shared out over the processes of `accelerate launch`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState  # type: ignore[import-untyped]

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.predict.generation import Answerer
from llavamed_trainer.evaluation.predict.options import PredictedAnswers, PredictOptions, QuestionPrompt
from llavamed_trainer.evaluation.predict.parts import AnswerParts
from llavamed_trainer.evaluation.predict.substitutes import ImageSource
from llavamed_trainer.evaluation.questions import Unanswered
from llavamed_trainer.models import load_model

_SAMPLE_BYTES = 1 << 20
_WEIGHTS = (".safetensors", ".bin")


def answer_locally(
    out: Path,
    options: PredictOptions,
    prompts: Sequence[QuestionPrompt],
    images: ImageSource,
    run_key: str,
    on_progress: ProgressCallback | None,
) -> PredictedAnswers | None:
    """Answers the prompts with a checkpoint; under `accelerate launch`, this process's share of them.

    Batches are the same whatever was answered before and however many processes share them, so a run that goes on
    gives the answers of one that was never stopped.

    Returns:
        The answers of all processes; None in processes other than the first.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    parts = AnswerParts(out, run_key, state.process_index)
    if options.replace and state.is_main_process:
        parts.remove()
    state.wait_for_everyone()
    parts.read()
    found = PredictedAnswers(reused=len(parts.answers))
    state.wait_for_everyone()
    if any(prompt.question.id not in parts.answers for prompt in prompts):
        places = {
            digest: (prompt.question.id, number)
            for prompt in prompts
            for number, digest in enumerate(prompt.images)
        }
        answerer = Answerer(
            *load_checkpoint(options.model, state.device, options.dtype),
            lambda digest: images.read(*places[digest]),
            max_new_tokens=options.max_new_tokens,
        )
        share = answerer.batches(prompts, options.batch_size)[state.process_index :: state.num_processes]
        found.unanswered.update(answerer.unusable)
        parts.open()  # not before: a model that cannot be loaded leaves nothing in the way of another
        left = [batch for batch in share if any(row.prompt.question.id not in parts.answers for row in batch)]
        total = sum(len(batch) for batch in share)
        done = total - sum(len(batch) for batch in left)
        for batch, answered in answerer.answers(left):
            parts.add(answered.answers, answered.truncated)
            for identity, reason in answered.unreadable.items():
                found.unanswered[identity] = Unanswered(identity, "image unreadable", reason)
            done += len(batch)
            if on_progress:
                on_progress("answer", done, total)
    state.wait_for_everyone()
    if not state.is_main_process:
        return None
    parts.read()
    found.answers, found.truncated = parts.answers, parts.truncated
    for prompt in prompts:
        identity = prompt.question.id
        if identity not in found.answers and identity not in found.unanswered:  # seen by another process
            found.unanswered[identity] = Unanswered(identity, "image unreadable", "")
    return found


def load_checkpoint(name: str, device: torch.device, dtype: str = "auto") -> tuple[Any, Any]:
    """The model, in evaluation mode on its device, and its processor; an adapter is merged into its base.

    Args:
        name: a checkpoint of a vision–language model or a LoRA adapter, a folder or a name on the Hub.
        device: the device to put the model on.
        dtype: data type of the weights: `auto` (bfloat16 on a GPU, float32 elsewhere), or a name of torch's.

    Raises:
        UsageError: as `load_model`; the checkpoint has no chat template, or the data type is unknown.
    """
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    weights = getattr(torch, dtype, None)
    if not isinstance(weights, torch.dtype) or not weights.is_floating_point:
        raise UsageError(f"--dtype {dtype} is unknown: choose from auto, float32, bfloat16, float16")
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model, processor = load_model(name, dtype=weights)
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    if not processor.chat_template:
        raise UsageError(
            f"{name} has no chat template: put the chat_template.jinja of the model that it was made of beside it, or "
            "train it with --template"
        )
    return model.to(device).eval(), processor


def checkpoint_identity(name: str) -> str:
    """A hash that tells checkpoints of the same name apart: file names, sizes, and samples of the weights.

    A name on the Hub stands for itself.
    """
    folder = Path(name)
    digest = hashlib.sha256(b"" if folder.is_dir() else name.encode())
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix not in (".json", ".jinja", ".model", *_WEIGHTS):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            if size > 2 * _SAMPLE_BYTES:
                file.seek(size - _SAMPLE_BYTES)
                digest.update(file.read())
    return digest.hexdigest()
