"""A LLaVA made from parts loads in stock transformers, and each part computes what it computed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoModelForCausalLM, AutoProcessor, LlavaForConditionalGeneration

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.assembly import assemble
from tests.llavamed_trainer.assembly.parts import SIDE, plain_tokenizer, save_language, save_vision

QUESTION = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language("llama", tmp_path_factory.mktemp("llama"), plain_tokenizer(["What is it? A cyst."]))


def noise_image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


@pytest.mark.parametrize(("kind", "tokens"), [("clip", 4), ("siglip", 4), ("vit", 4), ("dinov2", 4)])
@pytest.mark.parametrize("projector", ["linear", "mlp2x_gelu"])
def test_image_features_are_those_of_the_towers_second_to_last_layer(
    kind: str, tokens: int, projector: str, llama: Path, tmp_path: Path
) -> None:
    tower = save_vision(kind, tmp_path / kind)
    made = assemble(
        tmp_path / "llava",
        vision_tower=str(tower),
        language_model=str(llama),
        projector=projector,
        dtype="float32",
    )
    assert made.tokens_per_image == tokens
    assert made.image_side == SIDE
    model = LlavaForConditionalGeneration.from_pretrained(made.folder).eval()
    processor = AutoProcessor.from_pretrained(made.folder)
    inputs = processor(
        text=processor.apply_chat_template([QUESTION]), images=noise_image(), return_tensors="pt"
    )
    assert (inputs["input_ids"] == model.config.image_token_index).sum() == tokens
    stock = AutoModel.from_pretrained(tower)
    stock = getattr(stock, "vision_model", stock).eval()
    with torch.no_grad():
        hidden = stock(inputs["pixel_values"], output_hidden_states=True).hidden_states[-2][0]
        patches = hidden if kind == "siglip" else hidden[1:]
        weights = model.model.multi_modal_projector
        expected = patches @ weights.linear_1.weight.T + weights.linear_1.bias
        if projector == "mlp2x_gelu":
            expected = weights.linear_2(torch.nn.functional.gelu(expected))
        found = model.get_image_features(inputs["pixel_values"]).pooler_output[0]
        assert torch.allclose(found, expected, atol=1e-5)
        assert model(**inputs).logits.isfinite().all()


def test_the_language_models_logits_are_those_of_before(llama: Path, tmp_path: Path) -> None:
    tower = save_vision("clip", tmp_path / "clip")
    made = assemble(tmp_path / "llava", vision_tower=str(tower), language_model=str(llama), dtype="float32")
    ids = torch.tensor([[0, 5, 9, 40, 7]])
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(llama)(ids).logits
        after = LlavaForConditionalGeneration.from_pretrained(made.folder)(ids).logits
    assert torch.allclose(before, after[..., : before.shape[-1]], atol=1e-6)
    assert made.parameters["vision tower"] > 0
    config = LlavaForConditionalGeneration.from_pretrained(made.folder).config
    assert config.text_config.vocab_size % 64 == 0


def test_tied_embeddings_stay_tied(tmp_path: Path) -> None:
    language = save_language("llama", tmp_path / "tied", plain_tokenizer(["a b"]), tied=True)
    tower = save_vision("clip", tmp_path / "clip")
    made = assemble(
        tmp_path / "llava", vision_tower=str(tower), language_model=str(language), dtype="float32"
    )
    model = LlavaForConditionalGeneration.from_pretrained(made.folder)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_the_same_seed_gives_the_same_projector(llama: Path, tmp_path: Path) -> None:
    tower = save_vision("clip", tmp_path / "clip")
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = assemble(tmp_path / name, vision_tower=str(tower), language_model=str(llama), seed=seed)
        files.append((made.folder / "model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_a_projector_of_the_released_code_is_loaded(llama: Path, tmp_path: Path) -> None:
    tower = save_vision("clip", tmp_path / "clip")
    weight, bias = torch.randn(64, 64), torch.randn(64)
    torch.save(
        {"model.mm_projector.weight": weight, "model.mm_projector.bias": bias}, tmp_path / "mm_projector.bin"
    )
    parts = {"vision_tower": str(tower), "language_model": str(llama), "dtype": "float32"}
    made = assemble(tmp_path / "llava", projector_weights=tmp_path / "mm_projector.bin", **parts)
    projector = LlavaForConditionalGeneration.from_pretrained(made.folder).model.multi_modal_projector
    features = torch.randn(5, 64)
    assert torch.allclose(projector(features), features @ weight.T + bias, atol=1e-6)
    with pytest.raises(UsageError, match="choose another --projector"):
        assemble(
            tmp_path / "other",
            projector="mlp2x_gelu",
            projector_weights=tmp_path / "mm_projector.bin",
            **parts,
        )
    assert not (tmp_path / "other").exists()
    (tmp_path / "cut.bin").write_bytes((tmp_path / "mm_projector.bin").read_bytes()[:300])
    with pytest.raises(LlavaMedError, match=r"cut\.bin is damaged"):
        assemble(tmp_path / "other", projector_weights=tmp_path / "cut.bin", **parts)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vision_tower": "/no/tower/here"}, "there is no vision tower '/no/tower/here'"),
        ({"language_model": "/no/words/here"}, "there is no language model '/no/words/here'"),
        ({"projector": "conv"}, "no projector is called 'conv'"),
        ({"template": "chatml"}, "no chat template is called 'chatml'"),
        ({"vision_tower": "LANGUAGE"}, "is a llama model, no vision tower"),
    ],
)
def test_a_wrong_part_is_named_and_no_folder_is_left(
    wrong: dict[str, str], message: str, llama: Path, tmp_path: Path
) -> None:
    tower = save_vision("clip", tmp_path / "clip")
    parts = {"vision_tower": str(tower), "language_model": str(llama)} | wrong
    parts = {name: str(llama) if value == "LANGUAGE" else value for name, value in parts.items()}
    with pytest.raises(UsageError, match=message):
        assemble(tmp_path / "llava", **parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip"]


def test_a_folder_that_is_not_empty_is_refused(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="exists already"):
        assemble(tmp_path / "out", vision_tower="x", language_model=str(llama))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
