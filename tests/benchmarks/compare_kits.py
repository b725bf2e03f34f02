"""Runs other kits' own scoring beside ours on the same answers, and prints both numbers of every metric.

    python -m tests.benchmarks.compare_kits KITS [--packages SITE_PACKAGES]

KITS is a folder with the checkouts `MedEvalKit`, `VLMEvalKit` and `lmms-eval` (a checkout, or the package's wheel,
unpacked); by default the environment variable SCORING_KITS names it. A kit that is not there is skipped, and so are
the real data where they are not beside the checkout. MedEvalKit needs the packages nltk, rouge and mathruler (which
needs sympy and pylatexenc): SITE_PACKAGES is a folder that holds those which this environment lacks. What the kits
import and these comparisons do not use (clients of language models, and the like) is left out.
"""

import argparse
import gzip
import importlib
import json
import math
import os
import random
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from rich.console import Console
from rich.table import Table

from llavamed_trainer.evaluation.questions import AnswerSet, Prediction, Question, QuestionSet, load_questions
from llavamed_trainer.evaluation.scorers import RULES, ScorerResult, compare_scorers
from llavamed_trainer.evaluation.scoring import Resampling
from tests.conftest import SHARED_DATA

Metrics = Mapping[str, float]
Rows = Sequence[Prediction]

NOT_USED = ("google", "google.genai", "openai", "tenacity", "torch", "tqdm", "tqdm.asyncio", "loguru")
MEDEVALKIT_NAMES = {
    "accuracy": ("total metrics", "acc"),
    "closed_accuracy": ("close", "acc"),
    "open_exact_match": ("open", "em"),
    "open_accuracy": ("open", "acc"),  # divided by the number of questions twice
    **{
        f"open_{name}": ("open", name)
        for name in ("bleu1", "bleu2", "bleu3", "bleu4", "precision", "recall", "f1")
    },
    "open_rouge1": ("open", "rouge1"),
    "open_rouge2": ("open", "rouge2"),
    "open_rouge_l": ("open", "rougel"),
}


# ---- answers of many forms ----------------------------------------------------------------------------------------


def perturbed(reference: str, other: str, chinese: bool) -> list[str]:
    """Answers to one question in the forms in which models give them: right, nearly right, wrong, wrapped, empty."""
    forms = [
        reference,
        reference.lower(),
        reference.upper() + ".",
        f" {reference}\n",
        other,
        f"{reference}, {other}",
        f"The image shows {other.lower()}. The answer is {reference.lower()}.",
        f"**Answer**: {reference}",
        f"**{reference}**",
        f"<think>perhaps {other}</think><answer>{reference}</answer>",
        f"<answer>{other}</answer> or <answer>{reference}</answer>",
        rf"So it is \boxed{{{reference}}}.",
        rf"\boxed{{\text{{{other}}}}} and \boxed{{{reference}",
        rf"\boxed{{<answer>{reference}</answer>}}",
        "Yes, abnormal.",
        "No abnormality is seen",
        "there is no sign of it. none. Final answer: no",
        "",
        " ",
        "...",
        "(probably) " + reference,
        f"{reference} {reference} {other} {reference}",
        "It cannot be said from this image; " * 12,
        "yeah",
        "True",
        "X-ray",
    ]
    return (
        [*forms, "是的。", "不是", f"答案: {reference}", f"（{other}）{reference}，", "正常"]
        if chinese
        else forms
    )


def chosen(question: Question) -> list[str]:
    """Answers to a multiple-choice question: letters and texts, alone and within sentences."""
    letters = [chr(ord("A") + place) for place in range(len(question.choices))]
    right, wrong = question.reference, next(letter for letter in letters if letter != question.reference)
    text, other = question.choices[letters.index(right)], question.choices[letters.index(wrong)]
    return [
        right,
        right.lower(),
        f"{right}.",
        f"({right})",
        f"{right}. {text}",
        f"{right}:{text}",
        f"{right}\n\nBecause of {other}",
        f"It is not {wrong}.\n\n{right}. {text}",
        f"Answer: {right}",
        f"The correct answer is **{right}**.",
        f"The answer is a {other}",
        f"({wrong}) is unlikely, so ({right})",
        f"{wrong} or {right} , both are possible here I think",
        text,
        text.upper(),
        other,
        f"I would say that this is clearly {text} and nothing else",
        f"between {text} and {other}, more likely {other} in this case",
        rf"\boxed{{{right}}}",
        f"<answer>{right}</answer>",
        f"<answer>{wrong}</answer><answer>{right}</answer>",
        f"MRA {right}",
        f"A chest film shows {text} here",
        "I'm sorry, but without the image provided I cannot say",
        "Z",
        "none of them",
        "",
        "答案: " + right,
        "7.50 and = 3",
    ]


def vqa_rad_released() -> tuple[str, Rows]:
    """VQA-RAD's test questions with the released answers of the general LLaVA."""
    questions = load_questions(str(SHARED_DATA / "vqa_rad" / "testset.json")).questions
    lines = (SHARED_DATA / "predictions" / "vqa_rad_zero_shot_llava.jsonl").read_text().splitlines()
    return "vqa-rad", [
        predicted(question, json.loads(line)["text"]) for question, line in zip(questions, lines, strict=True)
    ]


def path_vqa_like() -> tuple[str, Rows]:
    """VQA-RAD's questions under the name of PathVQA, with answers of every form."""
    questions = load_questions(str(SHARED_DATA / "vqa_rad" / "testset.json")).questions
    return "path-vqa", list(with_forms(questions))


def slake_validation(language: str) -> tuple[str, Rows]:
    """SLAKE's validation questions with answers of every form."""
    rows = json.loads(gzip.decompress((SHARED_DATA / "slake" / "validate.json.gz").read_bytes()))
    questions = [
        Question(
            str(row["qid"]),
            row["question"],
            row["answer"],
            row["answer_type"].strip().upper(),
            language=row["q_lang"],
        )
        for row in rows
        if language in ("all", row["q_lang"])
    ]
    return "slake", list(with_forms(questions))


def with_forms(questions: Sequence[Question]) -> Iterator[Prediction]:
    """Each question with one answer, whose form changes from question to question."""
    draw = random.Random(0)
    for number, question in enumerate(questions):
        other = draw.choice(questions).reference
        forms = perturbed(question.reference, other, question.language == "zh")
        yield predicted(question, forms[number % len(forms)])


def multiple_choice(name: str) -> tuple[str, Rows]:
    """Multiple-choice questions made of words of radiology, each with an answer of every form."""
    texts = [
        "Pneumothorax", "Pleural effusion", "No abnormality", "CT", "MRI of the brain", "A", "Axial plane",
        "T2 (FLAIR)", "Right upper lobe, posterior segment", "12", "yes", "no", "肺炎", "All of the above",
    ]  # fmt: skip
    draw, rows = random.Random(1), list[Prediction]()
    for number in range(60):
        choices = tuple(draw.sample(texts, 2 + number % 4))
        right = chr(ord("A") + draw.randrange(len(choices)))
        question = Question(f"q{number}", "Which?", right, "CHOICE", choices=choices)
        rows += [predicted(question, answer) for answer in chosen(question)]
    if name == "mmmu-medical":
        for number, reference in enumerate(["renal artery", "7.5", "3", "x", "1,200"] * 8):
            question = Question(f"o{number}", "What?", reference, "OPEN")
            answers = [
                reference,
                f"It is {reference}.",
                f"so the result = {reference}\nthus {reference}",
                "no",
                "",
            ]
            rows += [predicted(question, answer) for answer in answers]
    return name, rows


def predicted(question: Question, answer: str) -> Prediction:
    return Prediction(question, question.text, "plain", answer, "model")


# ---- the kits' own code -------------------------------------------------------------------------------------------


def bare_package(name: str, folder: Path) -> None:
    """A package whose `__init__` is not run."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def leave_out(*names: str) -> None:
    """Puts stand-ins for modules that are imported and not used, where they are not installed."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = MagicMock()


class MedEvalKit:
    """MedEvalKit's metrics of whole sets, and of single answers where it has functions for those alone."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("api_key", "none")
        os.environ["TQDM_DISABLE"] = "1"
        leave_out(*NOT_USED)
        warnings.filterwarnings("ignore", module="nltk")
        if isinstance(sys.modules["tqdm"], MagicMock):
            sys.modules["tqdm"].tqdm = lambda rows: rows
        bare_package("utils", folder / "utils")
        self.functions = importlib.import_module("utils.utils")
        self.mmmu = importlib.import_module("utils.MMMU.eval_utils")

    def whole_set(self, benchmark: str, rows: Rows) -> Metrics:
        """What `cal_metrics` of a set's class says."""
        name = {"vqa-rad": "VQA_RAD", "path-vqa": "PATH_VQA", "slake": "SLAKE"}[benchmark]
        scorer = getattr(importlib.import_module(f"utils.{name}.{name}"), name)(None, None, None)
        found, _ = scorer.cal_metrics([self._sample(row) for row in rows])
        return {ours: found[part][key] for ours, (part, key) in MEDEVALKIT_NAMES.items()}

    def stops(self, benchmark: str, row: Prediction) -> str:
        """The name of the error with which the kit stops at one answer; empty if there is none."""
        try:
            self.whole_set(benchmark, [row])
        except ZeroDivisionError:
            return ""  # after the answer was scored: a set of one has no closed or no open questions
        except Exception as error:  # whatever it is
            return type(error).__name__
        return ""

    def choices(self, benchmark: str, rows: Rows) -> Metrics:
        """The accuracy of `judge_multi_choice`, or of the functions for MMMU."""
        if benchmark == "mmmu-medical":
            return {"accuracy": mean([self._mmmu(row) for row in rows])}
        shown = {"medframeqa": "{}.{}", "pmc-vqa-2": " {}:{} "}.get(benchmark, "{}. {}")
        values = list[float]()
        for row in rows:
            choices = [shown.format(chr(65 + at), text) for at, text in enumerate(row.question.choices)]
            answer = row.answer
            if benchmark in ("medxpertqa-mm", "omni-medvqa"):
                answer = self.functions.extract(answer, "answer")
            values.append(self.functions.judge_multi_choice(choices, row.question.reference, answer))
        return {"accuracy": mean(values)}

    def _mmmu(self, row: Prediction) -> float:
        answer, question = row.answer, row.question
        if "<answer>" in answer:
            answer = self.functions.extract(answer, "answer")
        if self.functions.extract_boxed_content(answer) != "None":
            answer = self.functions.extract_boxed_content(answer)
        if not question.choices:
            return float(self.mmmu.eval_open(question.reference, answer))
        return drawn_or_right(self.mmmu, self.mmmu.parse_multi_choice_response, answer, question)

    @staticmethod
    def _sample(row: Prediction) -> dict[str, Any]:
        return {
            "response": row.answer,
            "answer": row.question.reference,
            "question": row.question.text,
            "lang": row.question.language,
            "answer_type": row.question.answer_type,
        }


def drawn_or_right(module: Any, parse: Callable[..., Any], answer: str, question: Question) -> float:
    """1 or 0; where the kit draws a letter, its chance of being right."""
    letters = [chr(65 + at) for at in range(len(question.choices))]
    by_chance = object()
    module.random = types.SimpleNamespace(choice=lambda _: by_chance)
    read = parse(answer, letters, dict(zip(letters, question.choices, strict=True)))
    return 1 / len(letters) if read is by_chance else float(read == question.reference)


class LmmsEval:
    """lmms-eval's functions for SLAKE and MMMU."""

    def __init__(self, folder: Path) -> None:
        leave_out(*NOT_USED)
        for name in ("lmms_eval.verifiers", "lmms_eval.verifiers.openai"):
            sys.modules[name] = MagicMock()
        for name in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks._task_utils"):
            bare_package(name, folder / name.replace(".", "/"))
        for name in ("slake", "mmmu"):
            bare_package(f"lmms_eval.tasks.{name}", folder / "lmms_eval" / "tasks" / name)
        self.slake_task = importlib.import_module("lmms_eval.tasks.slake.utils")
        self.mmmu_task = importlib.import_module("lmms_eval.tasks.mmmu.utils")
        self.choice_utils = importlib.import_module("lmms_eval.tasks._task_utils.mmmu_mcq_utils")

    def slake(self, rows: Rows) -> Metrics:
        """The accuracies that the task SLAKE reports."""
        found = [
            self.slake_task.slake_process_results(
                {
                    "answer": row.question.reference,
                    "q_lang": row.question.language,
                    "answer_type": row.question.answer_type,
                },
                [row.answer],
            )["slake_accuracy"]
            for row in rows
        ]
        by_language = {
            f"accuracy_{language}": self.slake_task.slake_aggregate_accuracy(
                [each for each in found if each["language"] == language]
            )
            for language in ("en", "zh")
        }
        return {
            "accuracy": self.slake_task.slake_aggregate_accuracy(found),
            "open_accuracy": self.slake_task.slake_aggregate_open_accuracy(found),
            "closed_accuracy": self.slake_task.slake_aggregate_closed_accuracy(found),
            **by_language,
        }

    def mmmu(self, rows: Rows) -> Metrics:
        """The accuracy that the task MMMU reports; what is drawn counts as its chance of being right."""
        values = list[float]()
        for row in rows:
            if row.question.choices:
                parse = self.choice_utils.parse_mmmu_multi_choice_response
                values.append(drawn_or_right(self.choice_utils, parse, row.answer, row.question))
            else:
                read = self.mmmu_task.parse_open_response(row.answer)
                values.append(self.mmmu_task.eval_open(row.question.reference, read))
        return {"accuracy": mean(values)}


class VLMEvalKit:
    """VLMEvalKit's functions for multiple choice, without an LLM."""

    def __init__(self, folder: Path) -> None:
        bare_package("vlmeval", folder / "vlmeval")
        for name in ("utils", "dataset"):
            bare_package(f"vlmeval.{name}", folder / "vlmeval" / name)
        bare_package("vlmeval.dataset.utils", folder / "vlmeval" / "dataset" / "utils")
        for name in ("vlmeval.smp", "vlmeval.smp.log", "vlmeval.smp.vlm"):
            sys.modules[name] = MagicMock()
        sys.modules["vlmeval.smp"].cn_string = lambda _: False
        matching = importlib.import_module("vlmeval.utils.matching_util")
        sys.modules["vlmeval.utils"].can_infer = matching.can_infer
        sys.modules["vlmeval.utils"].can_infer_lego = matching.can_infer_lego
        sys.modules["vlmeval.utils"].track_progress_rich = None
        self.rules = importlib.import_module("vlmeval.dataset.utils.multiple_choice")

    def choices(self, benchmark: str, rows: Rows) -> Metrics:
        """The accuracy of `eval_vanilla`, which is what the kit reports of a set."""
        import pandas as pd

        table = pd.DataFrame(
            {
                "prediction": [row.answer for row in rows],
                "question": [row.question.text for row in rows],
                "answer": [row.question.reference for row in rows],
                **{
                    letter: [
                        row.question.choices[at] if at < len(row.question.choices) else math.nan
                        for row in rows
                    ]
                    for at, letter in enumerate("ABCDE")
                },
            }
        )
        right = table["answer"]
        if benchmark == "mmmu-medical":
            table = self.rules.MMMU_preproc(table)
            right = pd.Series([each if each in list("ABCDEFGHIJKLMNOPQRSTUVWXYZ") else "A" for each in right])
        table["GT"] = right
        values = [self.rules.eval_vanilla(None, table.iloc[at])["hit"] for at in range(len(table))]
        return {"accuracy": mean(values)}


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# ---- side by side -------------------------------------------------------------------------------------------------


def ours(scorer: str, benchmark: str, rows: Rows) -> ScorerResult:
    """Our scores of the same answers; each row is a question by itself."""
    answers = AnswerSet("plain", "model", tuple(rows), ())
    questions = QuestionSet(benchmark, "test", tuple(row.question for row in rows))
    return compare_scorers(answers, questions, [scorer], Resampling(draws=100)).results[0]


def without_stops(benchmark: str, rows: Rows, kit: MedEvalKit) -> tuple[Rows, int, int]:
    """The answers at which MedEvalKit does not stop, the number of others, and how often we foresaw it wrongly."""
    rule = RULES["medevalkit-slake-rule" if benchmark == "slake" else "medevalkit-vqa-rad-rule"]
    kept, foreseen_wrongly = list[Prediction](), 0
    for row in rows:
        stops, score = kit.stops(benchmark, row), rule.score(row)
        foreseen_wrongly += bool(stops) != bool(score and score.kit_stops)
        if not stops:
            kept.append(row)
    return kept, len(rows) - len(kept), foreseen_wrongly


def compared(kits: Path) -> Iterator[tuple[str, str, int, Metrics, Metrics]]:
    """Yields kit, set, number of answers, our metrics and the kit's, from 0 to 100."""
    vqa = [vqa_rad_released(), path_vqa_like(), slake_validation("all")] if SHARED_DATA.is_dir() else []
    choice = [
        multiple_choice(name)
        for name in ("medxpertqa-mm", "omni-medvqa", "medframeqa", "pmc-vqa-2", "mmmu-medical", "pathmmu")
    ]
    if (kits / "VLMEvalKit").is_dir():
        theirs = VLMEvalKit(kits / "VLMEvalKit")
        for benchmark, rows in choice:
            if benchmark not in ("medframeqa", "pmc-vqa-2"):
                yield (
                    "vlmevalkit",
                    benchmark,
                    len(rows),
                    *pair("vlmevalkit", benchmark, rows, theirs.choices(benchmark, rows)),
                )
    if (kits / "lmms-eval").is_dir():
        lmms = LmmsEval(kits / "lmms-eval")
        for benchmark, rows in vqa:
            scorer = "lmms-eval" if benchmark == "slake" else "lmms-eval-slake-rule"
            yield scorer, benchmark, len(rows), *pair(scorer, benchmark, rows, lmms.slake(rows))
        benchmark, rows = choice[4]
        yield "lmms-eval", benchmark, len(rows), *pair("lmms-eval", benchmark, rows, lmms.mmmu(rows))
    if (kits / "MedEvalKit").is_dir():
        kit = MedEvalKit(kits / "MedEvalKit")
        for benchmark, rows in vqa:
            kept, stops, wrong = without_stops(benchmark, rows, kit)
            found = pair("medevalkit", benchmark, kept, kit.whole_set(benchmark, kept))
            yield "medevalkit", benchmark, len(kept), *found
            yield "medevalkit stops", benchmark, len(rows), {"stops": stops - wrong}, {"stops": stops}
        for benchmark, rows in choice:
            scorer = "medevalkit" if benchmark != "pathmmu" else "medevalkit-choice-rule"
            yield scorer, benchmark, len(rows), *pair(scorer, benchmark, rows, kit.choices(benchmark, rows))


def pair(scorer: str, benchmark: str, rows: Rows, theirs: Metrics) -> tuple[Metrics, Metrics]:
    """Our metrics and the kit's, in percent; those that both have."""
    found = ours(scorer, benchmark, rows).estimates
    names = [name for name in theirs if name in found]
    return {name: found[name].value for name in names}, {name: 100 * theirs[name] for name in names}


def main() -> None:
    """Prints the table, and ends with the exit code 1 if a number differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kits", type=Path, nargs="?", default=os.environ.get("SCORING_KITS"))
    parser.add_argument("--packages", type=Path)
    options = parser.parse_args()
    if options.kits is None or not Path(options.kits).is_dir():
        sys.exit("no folder of kits: name one, or set SCORING_KITS")
    if options.packages:
        sys.path.append(str(options.packages.resolve()))
    table = Table(
        "scorer", "set", "answers", "metric", "the kit's own code", "ours", "equal", title="Side by side"
    )
    verdicts = Counter[bool]()
    for scorer, benchmark, amount, our, their in compared(Path(options.kits)):
        for name in their:
            equal = math.isclose(our[name], their[name], rel_tol=1e-12, abs_tol=1e-12)
            verdicts[equal] += 1
            shown = (f"{their[name]:.10g}", f"{our[name]:.10g}", "yes" if equal else "NO")
            table.add_row(scorer, benchmark, f"{amount:,}", name, *shown)
    Console().print(table)
    print(f"{verdicts[True]} numbers equal, {verdicts[False]} differ")
    sys.exit(bool(verdicts[False]))


if __name__ == "__main__":
    main()
