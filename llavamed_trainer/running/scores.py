"""Scores of a model while it trains: it answers the questions of benchmarks, and the best checkpoint is kept."""

# ruff: noqa: ARG002  (callbacks get arguments that they do not use)

import copy
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from transformers import TrainerCallback, TrainerState

from llavamed_data.console.printable import counted
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.predict.generation import Answerer
from llavamed_trainer.evaluation.predict.inputs import PromptBatch
from llavamed_trainer.evaluation.questions import Prediction, write_answers
from llavamed_trainer.evaluation.scoring.scores import metric_values
from llavamed_trainer.running.arguments import TrainArguments, TrainingSettings
from llavamed_trainer.running.benchmark_parts import (
    STRICT,
    BenchmarkPart,
    PartName,
    parse_parts,
    strict_score,
)
from llavamed_trainer.training.sharding import wants_sharding

SCORE = "eval_score"
"""The name of the score in the log of a run, by which the best checkpoint is found."""

ANSWERS = "answers"
"""The folder in that of a run with the answers of each evaluation."""

_SAMPLES = 3
_NEEDS_EVALUATE = (
    "every",
    "early_stopping_patience",
    "evaluate_limit",
    "evaluate_language",
    "evaluate_max_new_tokens",
)
_SET_BY_EVALUATE = (
    "eval_strategy",
    "eval_steps",
    "eval_dataset",
    "eval_split",
    "load_best_model_at_end",
    "metric_for_best_model",
    "greater_is_better",
)
_LABELS = {
    "closed_word_accuracy": "closed",
    "open_multiset_recall": "open",
    "choice_accuracy": "multiple choice",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A question that the model answered, for people to read.

    Attributes:
        question: its text.
        reference: the right answer.
        answer: the model's words.
    """

    question: str
    reference: str
    answer: str


@dataclass(frozen=True, slots=True)
class TrainingScores:
    """What a model in training scores.

    Attributes:
        metrics: names in the log of the run → values, percentages and counts; `eval_score` is the score.
        samples: some answers, to the same questions at every evaluation.
    """

    metrics: dict[str, float]
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class BestScore:
    """The best score of a run.

    Attributes:
        parts: the benchmark parts whose questions were asked, as `--evaluate` names them.
        step: the training step after which the model had it.
        score: the score, in percent.
    """

    parts: str
    step: int
    score: float


def check_scoring(settings: TrainingSettings) -> None:
    """Checks the settings of the scores while training, before anything is loaded.

    Raises:
        UsageError: they do not fit together, or the model is to be sharded.
    """
    arguments, given = settings.arguments, settings.given
    if arguments.evaluate is None:
        if stated := [name for name in _NEEDS_EVALUATE if given.get(name) is not None]:
            raise UsageError(
                f"--{stated[0]} belongs to --evaluate: say which questions the model is asked, such as --evaluate "
                "slake:validation, or leave it out"
            )
        return
    _check_own_settings(arguments)
    for name in _SET_BY_EVALUATE:
        if given.get(name) not in (None, False, "no"):
            raise UsageError(
                f"--evaluate and --{name} do not go together: --every says when the model is scored, and the "
                "checkpoint with the best score is kept; leave one of them out"
            )
    if str(settings.training.save_strategy) in ("no", "SaveStrategy.NO"):
        raise UsageError(
            "--evaluate keeps the checkpoint with the best score, and --save_strategy no keeps none: give "
            "--save_strategy best, which keeps that one alone"
        )
    zero_stage = getattr(getattr(settings.training, "deepspeed_plugin", None), "zero_stage", 0)
    if wants_sharding(settings.training) or zero_stage == 3:
        raise UsageError(
            "--evaluate needs the whole model in each process, and FSDP and DeepSpeed ZeRO-3 shard it: leave it out "
            "and score the checkpoints afterwards with predict and score, or train without sharding (--use_peft)"
        )


def _check_own_settings(arguments: TrainArguments) -> None:
    parts = parse_parts(arguments.evaluate or "")
    if arguments.every is None:
        raise UsageError(
            "--evaluate needs --every, the number of training steps between two scores: --every 200"
        )
    for name in ("every", "early_stopping_patience", "evaluate_limit", "evaluate_max_new_tokens"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise UsageError(f"--{name} {value}: give 1 or more")
    if arguments.streaming and any(part.number for part in parts):
        raise UsageError(
            "--evaluate cannot hold out a part of a split from --streaming: name a whole split that is not trained on, "
            "or leave --streaming out"
        )


class TrainingScorer:
    """Asks a model in training the questions of benchmarks, and scores its answers strictly.

    The score of a benchmark is the mean over its questions: word accuracy of closed questions, multiset recall of open
    ones, accuracy of multiple choice. Of several benchmarks it is the mean of their scores.

    Args:
        parts: the questions.
        model: the model, on its device; a PEFT model answers with its adapters.
        processor: of the model.
        max_new_tokens: longest answer, in tokens.
        batch_size: questions that a process answers together.
        folder: of the run; the answers of each evaluation are written into it.

    Attributes:
        notes: questions that cannot be asked, for the user.

    Raises:
        LlavaMedError: the chat template cannot write the questions, or none of a part can be asked.
    """

    def __init__(
        self,
        parts: Sequence[BenchmarkPart],
        model: Any,
        processor: Any,
        *,
        max_new_tokens: int,
        batch_size: int,
        folder: Path,
    ) -> None:
        self._parts, self._folder = parts, folder
        # its own processor: that of the training rows is in use by the collator, and keeps its state
        self._processor, self._max_new_tokens = copy.deepcopy(processor), max_new_tokens
        self._base = model.get_base_model() if hasattr(model, "peft_config") else model
        self.notes = list[str]()
        self._batches = list[list[PromptBatch]]()
        with undisturbed(self._base):
            for part in parts:
                answerer = self._answerer(part)
                self._batches.append(answerer.batches(part.prompts, batch_size))
                if not self._batches[-1]:
                    reasons = sorted({each.reason for each in answerer.unusable.values()})
                    raise LlavaMedError(
                        f"--evaluate {part.name}: none of its questions can be asked ({', '.join(reasons)})"
                    )
                if answerer.unusable:
                    first = next(iter(answerer.unusable.values()))
                    self.notes.append(
                        f"WARNING: {counted(len(answerer.unusable), 'question')} of {part.name} cannot be asked and "
                        f"do not count ({first.id}: {first.reason})"
                    )

    @property
    def names(self) -> str:
        """The parts, as `--evaluate` names them."""
        return ", ".join(str(part.name) for part in self._parts)

    def score(
        self, accelerator: Any, step: int, on_progress: Callable[[int, int], None] | None = None
    ) -> TrainingScores:
        """Asks and scores; each process answers its share of the questions, and all return the same.

        Call it inside `undisturbed`.

        Args:
            accelerator: of the trainer.
            step: the training step, for the names of the files of answers.
            on_progress: called with the number of questions that this process has answered, and has to answer.
        """
        began = time.monotonic()
        rank, processes = accelerator.process_index, accelerator.num_processes
        shares = [batches[rank::processes] for batches in self._batches]
        total, done = sum(len(batch) for share in shares for batch in share), 0
        metrics, scores, samples = dict[str, float](), list[float](), list[Sample]()
        asked, unread, cut = 0, 0, 0
        for part, share in zip(self._parts, shares, strict=True):
            found, truncated, unreadable = dict[str, str](), 0, 0
            with accelerator.autocast():
                for batch, answered in self._answers(part, share):
                    found |= answered.answers
                    truncated += len(answered.truncated)
                    unreadable += len(answered.unreadable)
                    done += len(batch)
                    if on_progress:
                        on_progress(done, total)
            for answers, more_cut, more_unread in gather_object([(found, truncated, unreadable)]):
                found |= answers
                cut, unread = cut + more_cut, unread + more_unread
            name = f"{self._folder}/checkpoint-{step}"
            predictions = [
                Prediction(prompt.question, prompt.text, prompt.form, found[prompt.question.id], name)
                for prompt in part.prompts
                if prompt.question.id in found
            ]
            of_part = _strict_means(predictions, part.name)
            scores.append(of_part["score"])
            asked += len(predictions)
            prefix = "eval_" if len(self._parts) == 1 else f"eval_{key_of(part.name)}_"
            metrics |= {f"{prefix}{metric}": value for metric, value in of_part.items()}
            samples += _samples(predictions, max(1, _SAMPLES // len(self._parts)))
            if accelerator.is_main_process:
                file = f"{key_of(part.name)}-step-{step}.jsonl"
                write_answers(self._folder / ANSWERS / file, predictions)
        metrics |= {SCORE: fmean(scores), "eval_questions": asked, "eval_truncated": cut}
        if unread:
            metrics["eval_unreadable"] = unread
        metrics["eval_runtime"] = round(time.monotonic() - began, 2)
        return TrainingScores(metrics, tuple(samples))

    def _answerer(self, part: BenchmarkPart) -> Answerer:
        """One for each evaluation: it keeps features of images, and training changes them."""
        places = {
            digest: (prompt.question.id, number)
            for prompt in part.prompts
            for number, digest in enumerate(prompt.images)
        }
        images: Any = part.questions.images
        return Answerer(
            self._base,
            self._processor,
            lambda digest: images.read(*places[digest]),
            max_new_tokens=self._max_new_tokens,
        )

    def _answers(self, part: BenchmarkPart, share: Sequence[PromptBatch]) -> Iterator[Any]:
        try:
            yield from self._answerer(part).answers(share)
        except LlavaMedError as error:
            if not isinstance(error.__cause__, torch.OutOfMemoryError):
                raise
            raise LlavaMedError(
                f"the questions of {part.name} do not fit into memory beside training: rerun the same command with a "
                "smaller --per_device_eval_batch_size; checkpoints are kept"
            ) from error


class KeepBest(TrainerCallback):
    """Has a checkpoint saved after each score that is the best so far, and ends a run whose score no longer rises.

    How long the score has not risen is read from the log, which a run that is resumed has back.

    Args:
        patience: the number of scores in a row that are no better than the best, after which the run ends; None never
            ends it.
    """

    def __init__(self, patience: int | None) -> None:
        self._patience = patience

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Takes up the best checkpoint of a run that is resumed, also in a folder that was moved."""
        if state.best_global_step and state.best_model_checkpoint is None:
            moved = Path(str(args.output_dir)) / f"checkpoint-{state.best_global_step}"
            state.best_model_checkpoint = str(moved) if moved.is_dir() else None
        self._stop(state, control)

    def on_evaluate(
        self, args: Any, state: TrainerState, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        """Looks at a score."""
        if state.global_step and (state.best_metric is None or metrics[SCORE] > state.best_metric):
            control.should_save = True
        self._stop(state, control)

    def _stop(self, state: TrainerState, control: Any) -> None:
        if self._patience is not None and scores_since_best(state) >= self._patience:
            control.should_training_stop = True


def scores_since_best(state: TrainerState) -> int:
    """The number of scores since the best one; the first of equal ones is the best."""
    by_step = {entry["step"]: entry[SCORE] for entry in state.log_history if SCORE in entry and entry["step"]}
    scores = list(by_step.values())
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def key_of(name: PartName) -> str:
    """A part in the names of files and values: `slake-validation`, `vqa-rad-train`."""
    bare = name.benchmark.rstrip("/").rpartition("/")[2]
    return f"{bare}-{name.split}" + (f"-{name.number.replace('%', 'percent')}" if name.number else "")


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Evaluation mode for a block, after which training goes on as if the block had not been.

    Put back are the modes of all modules, whatever they keep of a forward pass (such as the positions that Qwen's
    models remember), and the states of all generators of random numbers.
    """
    kept = [
        (
            module,
            {name: dict(each) if isinstance(each, dict) else each for name, each in vars(module).items()},
        )
        for module in model.modules()
    ]
    states = random.getstate(), np.random.get_state()
    device = next(model.parameters()).device
    name, before = "TOKENIZERS_PARALLELISM", os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ[name] = "false"  # a tokenizer that has run on several threads complains in worker processes
    devices = [] if device.type == "cpu" else [device]
    try:
        with torch.random.fork_rng(devices, device_type="cuda" if device.type == "cpu" else device.type):
            model.eval()
            yield
    finally:
        for module, attributes in kept:
            own = vars(module)
            for added in own.keys() - attributes.keys():
                del own[added]
            for key, value in attributes.items():
                if isinstance(own.get(key), dict) and isinstance(value, dict):
                    own[key].clear()
                    own[key].update(value)
                else:
                    own[key] = value
        random.setstate(states[0])
        np.random.set_state(states[1])
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def describe_scores(metrics: Mapping[str, float]) -> str:
    """The values of an evaluation in words."""
    parts = [
        f"{_LABELS[name.removeprefix('eval_')]} {value:.2f}"
        for name, value in metrics.items()
        if name.removeprefix("eval_") in STRICT
    ] or [
        f"{name.removeprefix('eval_').removesuffix('_score')} {value:.2f}"
        for name, value in metrics.items()
        if name.endswith("_score") and name != SCORE
    ]
    return ", ".join(parts)


def _strict_means(predictions: Sequence[Prediction], name: PartName) -> dict[str, float]:
    """The score and the means of its metrics, in percent."""
    scores = [score for each in predictions if (score := strict_score(each)) is not None]
    if not scores:
        raise LlavaMedError(f"--evaluate {name}: the model has no answer that can be scored")
    means = {"score": 100 * fmean(scores)}
    values = [metric_values(each) for each in predictions]
    for metric in STRICT:
        if found := [each[metric] for each in values if metric in each]:
            means[metric] = 100 * fmean(found)
    return means


def _samples(predictions: Sequence[Prediction], count: int) -> list[Sample]:
    """Some answers from all over the part."""
    chosen = predictions[:: max(1, len(predictions) // count)][:count]
    return [Sample(each.question.text, each.question.reference, each.answer) for each in chosen]
