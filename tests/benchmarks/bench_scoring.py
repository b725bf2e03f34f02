"""Scoring 6,761 answers (PathVQA's test split) beside nltk's sentence BLEU, the scoring as released, and MedEvalKit.

    python -m tests.benchmarks.bench_scoring [KITS] [--packages SITE_PACKAGES]

The answers are those of the general LLaVA to VQA-RAD, repeated, each with a number of its own behind it, where the real
data is beside the checkout; drawn words of like length elsewhere. KITS and SITE_PACKAGES are those of
`tests/benchmarks/compare_kits.py`; MedEvalKit's own code is timed only where they are named. Seconds are
processor time.
"""

import argparse
import json
import random
import re
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

from nltk.translate.bleu_score import sentence_bleu

from llavamed_trainer.evaluation.questions import AnswerSet, Prediction, Question, QuestionSet
from llavamed_trainer.evaluation.scorers import compare_scorers
from llavamed_trainer.evaluation.scorers.medevalkit import VQA_RULE
from llavamed_trainer.evaluation.scoring import Resampling, score_closed, score_open
from llavamed_trainer.evaluation.scoring.scores import score_answers
from tests.benchmarks.compare_kits import MedEvalKit
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA

ROWS = 6761
SCORERS = ("authors", "strict", "medevalkit", "lmms-eval-slake-rule", "vlmevalkit")
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
    repeated = (real[at % len(real)] for at in range(ROWS))
    return [(kind, f"{answer} {at}", truth) for at, (kind, answer, truth) in enumerate(repeated)]


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


def answer_set(data: list[tuple[str, str, str]]) -> tuple[AnswerSet, QuestionSet]:
    questions = tuple(
        Question(str(number), "?", truth, "OPEN" if kind == "OPEN" else "CLOSED")
        for number, (kind, _, truth) in enumerate(data)
    )
    predictions = tuple(
        Prediction(question, "?", "plain", answer, "model")
        for question, (_, answer, _) in zip(questions, data, strict=True)
    )
    return AnswerSet("plain", "model", predictions, ()), QuestionSet("path-vqa", "test", questions)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kits", type=Path, nargs="?")
    parser.add_argument("--packages", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    data = rows()
    answers, questions = answer_set(data)
    peers = {
        "as released, nltk": lambda: as_released(data),
        "ours": lambda: ours(data),
        "ours, strict metrics and 2,000 draws too": lambda: score_answers(answers, questions, Resampling()),
        "all scorers, baselines and 2,000 draws": lambda: compare_scorers(
            answers, questions, SCORERS, Resampling()
        ),
        "our rule of MedEvalKit alone": lambda: [VQA_RULE.score(each) for each in answers.predictions],
    }
    if options.kits:
        if options.packages:
            sys.path.append(str(options.packages.resolve()))
        kit = MedEvalKit(options.kits / "MedEvalKit")
        peers["MedEvalKit's own code"] = lambda: kit.whole_set("path-vqa", answers.predictions)
    seconds = medians(peers, rounds=3, clock=time.process_time)
    show(f"Scoring {ROWS:,} answers", seconds, amount=ROWS, unit="answers", ours="ours")


if __name__ == "__main__":
    main()
