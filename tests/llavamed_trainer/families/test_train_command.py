"""`train` runs the stages for a model of every family: what is trained is shown, and the result is a whole model."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, ProcessorMixin

from llavamed_trainer.collate import ConversationCollator
from llavamed_trainer.models import FAMILIES, family_of, find_family, load_model
from llavamed_trainer.models.stopping import stop_ids
from llavamed_trainer.running import parse_settings, run_training
from llavamed_trainer.running.monitoring import ImageCounter
from llavamed_trainer.serving import check_model, merge_adapter
from tests.llavamed_trainer.running.conftest import write_set

from .conftest import Row


@pytest.fixture(scope="module")
def data(drawn_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "drawn", drawn_rows[:8])


def train(model: Path, data: Path, out: Path, recipe: str, *flags: str) -> tuple[Any, str]:
    """The report of a run of two training steps, and what it printed."""
    output = io.StringIO()
    words = [
        *("--config", recipe, "--model_name_or_path", model, "--dataset", data, "--output_dir", out),
        *("--global_batch_size", 4, "--per_device_train_batch_size", 2, "--dataloader_num_workers", 0),
        *("--logging_steps", 1, "--max_steps", 2, "--learning_rate", "2e-3", *flags),
    ]
    settings = parse_settings([str(word) for word in words])
    return run_training(settings, console=Console(file=output, width=200)), output.getvalue()


def _untried(tiny_model: Path) -> set[str]:
    """Of a model of no listed family, `check` does not know which names of weights servers want."""
    return set() if find_family(AutoConfig.from_pretrained(tiny_model)) in FAMILIES else {"not tried"}


@pytest.mark.parametrize(("shape", "images"), [("one image", 3), ("two images", 4), ("mixed", 3)])
def test_speed_is_measured_in_images_and_not_in_their_tiles(
    processor: ProcessorMixin, batches: dict[str, list[Row]], shape: str, images: int
) -> None:
    batch = ConversationCollator(processor)(batches[shape])
    assert int(ImageCounter(processor)(batch)) == images


@pytest.mark.parametrize("recipe", ["stage1", "stage2-60k-im"])
def test_a_stage_is_trained_and_its_model_loads_everywhere(
    tiny_model: Path, data: Path, tmp_path: Path, recipe: str, drawn_rows: list[Row]
) -> None:
    report, printed = train(tiny_model, data, tmp_path / "run", recipe)
    assert report.steps == 2
    assert not report.bad_rows
    model, processor = load_model(str(tmp_path / "run"))
    assert family_of(model).name in printed
    frozen = next(line for line in printed.splitlines() if "frozen" in line)
    assert "vision tower" in frozen
    assert ("language model" in frozen) == (recipe == "stage1")
    assert processor.chat_template == AutoProcessor.from_pretrained(tiny_model).chat_template
    assert ConversationCollator(processor).end_ids <= stop_ids(model.generation_config.eos_token_id)
    checked = check_model(str(tmp_path / "run"))
    assert {each.result for each in checked.checks} - _untried(tiny_model) == {"ok"}, checked.faults
    before = AutoModelForImageTextToText.from_pretrained(tiny_model)
    batch = ConversationCollator(processor)(drawn_rows[:3])
    with torch.no_grad():
        assert model(**batch).loss < before(**batch).loss


@pytest.mark.parametrize("kind", ["smolvlm", "llava-next"], indirect=True)
def test_worker_processes_change_no_result(tiny_model: Path, drawn_rows: list[Row], tmp_path: Path) -> None:
    rows = copy.deepcopy(drawn_rows[:8])
    rows[3]["images"][0]["bytes"] = b"no image"
    data = write_set(tmp_path / "set", rows)
    states = []
    for workers in (0, 2):
        out = tmp_path / f"workers-{workers}"
        report, printed = train(
            tiny_model,
            data,
            out,
            "stage2-60k-im",
            "--dataloader_num_workers",
            str(workers),
            "--max_steps",
            "4",
        )
        assert report.bad_rows == {"image unreadable": 1}
        assert ("2 worker processes make them ahead" in printed) == bool(workers)
        assert "rows/s on one core" in printed
        states.append(load_file(out / "model.safetensors"))
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())


def test_adapters_are_trained_and_load_on_their_base(
    tiny_model: Path, data: Path, tmp_path: Path, drawn_rows: list[Row]
) -> None:
    _, text = train(tiny_model, data, tmp_path / "run", "stage2-60k-im", "--use_peft", "--lora_r", "4")
    assert "adapters" in next(line for line in text.splitlines() if "trained" in line and "projector" in line)
    merged, processor = load_model(str(tmp_path / "run"))
    base = AutoModelForImageTextToText.from_pretrained(tiny_model)
    apart = PeftModel.from_pretrained(base, tmp_path / "run").eval()
    batch = ConversationCollator(processor)(drawn_rows[:3])
    with torch.no_grad():
        logits = apart(**batch).logits
        assert torch.allclose(logits, merged.eval()(**batch).logits, atol=1e-4)
    made = merge_adapter(str(tmp_path / "run"), tmp_path / "merged")
    stock, found = AutoModelForImageTextToText.from_pretrained(made.folder, output_loading_info=True)
    assert not any(found.values())
    with torch.no_grad():
        assert torch.allclose(logits, stock.eval()(**batch).logits, atol=1e-4)
    checked = check_model(str(made.folder))
    assert {each.result for each in checked.checks} - _untried(tiny_model) == {"ok"}, checked.faults


def test_what_is_trained_beside_frozen_weights_of_16_bit_is_float32(
    tiny_model: Path, data: Path, tmp_path: Path, drawn_rows: list[Row]
) -> None:
    flags = ("--use_peft", "--lora_r", "4", "--dtype", "bfloat16", "--bf16", "true", "--use_cpu")
    train(tiny_model, data, tmp_path / "run", "stage2-60k-im", *flags)
    saved = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert any("lora_A" not in name and "lora_B" not in name for name in saved)  # the projector
    assert {weights.dtype for weights in saved.values()} == {torch.float32}
    model, processor = load_model(str(tmp_path / "run"))
    with torch.no_grad():
        assert model(**ConversationCollator(processor)(drawn_rows[:3])).loss.isfinite()
