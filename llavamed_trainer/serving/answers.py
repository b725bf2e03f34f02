"""Loads a model with stock transformers, lets it answer, and sees whether a saved copy gives the same answers."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_data.errors import one_line
from llavamed_trainer.serving.report import ServingCheck

LOADS = "stock transformers loads it, with all weights and no others"
SAME_ANSWERS = "it answers the same after it is saved and loaded again"

_NEW_TOKENS = 16
_QUESTIONS = ("What does the image show?", "What is a cyst?")


def check_loading(folder: Path) -> tuple[Any, ServingCheck]:
    """Loads a model in the data type that it is stored in.

    Returns:
        The model, None if it cannot be loaded, and the check.
    """
    way_out = "copy the model anew, or train or merge it again"
    auto: Any = AutoModelForImageTextToText
    try:
        model, found = auto.from_pretrained(folder, output_loading_info=True)
    except (MemoryError, torch.OutOfMemoryError) as error:
        finding = f"it does not fit into memory ({one_line(error, 80)})"
        return None, ServingCheck(LOADS, "not tried", finding, "check it on a larger machine")
    except Exception as error:  # libraries raise anything on files that are damaged
        return None, ServingCheck(LOADS, "wrong", f"{type(error).__name__}: {one_line(error, 120)}", way_out)
    faults = [
        f"{len(names)} {word} ({sorted(map(str, names))[0]}, …)"
        for word, names in (
            ("missing, filled with random numbers", found["missing_keys"]),
            ("unknown, left out", found["unexpected_keys"]),
            ("of another shape", found["mismatched_keys"]),
        )
        if names
    ]
    if faults:
        return model, ServingCheck(LOADS, "wrong", f"weights: {'; '.join(faults)}", way_out)
    kinds = sorted({str(each.dtype).removeprefix("torch.") for each in model.parameters()})
    return model, ServingCheck(LOADS, "ok", f"{type(model).__name__}, {' and '.join(kinds)}")


def check_answers(model: Any, processor: Any) -> ServingCheck:
    """Compares greedy answers, and the logits of every token in them, before saving and after loading again.

    Args:
        model: as it was loaded; it is changed in nothing.
        processor: of the model.
    """
    size = sum(each.nbytes for each in model.parameters())
    place = Path(tempfile.gettempdir())
    if shutil.disk_usage(place).free < 1.1 * size:
        finding = f"a copy of {size / 1e9:.1f} GB does not fit into {place}"
        return ServingCheck(SAME_ANSWERS, "not tried", finding, "set TMPDIR to a folder with more space")
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    auto: Any = AutoModelForImageTextToText
    auto_processor: Any = AutoProcessor
    try:
        before, logits = _answers(model.to(device).eval(), processor)
        with tempfile.TemporaryDirectory(prefix="llavamed-check-") as copy:
            model.save_pretrained(copy)
            processor.save_pretrained(copy)
            again = auto.from_pretrained(copy).to(device).eval()
            after, new_logits = _answers(again, auto_processor.from_pretrained(copy))
    except Exception as error:  # of any model's and processor's own code, and of the libraries that write
        finding = f"it cannot be saved, or cannot answer: {type(error).__name__}: {one_line(error, 120)}"
        return ServingCheck(SAME_ANSWERS, "wrong", finding, "save it with stock transformers where it loads")
    if before != after:
        finding = f"it answered {before[0]!r}, then {after[0]!r}"
        return ServingCheck(
            SAME_ANSWERS, "wrong", finding, "weights are lost when it is saved: do not serve it"
        )
    largest = max(float((a - b).abs().max()) for a, b in zip(logits, new_logits, strict=True))
    tokens = sum(len(each) for each in logits)
    difference = "to the bit" if largest == 0 else f"within {largest:.1e}"
    return ServingCheck(SAME_ANSWERS, "ok", f"2 questions, {tokens} tokens, logits equal {difference}")


@torch.inference_mode()
def _answers(model: Any, processor: Any) -> tuple[list[str], list[torch.Tensor]]:
    """The answers to a question with an image and to one without, and the logits [tokens, vocabulary] of each."""
    texts, logits = [], []
    for question, image in zip(_QUESTIONS, (_drawing(), None), strict=True):
        content: list[dict[str, Any]] = [{"type": "image"}] if image else []
        content.append({"type": "text", "text": question})
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        first = processor.tokenizer.bos_token
        inputs = processor(
            text=[prompt],
            images=[[image]] if image else None,
            add_special_tokens=not (first and prompt.startswith(first)),
            return_tensors="pt",
        ).to(model.device, model.dtype)
        made = model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=_NEW_TOKENS,
            output_logits=True,
            return_dict_in_generate=True,
        )
        new = made.sequences[0, inputs["input_ids"].shape[1] :]
        texts.append(processor.tokenizer.decode(new, skip_special_tokens=True))
        logits.append(torch.cat(made.logits).float().cpu())
    return texts, logits


def _drawing() -> Image.Image:
    image = Image.new("RGB", (96, 80), "black")
    ImageDraw.Draw(image).ellipse((20, 15, 70, 65), fill="white")
    return image
