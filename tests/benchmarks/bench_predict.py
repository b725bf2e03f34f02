"""Predictions in batches against one by one: 451 questions of VQA-RAD's test size on a tiny model.

Run: `python -m tests.benchmarks.bench_predict [--benchmark vqa-rad] [--new-tokens 64]`. Both ways load the same
checkpoint once, before the clock starts, decode greedily and give the same answers. One by one is what the
libraries' documentation shows: processor, `generate`, decode for each row.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Image as Picture
from datasets import List, load_dataset

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.evaluation.predict import QuestionPrompt
from llavamed_trainer.evaluation.predict.generation import Answerer
from llavamed_trainer.evaluation.predict.local import load_checkpoint
from llavamed_trainer.evaluation.questions import QuestionSet, load_questions
from tests.benchmarks.side_by_side import medians, show
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set

QUESTIONS, IMAGES = 451, 203
WORDS = ("is", "there", "a", "fracture", "in", "the", "left", "lung", "or", "an", "effusion", "near", "heart")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark", help="a set that is built; drawn rows of the same number by default")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        name = args.benchmark or str(draw(Path(temporary) / "drawn"))
        questions = load_questions(name)
        texts = [question.text for question in questions.questions]
        folder = assemble_tiny(Path(temporary) / "tiny", texts)
        model, processor = load_checkpoint(str(folder), torch.device("cpu"))
        rows = load_dataset(name, split="test").cast_column("images", List(Picture(decode=True)))
        answers: dict[str, list[str]] = {}

        def keep(way: str, answer: Callable[[], list[str]]) -> Callable[[], None]:
            def run() -> None:
                answers[way] = answer()

            return run

        ways = {
            "one by one": keep("one by one", lambda: one_by_one(model, processor, rows, args.new_tokens)),
            **{
                f"batches of {size}": keep(
                    f"batches of {size}",
                    lambda size=size: in_batches(model, processor, questions, size, args.new_tokens),  # type: ignore[misc]
                )
                for size in args.batch_size
            },
        }
        times = medians(ways, rounds=args.rounds)
    show(
        f"{len(questions.questions)} questions, {args.new_tokens} new tokens at most, one thread",
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
        content = [{"type": "image"}, {"type": "text", "text": row["messages"][0]["content"][1]["text"]}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = processor(
            text=text, images=[row["images"][0].convert("RGB")], return_tensors="pt", add_special_tokens=False
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
    ids = {digest: identity for identity, digest in digests.items()}
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
