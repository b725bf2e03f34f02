"""A tiny LLaVA in which nothing is wrong, and LoRA adapters, made without training."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.models import load_model, lora_config

Row = dict[str, Any]

Adapt = Callable[..., Path]


@pytest.fixture(scope="session")
def texts(drawn_rows: list[Row]) -> list[str]:
    return [
        part["text"]
        for row in drawn_rows
        for turn in row["messages"]
        for part in turn["content"]
        if part["text"]
    ]


@pytest.fixture(scope="session")
def whole_model(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA with the projector of LLaVA 1.5, in which nothing is wrong."""
    return assemble_tiny(tmp_path_factory.mktemp("whole") / "model", texts, projector="mlp2x_gelu")


@pytest.fixture
def model(whole_model: Path, tmp_path: Path) -> Path:
    """A copy of it, in which a test breaks something."""
    return Path(shutil.copytree(whole_model, tmp_path / "model"))


@pytest.fixture
def adapt() -> Adapt:
    """`adapt(base, folder)` writes an adapter of a model: LoRA on the language model and the projector, random."""

    def write(base: Path, folder: Path, *, stated: str | None = None, dtype: Any = "auto") -> Path:
        loaded, processor = load_model(str(base), dtype=dtype)
        loaded.name_or_path = str(base) if stated is None else stated
        adapted = get_peft_model(loaded, lora_config(loaded, r=4))
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(len(str(folder)))
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.05)
        adapted.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder

    return write


def load(folder: Path) -> tuple[Any, Any]:
    """The model and the processor as stock transformers loads them."""
    return AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
