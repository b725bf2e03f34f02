"""A checkpoint of the released code computes the same after it is converted."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM, LlavaForConditionalGeneration

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly import convert_legacy
from tests.llavamed_trainer.assembly.parts import plain_tokenizer, save_language, save_vision


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return save_vision("clip", tmp_path / "clip")


def released(
    folder: Path, tower: Path, *, kind: str, projector: str, shards: int, vision_inside: bool
) -> Path:
    """A checkpoint as the released code lays it out, and `expected.pt` with what it computes."""
    language = save_language(kind, folder, plain_tokenizer(["What is it?"]))
    torch.manual_seed(3)
    first, second = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)
    state = dict(AutoModelForCausalLM.from_pretrained(language).state_dict())
    if projector == "linear":
        state |= {f"model.mm_projector.{name}": value for name, value in first.state_dict().items()}
    else:
        state |= {f"model.mm_projector.0.{name}": value for name, value in first.state_dict().items()}
        state |= {f"model.mm_projector.2.{name}": value for name, value in second.state_dict().items()}
    vision = AutoModel.from_pretrained(tower).vision_model
    if vision_inside:
        with torch.no_grad():
            for parameter in vision.parameters():
                parameter.mul_(1.1)
        outer = "model.vision_tower.vision_tower.vision_model."
        state |= {f"{outer}{name}": value for name, value in vision.state_dict().items()}
    (folder / "model.safetensors").unlink()
    _write(folder, {name: value.detach().clone() for name, value in state.items()}, shards)
    config = json.loads((folder / "config.json").read_text())
    name = "Llama" if kind == "llama" else "Mistral"
    config |= {
        "architectures": [f"Llava{name}ForCausalLM"],
        "model_type": f"llava_{kind}",
        "mm_vision_tower": str(tower),
        "mm_hidden_size": 64,
        "mm_projector_type": projector,
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
    }
    (folder / "config.json").write_text(json.dumps(config))
    pixels = torch.randn(1, 3, 28, 28)
    with torch.no_grad():
        features = first(vision.eval()(pixels, output_hidden_states=True).hidden_states[-2][0, 1:])
        if projector != "linear":
            features = second(torch.nn.functional.gelu(features))
    torch.save({"pixels": pixels, "features": features}, folder / "expected.pt")
    return folder


def _write(folder: Path, state: dict[str, torch.Tensor], shards: int) -> None:
    names = sorted(state)
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return
    places = {
        name: f"model-{index % shards + 1:05d}-of-{shards:05d}.safetensors"
        for index, name in enumerate(names)
    }
    for file in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize(
    ("kind", "projector", "shards", "vision_inside"),
    [("llama", "linear", 1, False), ("mistral", "mlp2x_gelu", 2, True)],
)
def test_image_features_and_logits_are_those_of_the_released_checkpoint(
    kind: str, projector: str, shards: int, vision_inside: bool, tower: Path, tmp_path: Path
) -> None:
    old = released(
        tmp_path / "old", tower, kind=kind, projector=projector, shards=shards, vision_inside=vision_inside
    )
    made = convert_legacy(old, tmp_path / "new", dtype="float32")
    assert made.template == ("mistral" if kind == "mistral" else "vicuna_v1")
    model = LlavaForConditionalGeneration.from_pretrained(made.folder).eval()
    expected = torch.load(old / "expected.pt")
    with torch.no_grad():
        found = model.get_image_features(expected["pixels"]).pooler_output[0]
        assert torch.allclose(found, expected["features"], atol=1e-5)
        ids = torch.tensor([[0, 4, 8, 30]])
        plain = save_language(kind, tmp_path / "plain", plain_tokenizer(["What is it?"]))
        before = AutoModelForCausalLM.from_pretrained(plain)(ids).logits
        assert torch.allclose(before, model(ids).logits[..., : before.shape[-1]], atol=1e-5)
    assert model.config.text_config.model_type == kind


def test_the_vision_tower_can_be_given_separately(tower: Path, tmp_path: Path) -> None:
    old = released(tmp_path / "old", tower, kind="llama", projector="linear", shards=1, vision_inside=False)
    config = json.loads((old / "config.json").read_text()) | {"mm_vision_tower": "openai/not-here"}
    (old / "config.json").write_text(json.dumps(config))
    assert convert_legacy(old, tmp_path / "new", vision_tower=str(tower)).folder.is_dir()


def test_an_incomplete_copy_is_refused(tower: Path, tmp_path: Path) -> None:
    old = released(tmp_path / "old", tower, kind="mistral", projector="linear", shards=2, vision_inside=False)
    (old / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UsageError, match="lacks model-00002-of-00002.safetensors"):
        convert_legacy(old, tmp_path / "new")
    with pytest.raises(UsageError, match="has not the layout of the released LLaVA code"):
        convert_legacy(tower, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "setting", [{"mm_vision_select_feature": "cls_patch"}, {"mm_use_im_start_end": True}]
)
def test_what_a_stock_llava_cannot_compute_is_refused(
    setting: dict[str, object], tower: Path, tmp_path: Path
) -> None:
    old = released(tmp_path / "old", tower, kind="llama", projector="linear", shards=1, vision_inside=False)
    config = json.loads((old / "config.json").read_text()) | setting
    (old / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="a stock LLaVA cannot"):
        convert_legacy(old, tmp_path / "new")
