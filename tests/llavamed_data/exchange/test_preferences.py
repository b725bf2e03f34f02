"""Preference pairs hold what reviewers chose, and TRL's DPO trainer trains on them as they are."""

from pathlib import Path
from typing import Any

import pytest

from llavamed_data import commands
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.review import DecisionFile, DecisionKind, row_digest
from tests.llavamed_data.validation.sets import instruct_row, turn, write_set

QUESTION = "What does the image show?"


def conversation(*texts: str) -> list[dict[str, Any]]:
    return [turn(("user", "assistant")[n % 2], text, image=n == 0) for n, text in enumerate(texts)]


def pairs_of(folder: Path) -> list[dict[str, Any]]:
    from datasets import load_dataset

    found = load_dataset("parquet", data_dir=str(folder / "data"), split="train")
    return [dict(row) for row in found]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two datasets of the same figures, and what two reviewers preferred."""
    ours = [
        instruct_row(number) | {"messages": conversation(QUESTION, f"One {number}.")} for number in range(8)
    ]
    theirs = [
        instruct_row(number) | {"messages": conversation(QUESTION, f"Two {number}.")} for number in range(8)
    ]
    theirs[2]["messages"] = conversation("Another question?", "Two.")
    theirs[3]["messages"] = conversation(QUESTION, "One 3.", "And?", "More.")
    file = DecisionFile(tmp_path / "decisions.jsonl")

    def prefer(number: int, choice: str, reviewer: str = "anna", row: Any = None) -> None:
        file.decide(
            row or ours[number],
            DecisionKind.PREFER,
            reviewer=reviewer,
            dataset="a",
            choice=choice,
            other=row_digest(theirs[number]),
            other_dataset="b",
        )

    prefer(0, "other")
    prefer(0, "this")  # on second thoughts
    prefer(1, "other")
    prefer(1, "other", "bert")
    prefer(2, "this")
    prefer(3, "other")
    prefer(4, "tie")
    prefer(5, "this")
    prefer(5, "other", "bert")
    prefer(6, "this", row=ours[6] | {"caption": "as it was"})
    prefer(7, "this")
    file.decide(ours[7], DecisionKind.UNDO, reviewer="anna", dataset="a")
    return write_set(tmp_path / "a", ours), write_set(tmp_path / "b", theirs), file.path


def test_comparisons_become_pairs(compared: tuple[Path, Path, Path], tmp_path: Path) -> None:
    one, two, decisions = compared
    done = commands.export(one, "preference", tmp_path / "out", decisions=decisions, against=two)
    assert [
        (pair["id"], pair["prompt"], pair["chosen"], pair["rejected"]) for pair in pairs_of(tmp_path / "out")
    ] == [
        ("9000_F1", user(QUESTION), assistant("One 0."), assistant("Two 0.")),
        ("9001_F1", user(QUESTION), assistant("Two 1."), assistant("One 1.")),
        (
            "9003_F1",
            user(QUESTION),
            [*assistant("One 3."), *user("And?"), *assistant("More.")],
            assistant("One 3."),
        ),
    ]
    assert pairs_of(tmp_path / "out")[0]["images"][0].size == (64, 48)
    assert done.to_dict()["rows"] == {"train": 3}
    left_out = {why.split()[0]: count for why, count in done.to_dict()["left_out"].items()}
    assert left_out == {"whose": 1, "ties": 1, "on": 1, "about": 1}


def test_a_tie_against_a_preference_is_a_disagreement_and_a_rejected_row_gives_no_pair(
    compared: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    one, two, path = compared
    file, ours, theirs = DecisionFile(path), Dataset(str(one)), Dataset(str(two))
    other = {"other": row_digest(theirs.row(1)), "other_dataset": "b"}
    file.decide(ours.row(1), DecisionKind.PREFER, reviewer="carl", dataset="a", choice="tie", **other)
    file.decide(ours.row(0), DecisionKind.REJECT, reviewer="anna", dataset="a", reason="bad figure")
    file.decide(theirs.row(3), DecisionKind.REJECT, reviewer="anna", dataset="b", reason="bad figure")
    with pytest.raises(
        LlavaMedError, match="2 whose row is rejected in review; 2 on which reviewers disagree"
    ):
        commands.export(one, "preference", tmp_path / "out", decisions=path, against=two)


def test_edits_in_a_built_set_become_pairs_of_its_source(tmp_path: Path) -> None:
    row, file = instruct_row(0), DecisionFile(tmp_path / "decisions.jsonl")
    file.decide(row, DecisionKind.EDIT, reviewer="anna", dataset="set", turn=1, text="New.")
    built = file.review(row).row
    file.decide(built, DecisionKind.EDIT, reviewer="anna", dataset="set", turn=1, text="Newest.")
    commands.export(write_set(tmp_path / "set", [row]), "preference", tmp_path / "out", decisions=file.path)
    (pair,) = pairs_of(tmp_path / "out")
    assert (pair["chosen"], pair["rejected"]) == (assistant("Newest."), assistant("A synthetic phantom."))


def test_edits_of_answers_become_pairs(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(4)]
    file = DecisionFile(tmp_path / "decisions.jsonl")

    def decide(number: int, kind: str, **fields: Any) -> None:
        file.decide(rows[number], DecisionKind(kind), reviewer="anna", dataset="set", **fields)

    decide(0, "edit", turn=0, text="What is it?")
    decide(0, "edit", turn=3, text="Noise.")
    decide(1, "edit", turn=1, text="x")
    decide(1, "reject", reason="all wrong")
    decide(2, "edit", turn=3, text="y")
    decide(2, "delete", turn=0)
    folder = write_set(tmp_path / "set", rows)
    commands.export(folder, "preference", tmp_path / "out", decisions=file.path)
    first, second = pairs_of(tmp_path / "out")
    assert first["prompt"] == [
        *user("What is it?"),
        *assistant("A synthetic phantom."),
        *user("Is it a person?"),
    ]
    assert (first["chosen"], first["rejected"]) == (assistant("Noise."), assistant("No, it is noise."))
    assert second["prompt"] == user("Is it a person?")


def test_what_gives_no_pair_is_said(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [instruct_row(number) for number in range(4)])
    file = DecisionFile(tmp_path / "decisions.jsonl")
    file.decide(instruct_row(0), DecisionKind.ACCEPT, reviewer="anna", dataset="set")
    with pytest.raises(LlavaMedError, match="no pair follows from the decisions"):
        commands.export(folder, "preference", tmp_path / "out", decisions=file.path)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="needs the reviewers' decisions"):
        commands.export(folder, "preference", tmp_path / "out")
    with pytest.raises(UsageError, match="--against does nothing with --to llava"):
        commands.export(folder, "llava", tmp_path / "out", against=folder)
    with pytest.raises(UsageError, match="lies inside the dataset"):
        commands.export(folder, "preference", folder / "out", decisions=file.path)


def test_the_dpo_trainer_of_trl_trains_on_the_pairs(
    compared: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    import torch
    from datasets import load_dataset
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    from tests.llavamed_trainer.tiny_models import write_tiny_model

    one, two, decisions = compared
    commands.export(one, "preference", tmp_path / "out", decisions=decisions, against=two)
    pairs = load_dataset("parquet", data_dir=str(tmp_path / "out" / "data"), split="train")
    model = write_tiny_model("llava", tmp_path / "model", [QUESTION, "One 0. Two 0."])
    settings = DPOConfig(
        str(tmp_path / "trained"),
        max_steps=2,
        per_device_train_batch_size=3,
        max_length=None,
        report_to="none",
        use_cpu=True,
        bf16=False,
        logging_steps=1,
        learning_rate=1e-2,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
    )
    trainer = DPOTrainer(
        AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32),
        args=settings,
        train_dataset=pairs,
        processing_class=AutoProcessor.from_pretrained(model),
    )
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # -log(1/2): the model is still its own reference
    assert losses[1] < losses[0]
