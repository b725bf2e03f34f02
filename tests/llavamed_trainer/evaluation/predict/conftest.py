"""A small benchmark, and a tiny model whose answers differ from image to image and end by themselves."""

from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set

OPEN = (
    "What does the image show?",
    "Which colour is it?",
    "What is to be seen on the left side of the image?",
)


@pytest.fixture(scope="session")
def varied_llava(tiny_llava: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny LLaVA with larger random weights, so that its answers differ; a tenth of its tokens end an answer."""
    folder = tmp_path_factory.mktemp("varied_llava")
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    processor = AutoProcessor.from_pretrained(tiny_llava)
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name:
                weight.copy_(torch.randn(weight.shape, generator=chance) * 0.15)
    stop = processor.tokenizer.eos_token_id
    model.generation_config.eos_token_id = [stop, *range(20, model.config.text_config.vocab_size, 10)]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 questions, three an image; every third is closed, the last two are in Chinese."""
    rows = [
        make_row(
            f"q{number}",
            f"Is it {number}?" if number % 3 == 2 else f"{OPEN[number % 2]} {'Really? ' * (number % 4)}",
            "no" if number % 3 == 2 else "A circle.",
            drawn(number // 3),
            answer_type="CLOSED" if number % 3 == 2 else "OPEN",
            question_type="COLOR",
            language="zh" if number >= 28 else "en",
        )
        for number in range(30)
    ]
    return make_set(tmp_path_factory.mktemp("benchmark") / "drawn-vqa", "vqa", rows)
