"""Scoring 6,761 answers (PathVQA's test split) beside nltk's sentence BLEU and the scoring as released.

    python -m tests.benchmarks.bench_scoring

The answers are those of the general LLaVA to VQA-RAD, repeated, where the real data is beside the checkout; drawn
words of like length elsewhere.
"""

import json
import random
import re
import warnings
from collections import defaultdict

from nltk.translate.bleu_score import sentence_bleu

from llavamed_trainer.evaluation.questions import AnswerSet, Prediction, Question, QuestionSet
from llavamed_trainer.evaluation.scoring import Resampling, score_closed, score_open
from llavamed_trainer.evaluation.scoring.scores import score_answers
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA

ROWS = 6761
DATA = SHARED_DATA
MARKS = [*';/[]"{}()=+\\_-><@`,?!']
NUMBERS = dict(
    zip(
        ["none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        ["0", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
        strict=True,
    )
)


def rows() -> list[tuple[str, str, str]]:
    """(answer type, answer, truth)."""
    if DATA.is_dir():
        truth = json.loads((DATA / "vqa_rad" / "testset.json").read_text())
        lines = (DATA / "predictions" / "vqa_rad_zero_shot_llava.jsonl").read_text().splitlines()
        real = [
            (row["answer_type"], json.loads(line)["text"], str(row["answer"]))
            for row, line in zip(truth, lines, strict=True)
        ]
    else:
        draw, words = random.Random(0), [f"word{number}" for number in range(300)]
        real = [
            (draw.choice(("OPEN", "CLOSED")), " ".join(draw.choices(words, k=40)), draw.choice(words))
            for _ in range(451)
        ]
    return [real[at % len(real)] for at in range(ROWS)]


def plain_normalise(text: str) -> str:
    text = text.lower()
    out = text
    for mark in MARKS:
        if mark + " " in text or " " + mark in text or re.search(r"(\d)(,)(\d)", text) is not None:
            out = out.replace(mark, "")
        else:
            out = out.replace(mark, " ")
    out = re.sub(r"\.(?!\d)", "", out)
    words = [NUMBERS.get(word, word) for word in out.split()]
    return " ".join(word for word in words if word not in ("a", "an", "the")).replace(",", "")


def plain_counts(text: str) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for word in text.lower().strip().split():
        counts[word] += 1
    return counts


def plain_f1(answer: str, truth: str) -> tuple[float, float, float]:
    said, right = plain_counts(plain_normalise(answer)), plain_counts(plain_normalise(truth))
    hits = wrong = missed = 0
    for word in set(said) | set(right):
        if word in said and word in right:
            hits += said[word]
        elif word in said:
            wrong += said[word]
        else:
            missed += right[word]
    if not hits:
        return 0, 0, 0
    precision, recall = hits / (hits + wrong), hits / (hits + missed)
    return 2 * precision * recall / (precision + recall), precision, recall


def plain_exact(answer: str, truth: str) -> float:
    said, right = plain_counts(answer), plain_counts(truth)
    total = sum(said.values())
    return sum(word in said for word in right) / total if total else 0


def as_released(data: list[tuple[str, str, str]]) -> None:
    """Strings normalised, then each metric by itself from the strings, sentence BLEU from nltk."""
    for kind, answer, truth in data:
        said, right = plain_normalise(answer), plain_normalise(truth)
        if kind == "OPEN":
            plain_exact(said, right)
            plain_f1(said, right)
            sentence_bleu([right.split()], said.split())
        else:
            _ = ("yes" in said or "no" in said) and right in said


def ours(data: list[tuple[str, str, str]]) -> None:
    for kind, answer, truth in data:
        if kind == "OPEN":
            score_open(answer, truth)
        else:
            score_closed(answer, truth)


def ours_with_intervals(data: list[tuple[str, str, str]]) -> None:
    questions = tuple(
        Question(str(number), "?", truth, "OPEN" if kind == "OPEN" else "CLOSED")
        for number, (kind, _, truth) in enumerate(data)
    )
    predictions = tuple(
        Prediction(question, "?", "plain", answer, "model")
        for question, (_, answer, _) in zip(questions, data, strict=True)
    )
    answers = AnswerSet("plain", "model", predictions, ())
    score_answers(answers, QuestionSet("path-vqa", "test", questions), Resampling())


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore")
    data = rows()
    seconds = medians(
        {
            "as released, nltk": lambda: as_released(data),
            "ours": lambda: ours(data),
            "ours, strict metrics and 2,000 draws too": lambda: ours_with_intervals(data),
        }
    )
    show(f"Scoring {ROWS:,} answers", seconds, amount=ROWS, unit="answers", ours="ours")


if __name__ == "__main__":
    main()
