"""Evaluates a model on a benchmark: predicts its answers and scores them as the paper's authors do.

    pip install -e ".[train]"
    python examples/evaluate.py                                      # LLaVA 1.5 7B on a small benchmark made here
    python examples/evaluate.py --model runs/finetune-vqa-rad --vqa-rad /data/vqa_rad

`--vqa-rad` names the folder with the files of VQA-RAD as its authors published them. Without it, the script makes a
small benchmark: an open and a closed question about each figure of the bundled sample corpus. That also shows the form
of a benchmark of your own, which is a dataset with one question a row and a column `answer_type`.

A model of 7 billion parameters needs a GPU: its weights alone take 14 GB. To try the script on any machine, take a tiny
random model:

    python -m llavamed_data build 60k-im
    python -m llavamed_trainer assemble models/tiny --tiny
    python examples/evaluate.py --model models/tiny

The answers are in `predictions/`. If it is stopped, run it again: it asks only the questions that are left. `--replace`
overwrites the answers of a model that had the same name and was trained anew.
"""

import argparse
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value, load_dataset

from llavamed_data import BuildOptions, build
from llavamed_trainer import PredictOptions, load_questions, predict, score_predictions
from llavamed_trainer.evaluation.questions import read_answers
from llavamed_trainer.evaluation.scoring import METRICS, Scores

KINDS = {
    "chest_xray": "an X-ray",
    "mri": "an MRI",
    "histology": "a micrograph",
    "gross": "a photograph",
    "ct_scan": "a CT",
}
"""Domain of a figure → what kind of image it is."""


def write_benchmark(rows: Dataset, folder: Path) -> str:
    """Writes two questions about the image of each row as a dataset, and returns the name of its folder."""
    kinds = list(KINDS.values())
    questions = []
    for number, row in enumerate(rows.cast_column("images", List(Image(decode=False)))):
        kind = KINDS[row["domain"]]
        other = kinds[(kinds.index(kind) + 1) % len(kinds)]
        closed = (f"Is this {kind}?", "yes") if number % 2 else (f"Is this {other}?", "no")
        for answer_type, (question, answer) in {
            "OPEN": ("What kind of image is this?", kind.split()[1]),
            "CLOSED": closed,
        }.items():
            user = [{"type": "image", "text": None}, {"type": "text", "text": question}]
            questions.append(
                {
                    "id": f"{row['id']}-{answer_type.lower()}",
                    "images": row["images"],
                    "messages": [
                        {"role": "user", "content": user},
                        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
                    ],
                    "answer_type": answer_type,
                }
            )
    columns = {name: rows.features[name] for name in ("id", "images", "messages")}
    dataset = Dataset.from_list(questions, Features({**columns, "answer_type": Value("string")}))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    dataset.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return str(folder)


def evaluate(model: str, benchmark: str, *, replace: bool = False) -> Scores:
    """Predicts the answers of a model to a benchmark, prints the first four, and returns the scores of all."""
    answers = Path("predictions") / f"{Path(benchmark).name}-{Path(model).name}.jsonl"
    report = predict(answers, PredictOptions(model, benchmark, max_new_tokens=64, replace=replace))
    assert report is not None
    print(f"{report.answered} of {report.questions} questions answered, in {answers}")

    [answered] = read_answers(answers, load_questions(benchmark))
    for each in answered.predictions[:4]:
        print(
            f"  {each.question.text}\n    right answer: {each.question.reference}\n    {model}: {each.answer}"
        )

    [scores] = score_predictions(answers, benchmark)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="llava-hf/llava-1.5-7b-hf", help="a LLaVA: folder or name on the Hub"
    )
    parser.add_argument("--vqa-rad", metavar="FOLDER", help="the original files of VQA-RAD")
    parser.add_argument("--replace", action="store_true", help="overwrite the answers of another run")
    options = parser.parse_args()

    if options.vqa_rad:
        build(["vqa-rad"], BuildOptions(source=options.vqa_rad))
        benchmark = "llava-med/vqa-rad"
    else:
        build(["60k-im"])
        benchmark = write_benchmark(load_dataset("llava-med/60k-im", split="train"), Path("small-vqa"))
    scores = evaluate(options.model, benchmark, replace=options.replace)
    for metric in METRICS:
        if found := scores.overall.get(metric.name):
            interval = f"{found.low:.2f} – {found.high:.2f}"
            print(
                f"{metric.family:6} {metric.label:25} {found.value:6.2f} %  ({interval}, {found.count} answers)"
            )


# The guard is needed: articles are read by processes that import this file, and must not build in their turn.
if __name__ == "__main__":
    main()
