"""A saved model has the names of the Hub, under which servers look its weights up."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from llavamed_trainer.models import load_model, save_checkpoint


def test_weights_get_the_names_of_the_hub_from_those_of_memory(tiny_model: Path, tmp_path: Path) -> None:
    model, processor = load_model(str(tiny_model))
    memory, again = tmp_path / "memory", tmp_path / "again"
    model.save_pretrained(memory, save_original_format=False)
    processor.save_pretrained(memory)
    save_checkpoint(*load_model(str(memory)), again)
    found, expected = (load_file(folder / "model.safetensors") for folder in (again, tiny_model))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
