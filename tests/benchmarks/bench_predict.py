"""Predictions in batches against one by one: 451 questions of VQA-RAD's test size on tiny models.

Run: `python -m tests.benchmarks.bench_predict [--benchmark llava-med/vqa-rad] [--models llava qwen2.5-vl smolvlm]`.
Both ways load the same checkpoint once, before the clock starts, decode greedily and give the same answers. One by one
is what the libraries' documentation shows: template and processor, `generate`, decode for each row.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Image as Picture
from datasets import List, load_dataset
from transformers import AutoProcessor

from llavamed_trainer.evaluation.predict import QuestionPrompt
from llavamed_trainer.evaluation.predict.generation import Answerer
from llavamed_trainer.evaluation.predict.local import load_checkpoint
from llavamed_trainer.evaluation.questions import QuestionSet, load_questions
from tests.benchmarks.side_by_side import medians, show
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set
from tests.llavamed_trainer.tiny_models import write_tiny_model

QUESTIONS, IMAGES = 451, 203
WORDS = ("is", "there", "a", "fracture", "in", "the", "left", "lung", "or", "an", "effusion", "near", "heart")

LARGER_IMAGES: dict[str, dict[str, Any]] = {
    "qwen2.5-vl": {"min_pixels": 28 * 28 * 16, "max_pixels": 28 * 28 * 256},
    "smolvlm": {"size": {"longest_edge": 256}},
}
"""Settings of the image processors with which images take about as many tokens as LLaVA's."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--benchmark", help="the folder of a built set; drawn rows of the same number by default"
    )
    parser.add_argument("--models", nargs="+", default=["llava", "qwen2.5-vl", "smolvlm"])
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        name = args.benchmark or str(draw(Path(temporary) / "drawn"))
        questions = load_questions(name)
        for kind in args.models:
            folder = write_tiny_model(
                kind, Path(temporary) / kind, [question.text for question in questions.questions]
            )
            if kind in LARGER_IMAGES:
                processor: Any = AutoProcessor.from_pretrained(folder)
                processor.image_processor = type(processor.image_processor)(
                    **{**processor.image_processor.to_dict(), **LARGER_IMAGES[kind]}
                )
                processor.save_pretrained(folder)
            compare(kind, folder, name, questions, args)


def compare(kind: str, folder: Path, name: str, questions: QuestionSet, args: argparse.Namespace) -> None:
    """Times both ways on one model, and says how many answers are equal."""
    model, processor = load_checkpoint(str(folder), torch.device("cpu"))
    rows = load_dataset(name, split="test").cast_column("images", List(Picture(decode=True)))
    answers: dict[str, list[str]] = {}

    def alone() -> None:
        answers["one by one"] = one_by_one(model, processor, rows, args.new_tokens)

    def batched(size: int) -> None:
        answers[f"batches of {size}"] = in_batches(model, processor, questions, size, args.new_tokens)

    ways = {"one by one": alone}
    ways |= {f"batches of {size}": lambda size=size: batched(size) for size in args.batch_size}  # type: ignore[misc]
    times = medians(ways, rounds=args.rounds)
    show(
        f"{kind}: {len(questions.questions)} questions, {args.new_tokens} new tokens at most, one thread",
        times,
        amount=len(questions.questions),
        unit="questions",
        ours=f"batches of {args.batch_size[0]}",
    )
    same = {
        way: sum(ours == theirs for ours, theirs in zip(found, answers["one by one"], strict=True))
        for way, found in answers.items()
    }
    print(f"answers equal to one by one: {same}")


def one_by_one(model: Any, processor: Any, rows: Any, new_tokens: int) -> list[str]:
    """The way of the libraries' documentation."""
    answers = []
    for row in rows:
        content = [
            {"type": "image", "image": row["images"][0].convert("RGB")},
            {"type": "text", "text": row["messages"][0]["content"][1]["text"]},
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=new_tokens)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        answers.append(processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    return answers


def in_batches(model: Any, processor: Any, questions: QuestionSet, size: int, new_tokens: int) -> list[str]:
    """The way of `predict`."""
    images = questions.images
    assert images is not None
    digests = images.digests()
    ids = {found[0]: identity for identity, found in digests.items()}
    answerer = Answerer(model, processor, lambda digest: images.read(ids[digest]), max_new_tokens=new_tokens)
    prompts = [
        QuestionPrompt(question, question.text, "plain", digests[question.id])
        for question in questions.questions
    ]
    answers: dict[str, str] = {}
    for _, batch in answerer.answers(answerer.batches(prompts, size)):
        answers |= batch.answers
    return [answers[question.id] for question in questions.questions]


def draw(folder: Path) -> Path:
    """Draws as many questions and images as VQA-RAD's test split has."""
    rows = [
        make_row(
            f"q{number}",
            " ".join(WORDS[(number * 7 + place) % len(WORDS)] for place in range(4 + number % 15)) + "?",
            "no",
            drawn(number % IMAGES),
            answer_type="OPEN",
            question_type=None,
            language="en",
        )
        for number in range(QUESTIONS)
    ]
    return make_set(folder, "vqa", rows)


if __name__ == "__main__":
    main()
