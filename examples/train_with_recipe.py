"""Trains a LLaVA with a recipe of this package from Python, then asks it about a figure.

    pip install -e ".[train]"
    python -m llavamed_data build 60k-im
    python examples/train_with_recipe.py

It runs the paper's second stage (section 4) on LLaVA 1.5 7B, with LoRA on the language model. By calculation that takes
39 GB on one GPU; for another model or GPU, calculate it anew:

    python -m llavamed_trainer plan --config stage2-60k-im --gpus 1 --model llava-hf/llava-1.5-7b-hf --lora 64

Every flag of `python -m llavamed_trainer train` can be added, and wins over what this script states:

    python examples/train_with_recipe.py --model_name_or_path llava-hf/llava-1.5-13b-hf --output_dir runs/13b

To try it on any machine, train a tiny random model, whole; it learns the sample's 38 rows by heart, and nothing else:

    python -m llavamed_trainer assemble models/tiny --tiny
    python examples/train_with_recipe.py --model_name_or_path models/tiny --use_peft false --learning_rate 1e-2 \
        --num_train_epochs 15 --global_batch_size 4 --per_device_train_batch_size 4

If it is killed, run it again: it goes on from its last checkpoint.
"""

import sys
from collections.abc import Sequence

import torch
from datasets import load_dataset
from PIL.Image import Image

from llavamed_trainer import load_llava, parse_settings, run_training


def main(flags: Sequence[str]) -> None:
    settings = parse_settings(
        [
            *("--config", "stage2-60k-im"),
            *("--model_name_or_path", "llava-hf/llava-1.5-7b-hf", "--template", "vicuna_v1"),
            *("--use_peft", "--lora_r", "64", "--lora_alpha", "128", "--learning_rate", "2e-4"),
            *("--output_dir", "runs/from-python"),
            *flags,
        ]
    )
    report = run_training(settings)
    if report.first_loss and report.last_loss:  # a run of few training steps logs none
        print(f"loss {report.first_loss:.2f} → {report.last_loss:.2f}")
    print(f"rows not used: {report.bad_rows or 'none'}")

    row = load_dataset(settings.arguments.dataset, split="train")[0]
    question, right_answer = (turn["content"][-1]["text"] for turn in row["messages"][:2])
    print(f"{question}\n  in the dataset: {right_answer}")
    print(f"  the model:      {ask(str(report.folder), row['images'][0], question)}")


def ask(checkpoint: str, image: Image, question: str) -> str:
    """Returns a model's answer to a question about an image."""
    # An adapter is merged into the model that it was trained on; what GPUs have room for is put there.
    model, processor = load_llava(checkpoint, dtype="auto", device_map="auto")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=image, text=prompt, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens=64, do_sample=False)[0]
    answer: str = processor.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return answer.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
