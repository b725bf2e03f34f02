"""What a user gets from `train --evaluate`: scores while training, the best checkpoint, and images held out."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from rich.console import Console
from transformers import TrainerState

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.evaluation.predict import PredictOptions, predict
from llavamed_trainer.evaluation.scoring import score_predictions
from llavamed_trainer.running import TrainingReport, parse_settings, run_training
from llavamed_trainer.running.benchmark_parts import leave_out, load_parts, parse_parts
from llavamed_trainer.running.data import load_rows
from llavamed_trainer.running.scores import KeepBest, undisturbed
from tests.conftest import CHECKOUT
from tests.llavamed_trainer.evaluation.benchmarks import SHADES, drawn, make_row, make_set
from tests.llavamed_trainer.tiny_models import TINY, missing_package, write_tiny_model

ScoredTrain = Callable[..., TrainingReport]

SCORE = "eval_score"


def questions(split: str, count: int, first_image: int, **more: Any) -> list[dict[str, Any]]:
    """Two questions about each drawn image: which colour it is (open), and whether it is round (closed)."""
    rows = []
    for number in range(count):
        image, closed = first_image + number // 2, number % 2 == 1
        rows.append(
            make_row(
                f"drawn-{split}-{number}",
                "Is it round?" if closed else "Which colour is it?",
                ("yes" if image % 2 else "no") if closed else f"{SHADES[image % 8]} one",
                drawn(image),
                **{
                    "answer_type": "CLOSED" if closed else "OPEN",
                    "question_type": "COLOR",
                    "language": "en",
                    **more,
                },
            )
        )
    return rows


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 questions about 12 images to train on; 8 about 4 of these and 2 about another to validate; 4 to test."""
    folder = tmp_path_factory.mktemp("scored") / "drawn-vqa"
    make_set(folder, "vqa", questions("train", 24, 0), "train")
    make_set(folder, "vqa", [*questions("validation", 8, 2), *questions("more", 2, 40)], "validation")
    return make_set(folder, "vqa", questions("test", 4, 30), "test")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA that knows the words of the benchmark."""
    texts = [
        part["text"]
        for row in questions("train", 24, 0)
        for turn in row["messages"]
        for part in turn["content"]
        if part["text"]
    ]
    return assemble_tiny(tmp_path_factory.mktemp("tiny-vqa"), texts)


@pytest.fixture
def train(tiny: Path, benchmark: Path, tmp_path: Path) -> ScoredTrain:
    """`train(…flags)` trains on the benchmark for six training steps, 8 rows each; `train.said` is what it printed."""

    def run(*flags: str | Path | int, output: io.StringIO | None = None) -> TrainingReport:
        words = [
            *("--config", "finetune-vqa-rad", "--model_name_or_path", tiny, "--dataset", benchmark),
            *("--global_batch_size", 8, "--per_device_train_batch_size", 8, "--dataloader_num_workers", 0),
            *("--learning_rate", "5e-3", "--logging_steps", 1, "--max_steps", 6),
            *("--output_dir", tmp_path / "run", *flags),
        ]
        if "--evaluate" in words:
            words += ["--evaluate_max_new_tokens", 6]
        console = Console(file=output or io.StringIO(), width=200)
        return run_training(parse_settings([str(word) for word in words]), console=console)

    return run


def log_of(folder: Path) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return log


def scores_of(folder: Path) -> dict[int, float]:
    return {entry["step"]: entry["eval_score"] for entry in log_of(folder) if "eval_score" in entry}


def losses_of(folder: Path) -> list[float]:
    return [entry["loss"] for entry in log_of(folder) if "loss" in entry]


def answers_in(path: Path) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["id"], row["answer"]) for row in rows]


# ------------------------------------------------------------------------------------------------- what is named


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ("slake:validation", [("slake", "validation", None)]),
        ("vqa-rad:train[10%]", [("vqa-rad", "train", "10%")]),
        ("vqa-rad:train[200],slake:validation", [("vqa-rad", "train", "200"), ("slake", "validation", None)]),
        ("sets/with:colon:validation", [("sets/with:colon", "validation", None)]),
        ("lab/set, one:train[2.5%]", [("lab/set, one", "train", "2.5%")]),
    ],
)
def test_a_benchmark_and_its_split_are_told_apart(stated: str, names: list[tuple[Any, ...]]) -> None:
    assert [(each.benchmark, each.split, each.number) for each in parse_parts(stated)] == names


def test_a_folder_with_a_colon_in_its_name_still_needs_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "with:colon").mkdir()
    with pytest.raises(UsageError, match="with:colon names no split of a benchmark"):
        parse_parts("with:colon")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--every", "2"], "--every belongs to --evaluate"),
        (["--early_stopping_patience", "2"], "--early_stopping_patience belongs to --evaluate"),
        (["--evaluate", "slake:validation"], "--evaluate needs --every"),
        (["--evaluate", "slake:validation", "--every", "0"], "--every 0: give 1 or more"),
        (
            ["--evaluate", "slake", "--every", "2"],
            "slake names no split of a benchmark: give BENCHMARK:SPLIT",
        ),
        (
            ["--evaluate", "slake:train[100%]", "--every", "2"],
            "a percentage below 100 or a number of questions",
        ),
        (["--evaluate", "slake:train[0]", "--every", "2"], "a percentage below 100 or a number of questions"),
        (
            ["--evaluate", "slake:train[1.5]", "--every", "2"],
            "a percentage below 100 or a number of questions",
        ),
        (
            ["--evaluate", "slake:train[few]", "--every", "2"],
            "a percentage below 100 or a number of questions",
        ),
        (["--evaluate", "a:validation,a:validation", "--every", "2"], "names a part twice"),
        (["--evaluate", "a:validation", "--evaluate", "b:validation"], "give --evaluate once"),
        (["--evaluate", "a:validation", "--every", "2", "--eval_strategy", "steps"], "do not go together"),
        (["--evaluate", "a:validation", "--every", "2", "--save_strategy", "no"], "--save_strategy best"),
        (
            ["--evaluate", "a:train[9]", "--every", "2", "--streaming"],
            "cannot hold out a part of a split from",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_loaded(
    flags: list[str], message: str, tmp_path: Path
) -> None:
    words = ["--config", "finetune-slake", "--model_name_or_path", "no/model", "--dataset", "no/set"]
    with pytest.raises(UsageError, match=message):
        run_training(parse_settings([*words, "--output_dir", str(tmp_path / "run"), *flags]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("dev", r"has no split 'dev': choose from test, train, validation; .*train\[10%\] holds out"),
        ("test", "a test split has no score there that counts"),
        ("train[99%]", "holds out all 24 questions"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused_before_the_model_is_loaded(
    part: str, message: str, train: ScoredTrain, benchmark: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        train("--evaluate", f"{benchmark}:{part}", "--every", 2, "--model_name_or_path", "no/model")


def test_sharded_training_is_refused(
    train: ScoredTrain, benchmark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(
        UsageError, match="needs the whole model in each process, and FSDP and DeepSpeed ZeRO-3"
    ):
        train("--evaluate", f"{benchmark}:validation", "--every", 2)


# ------------------------------------------------------------------------------------------------- what is held out


def parts_of(benchmark: Path, part: str, seed: int = 42, **settings: str) -> Any:
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    arguments = parse_settings(["--evaluate", f"{benchmark}:{part}", "--every", "2", *words]).arguments
    return load_parts(arguments, seed)


def test_whole_images_are_held_out_by_the_seed(benchmark: Path) -> None:
    # 10 % of 24 questions are 3, and an image has two: two images with 4 questions
    (part,) = parts_of(benchmark, "train[10%]")
    assert len(part.prompts) == 4
    assert len(part.images) == 2
    numbers = sorted(int(prompt.question.id.rpartition("-")[2]) for prompt in part.prompts)
    assert [number // 2 for number in numbers[::2]] == [number // 2 for number in numbers[1::2]]
    (again,), (other,) = parts_of(benchmark, "train[10%]"), parts_of(benchmark, "train[10%]", seed=7)
    assert [each.question.id for each in again.prompts] == [each.question.id for each in part.prompts]
    assert other.images.keys() != part.images.keys()
    (five,) = parts_of(benchmark, "train[5]")
    assert len(five.prompts) == 6  # three images
    assert five.images.keys() > part.images.keys()


def test_images_that_a_question_shows_together_stay_together(tmp_path: Path) -> None:
    rows = questions("train", 12, 0)
    for row, other in ((rows[0], 1), (rows[2], 2)):  # images 0 and 1, 1 and 2: these three belong together
        row["images"] = [*row["images"], {"bytes": drawn(other), "path": f"{other}.jpg"}]
        row["messages"][0]["content"].insert(0, {"type": "image", "text": None})
    make_set(tmp_path / "pairs", "vqa", rows, "train")
    for seed in range(6):
        (part,) = parts_of(tmp_path / "pairs", "train[1]", seed)
        held_out = {int(each.question.id.rpartition("-")[2]) // 2 for each in part.prompts}
        assert held_out == {0, 1, 2} or len(held_out & {0, 1, 2}) == 0
        left, (shared,) = leave_out(load_rows(str(tmp_path / "pairs"), "train"), [part])
        assert len(left) == 12 - shared.rows == 12 - 2 * len(held_out)


def test_rows_with_held_out_images_are_not_trained_on(benchmark: Path) -> None:
    (part,) = parts_of(benchmark, "train[10%]")
    rows = load_rows(str(benchmark), "train")
    left, (shared,) = leave_out(rows, [part])
    held_out = {prompt.question.id for prompt in part.prompts}
    assert (shared.rows, shared.images) == (4, 2)
    assert list(left["id"]) == [identity for identity in rows["id"] if identity not in held_out]
    assert left[5]["messages"] == next(row for row in rows if row["id"] == left[5]["id"])["messages"]


def test_a_limit_asks_fewer_questions_and_holds_out_as_many_images(benchmark: Path) -> None:
    (part,) = parts_of(benchmark, "train[10%]", evaluate_limit="1")
    assert len(part.prompts) == 1
    assert len(part.images) == 2


def test_questions_that_cannot_be_scored_are_counted(tmp_path: Path) -> None:
    rows = questions("validation", 6, 0)
    rows[0]["images"] = []
    rows[2]["answer_type"] = None
    make_set(tmp_path / "odd", "vqa", rows, "validation")
    (part,) = parts_of(tmp_path / "odd", "validation")
    assert len(part.prompts) == 4
    assert part.left_out == {"image lost": 1, "neither open nor closed": 1}


def test_a_test_split_under_another_name_is_known_by_its_ids(tmp_path: Path) -> None:
    rows = [row | {"id": f"slake-test-{at}"} for at, row in enumerate(questions("x", 4, 0))]
    make_set(tmp_path / "renamed", "vqa", rows, "validation")
    with pytest.raises(UsageError, match="a test split has no score there that counts"):
        parts_of(tmp_path / "renamed", "validation")
    assert parts_of(tmp_path / "renamed", "validation", allow_test_split="true")


# ------------------------------------------------------------------------------------------------- whole runs


def test_a_run_logs_scores_and_ends_with_the_best_checkpoint(
    train: ScoredTrain, benchmark: Path, tmp_path: Path
) -> None:
    """The folder's model gives the answers of the best step by `predict`, and `score` gives the score of the log."""
    said = io.StringIO()
    report = train(
        *("--evaluate", f"{benchmark}:validation", "--every", 2, "--save_total_limit", 1, "--max_steps", 20),
        output=said,
    )
    run, text = tmp_path / "run", " ".join(said.getvalue().split())
    scores = scores_of(run)
    assert list(scores) == list(range(2, 21, 2))
    assert report.best is not None
    assert report.best.score == max(scores.values()) > scores[2]
    assert report.best.step == min(step for step, score in scores.items() if score == max(scores.values()))
    assert report.best.step < 20, "the last step is the best: the test would see nothing"
    assert (run / f"checkpoint-{report.best.step}").is_dir()

    out = tmp_path / "answers.jsonl"
    options = PredictOptions(str(run), str(benchmark), "validation", max_new_tokens=6, batch_size=3)
    predict(out, options)
    name = f"drawn-vqa-validation-step-{report.best.step}.jsonl"
    assert answers_in(out) == answers_in(run / "answers" / name)
    found = score_predictions(out, str(benchmark), split="validation")[0].overall
    closed, multiset = found["closed_word_accuracy"], found["open_multiset_recall"]
    total = closed.value * closed.count + multiset.value * multiset.count
    assert report.best.score == pytest.approx(total / 10)
    logged = next(entry for entry in log_of(run) if entry.get("step") == report.best.step and SCORE in entry)
    assert logged["eval_closed_word_accuracy"] == pytest.approx(closed.value)
    assert logged["eval_open_multiset_recall"] == pytest.approx(multiset.value)

    assert "scored by │ " in text
    assert "10 questions about 5 images" in text
    assert f"the best is {report.best.score:.2f} at training step {report.best.step}" in text
    assert "Is it round? · right: " in text
    assert f"the best: score {report.best.score:.2f} of" in text
    assert json.loads((run / "run.json").read_text())["best"]["training_step"] == report.best.step
    card = ModelCard.load(run / "README.md").text
    assert f"at training step {report.best.step}" in card
    # the validation split shows 4 images that are trained on, each in two rows
    assert "WARNING: 8 training rows show 4 images of" in text


def test_scores_change_nothing_that_is_learnt(train: ScoredTrain, benchmark: Path, tmp_path: Path) -> None:
    train("--output_dir", tmp_path / "bare", "--gradient_checkpointing", "true")
    train(
        *("--evaluate", f"{benchmark}:validation", "--every", 2, "--output_dir", tmp_path / "scored"),
        *("--gradient_checkpointing", "true", "--save_steps", 6),
    )
    assert losses_of(tmp_path / "scored") == losses_of(tmp_path / "bare")
    assert len(scores_of(tmp_path / "scored")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen2.5-vl", "smolvlm", "llava in 4 bit"])
def test_scores_change_nothing_that_other_models_and_quantised_ones_learn(
    kind: str, train: ScoredTrain, tiny: Path, benchmark: Path, tmp_path: Path
) -> None:
    """The model in the folder gives the answers of the best step, and the losses are those of a run without scores."""
    flags: tuple[str | Path | int, ...] = ("--use_peft", "--load_in_4bit", "--learning_rate", "2e-2")
    if kind in TINY:
        if package := missing_package(kind):
            pytest.skip(f"the processor of {kind} needs {package}")
        texts = [f"Which colour is it? Is it round? yes no {shade} one" for shade in SHADES]
        flags = ("--model_name_or_path", write_tiny_model(kind, tmp_path / "tiny", texts))
    else:
        pytest.importorskip("bitsandbytes")
    train(*flags, "--output_dir", tmp_path / "bare")
    report = train(*flags, "--evaluate", f"{benchmark}:validation", "--every", 2)
    assert losses_of(tmp_path / "run") == losses_of(tmp_path / "bare")
    assert report.best is not None
    if kind in TINY:
        out = tmp_path / "answers.jsonl"
        predict(out, PredictOptions(str(tmp_path / "run"), str(benchmark), "validation", max_new_tokens=6))
        name = f"drawn-vqa-validation-step-{report.best.step}.jsonl"
        assert answers_in(out) == answers_in(tmp_path / "run" / "answers" / name)


def test_a_held_out_part_of_the_training_split_is_said_and_not_trained_on(
    train: ScoredTrain, benchmark: Path, tmp_path: Path
) -> None:
    said = io.StringIO()
    train("--evaluate", f"{benchmark}:train[10%]", "--every", 6, output=said)
    text = " ".join(said.getvalue().split())
    assert "4 training rows with 2 images of" in text
    assert "20 of split train" in text
    assert "WARNING" not in text
    path = tmp_path / "run" / "answers" / "drawn-vqa-train-10percent-step-6.jsonl"
    assert len(answers_in(path)) == 4
    scored = score_predictions(path, str(benchmark), split="train", partial=True)[0]
    closed, multiset = scored.overall["closed_word_accuracy"], scored.overall["open_multiset_recall"]
    assert (scored.missing, closed.count, multiset.count) == (20, 2, 2)
    assert scores_of(tmp_path / "run") == {6: pytest.approx((closed.value + multiset.value) / 2)}


def test_a_test_split_is_used_if_that_is_allowed_and_the_card_says_so(
    train: ScoredTrain, benchmark: Path, tmp_path: Path
) -> None:
    """Of two parts the score is the mean of their scores."""
    parts = f"{benchmark}:test,{benchmark}:validation"
    train("--evaluate", parts, "--every", 6, "--allow-test-split")
    logged = next(entry for entry in log_of(tmp_path / "run") if SCORE in entry)
    both = [logged[f"eval_drawn-vqa-{split}_score"] for split in ("test", "validation")]
    assert logged[SCORE] == pytest.approx(sum(both) / 2)
    assert logged["eval_questions"] == 14
    card = ModelCard.load(tmp_path / "run" / "README.md").text
    assert "chosen by its score on" in card
    assert "so its scores there do not count" in card


def test_a_run_ends_when_scores_no_longer_rise_and_is_resumed_with_its_patience(
    train: ScoredTrain, benchmark: Path, tmp_path: Path
) -> None:
    """With a learning rate of zero every score is that of the first, so a patience of two ends the run at the third."""
    flags = ("--evaluate", f"{benchmark}:validation", "--every", 1, "--learning_rate", "0", "--save_steps", 1)
    flags += ("--early_stopping_patience", 2, "--save_total_limit", 9)
    said = io.StringIO()
    report = train(*flags, output=said)
    assert report.steps == 3
    assert report.best is not None
    assert report.best.step == 1
    assert "ended before training step 6" in said.getvalue()

    # as if it had been killed after the second score, and after the third
    run = tmp_path / "run"
    for kept, resumed_from in ((2, "checkpoint-2"), (3, "checkpoint-3")):
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**record, "state": "running"}))
        if kept == 2:
            (run / "checkpoint-3" / "trainer_state.json").unlink()
        again = io.StringIO()
        report = train(*flags, output=again)
        assert f"{resumed_from}" in again.getvalue()
        assert report.steps == 3
        assert list(scores_of(run)) == [1, 2, 3]


def test_a_best_checkpoint_is_found_again_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-4").mkdir()
    state = TrainerState(best_metric=50.0, best_global_step=4)
    args = parse_settings(["--output_dir", str(tmp_path)]).training
    KeepBest(None).on_train_begin(args, state, None)
    assert state.best_model_checkpoint == str(tmp_path / "checkpoint-4")


def test_a_block_leaves_modes_memories_and_random_numbers_as_they_were() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    model[1].eval()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    wanted = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with undisturbed(model):
        assert not model.training
        model[0].remembered = torch.ones(1)
        random.random(), np.random.rand(), torch.rand(1)
    assert model.training
    assert not model[1].training
    assert not hasattr(model[0], "remembered")
    assert (random.random(), np.random.rand(), torch.rand(1)) == wanted


@pytest.mark.slow
def test_adapters_are_scored_and_the_best_of_them_are_kept(
    train: ScoredTrain, benchmark: Path, tmp_path: Path
) -> None:
    report = train(
        *("--evaluate", f"{benchmark}:validation", "--every", 2, "--max_steps", 12, "--use_peft"),
        *("--learning_rate", "2e-2"),
    )
    assert report.best is not None
    out = tmp_path / "answers.jsonl"
    predict(out, PredictOptions(str(tmp_path / "run"), str(benchmark), "validation", max_new_tokens=6))
    name = f"drawn-vqa-validation-step-{report.best.step}.jsonl"
    assert answers_in(out) == answers_in(tmp_path / "run" / "answers" / name)


@pytest.mark.slow
def test_two_processes_share_the_questions_and_score_as_one(
    train: ScoredTrain, tiny: Path, benchmark: Path, tmp_path: Path
) -> None:
    train("--evaluate", f"{benchmark}:validation", "--every", 3, "--output_dir", tmp_path / "one")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    command += ["-m", "llavamed_trainer", "train", "--config", "finetune-vqa-rad"]
    words = [
        *("--model_name_or_path", tiny, "--dataset", benchmark, "--global_batch_size", 8),
        *("--per_device_train_batch_size", 4, "--dataloader_num_workers", 0, "--learning_rate", "5e-3"),
        *("--logging_steps", 1, "--max_steps", 6, "--output_dir", tmp_path / "two"),
        *("--evaluate", f"{benchmark}:validation", "--every", 3, "--evaluate_max_new_tokens", 6),
        *("--per_device_eval_batch_size", 2),
    ]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, *map(str, words)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for step in (3, 6):
        name = f"answers/drawn-vqa-validation-step-{step}.jsonl"
        assert [each for each, _ in answers_in(tmp_path / "two" / name)] == [
            each for each, _ in answers_in(tmp_path / "one" / name)
        ]
    assert scores_of(tmp_path / "two") == pytest.approx(scores_of(tmp_path / "one"))
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), abs=2e-4)


@pytest.mark.parametrize(
    ("stated", "is_test"),
    [
        ("slake:validation", False),
        ("vqa-rad:train[10%]", False),
        ("vqa-rad:test", True),
        ("pmc-vqa-2:test_clean", True),
    ],
)
def test_a_part_of_a_test_split_is_known_as_such(stated: str, is_test: bool) -> None:
    (name,) = parse_parts(stated)
    assert str(name) == stated
    assert name.is_of_test_split is is_test
