"""Missing weights of a part are never filled with random ones, and a written checkpoint is complete."""

import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly import assemble
from tests.llavamed_trainer.assembly.parts import plain_tokenizer, save_language, save_vision


@pytest.mark.parametrize("part", ["clip", "vit", "llama"])
def test_a_part_that_lacks_weights_is_refused_and_they_are_named(part: str, tmp_path: Path) -> None:
    llama = save_language("llama", tmp_path / "llama", plain_tokenizer(["a b"]))
    tower = save_vision("vit" if part == "vit" else "clip", tmp_path / "tower")
    file = (llama if part == "llama" else tower) / "model.safetensors"
    kept = {
        name: value
        for name, value in load_file(file).items()
        if not re.search(r"layers?\.1\.", name) or "text" in name
    }
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks \d+ weights .*layers\.1\..*the copy is incomplete"):
        assemble(tmp_path / "llava", vision_tower=str(tower), language_model=str(llama))
    assert not (tmp_path / "llava").exists()


def test_a_damaged_file_is_reported_in_one_line(tmp_path: Path) -> None:
    llama = save_language("llama", tmp_path / "llama", plain_tokenizer(["a b"]))
    tower = save_vision("clip", tmp_path / "clip")
    file = tower / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UsageError, match="there is no vision tower"):
        assemble(tmp_path / "llava", vision_tower=str(tower), language_model=str(llama))


@pytest.mark.parametrize("kind", ["clip", "siglip", "vit", "dinov2"])
def test_stock_transformers_finds_every_weight(kind: str, tmp_path: Path) -> None:
    llama = save_language("llama", tmp_path / "llama", plain_tokenizer(["a b"]))
    tower = save_vision(kind, tmp_path / kind)
    made = assemble(tmp_path / "llava", vision_tower=str(tower), language_model=str(llama))
    _, loaded = LlavaForConditionalGeneration.from_pretrained(made.folder, output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
