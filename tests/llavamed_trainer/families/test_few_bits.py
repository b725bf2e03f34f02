"""LoRA beside weights in 4 or 8 bit: the language model's alone are, and the adapter works on the whole model."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_trainer.collate import ConversationCollator
from llavamed_trainer.models import family_of
from llavamed_trainer.models.stages import trained_projector
from llavamed_trainer.running import parse_settings, run_training
from llavamed_trainer.serving import merge_adapter
from tests.llavamed_trainer.running.conftest import write_set

from .conftest import Row

pytestmark = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs bitsandbytes, which computes on CPUs too"
)

KINDS = ("llava", "qwen2.5-vl", "smolvlm", "gemma3")
"""Families whose projectors differ: linear layers, a merger within the tower, one layer, a matrix without a module."""


@pytest.fixture(scope="module")
def data(drawn_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_set(tmp_path_factory.mktemp("sets") / "drawn", drawn_rows[:8])
    return write_set(folder, drawn_rows[8:10], "test")


@pytest.fixture(autouse=True)
def only_some(kind: str) -> None:
    if kind not in KINDS:
        pytest.skip("four families are enough")


def train(model: Path, data: Path, out: Path, bits: int, *flags: str) -> Any:
    words = [
        *("--config", "stage2-60k-im", "--model_name_or_path", model, "--dataset", data, "--output_dir", out),
        *("--global_batch_size", 4, "--per_device_train_batch_size", 2, "--dataloader_num_workers", 0),
        *("--logging_steps", 1, "--max_steps", 4, "--save_steps", 2, "--learning_rate", "2e-3"),
        *("--use_peft", "--lora_r", 4, f"--load_in_{bits}bit", *flags),
    ]
    return run_training(parse_settings([str(word) for word in words]))


@pytest.mark.parametrize("bits", [4, 8])
def test_an_adapter_of_few_bits_is_trained_and_merges_into_the_whole_model(
    tiny_model: Path, data: Path, tmp_path: Path, bits: int, drawn_rows: list[Row]
) -> None:
    report = train(tiny_model, data, tmp_path / "run", bits)
    assert report.last_loss < report.first_loss
    stock: Any = AutoModelForImageTextToText
    before = stock.from_pretrained(tiny_model)
    family = family_of(before)
    merge_adapter(str(tmp_path / "run"), tmp_path / "merged")
    merged = stock.from_pretrained(tmp_path / "merged")
    assert merged.dtype == before.dtype
    assert not hasattr(merged.config, "quantization_config")
    old = dict(before.named_parameters())
    changed = {name for name, each in merged.named_parameters() if not torch.equal(each, old[name])}
    projector = {name for name in old if name.startswith(trained_projector(before))}
    assert projector <= changed
    assert all(name.startswith(f"{family.language_model}.") for name in changed - projector)
    batch = ConversationCollator(AutoProcessor.from_pretrained(tmp_path / "merged"))(drawn_rows[:8])
    with torch.no_grad():
        loss, was = float(merged(**batch).loss), float(before(**batch).loss)
    assert loss < was
    assert loss == pytest.approx(report.last_loss, abs=0.3)


def test_a_resumed_run_and_one_that_evaluates_end_with_the_same_bits(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    still = ("--lora_dropout", "0")  # an evaluation draws random numbers, which dropout would draw otherwise
    train(tiny_model, data, tmp_path / "whole", 4, *still)
    resumed = (*still, "--resume_from_checkpoint", str(tmp_path / "whole" / "checkpoint-2"))
    train(tiny_model, data, tmp_path / "resumed", 4, *resumed)
    evaluated = (*still, "--eval_strategy", "steps", "--eval_steps", "1", "--eval_split", "test")
    train(tiny_model, data, tmp_path / "evaluated", 4, *evaluated)
    whole, *others = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "resumed", "evaluated")
    )
    for other in others:
        assert whole.keys() == other.keys()
        assert all(torch.equal(whole[name], other[name]) for name in whole)
