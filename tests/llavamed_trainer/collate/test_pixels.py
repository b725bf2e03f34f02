"""Pixel values are the image processor's own to the bit, or nearly so when they are made the fast way."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from llavamed_data.errors import UsageError
from llavamed_trainer.collate import LlavaMedCollator
from llavamed_trainer.collate.pixels import PixelReader

from .conftest import Row, encoded, picture, row

SQUARE = {"height": 112, "width": 112}
PROCESSORS: dict[str, Any] = {
    "CLIP": CLIPImageProcessorPil(size={"shortest_edge": 112}, crop_size=SQUARE),
    "SigLIP": SiglipImageProcessorPil(size=SQUARE),
    "ViT": ViTImageProcessorPil(size=SQUARE),
    "BiT, DINOv2": BitImageProcessorPil(size={"shortest_edge": 128}, crop_size=SQUARE),
    "without normalising": CLIPImageProcessorPil(
        size={"shortest_edge": 112}, crop_size=SQUARE, do_normalize=False
    ),
}
SHAPES = [(400, 300), (301, 555), (112, 112), (90, 70), (1000, 131)]


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_exact_is_the_processor_to_the_bit_and_quick_is_near(name: str, shape: tuple[int, int]) -> None:
    import io

    processor = PROCESSORS[name]
    data = encoded(picture(*shape), quality=90)
    expected = processor(images=Image.open(io.BytesIO(data)), return_tensors="pt")["pixel_values"][0].numpy()
    exact, quick = PixelReader(processor, exact=True), PixelReader(processor)
    assert exact.shape == quick.shape == (3, 112, 112)
    assert not quick.stock
    out = np.empty(exact.shape, dtype=np.float32)
    exact.read({"bytes": data, "path": None}, out)
    assert np.array_equal(out, expected)
    quick.read(data, out)
    assert np.abs(out - expected).mean() < 0.03 * expected.std()
    quick.read(Image.open(io.BytesIO(data)), out)  # decoded in full, only resized in one go
    assert np.abs(out - expected).mean() < 0.01 * expected.std()


def test_real_images_differ_by_two_hundredths_at_most_by_a_tenth(eval_rows: list[Row]) -> None:
    processor = CLIPImageProcessorPil()
    exact, quick = PixelReader(processor, exact=True), PixelReader(processor)
    images = {row["images"][0]["bytes"] for row in eval_rows}
    differences = []
    out = np.empty((2, *exact.shape), dtype=np.float32)
    for image in images:
        exact.read(image, out[0])
        quick.read(image, out[1])
        differences.append(np.abs(out[0] - out[1]).mean())
    assert len(images) == 29
    assert np.mean(differences) < 0.02
    assert max(differences) < 0.1


class UpsideDown(CLIPImageProcessorPil):
    """Does what its settings do not say."""

    def _preprocess(self, images: Any, **kwargs: Any) -> Any:
        return super()._preprocess([image[:, ::-1] for image in images], **kwargs)


@pytest.mark.parametrize(
    "processor",
    [
        UpsideDown(size={"shortest_edge": 112}, crop_size=SQUARE),
        CLIPImageProcessorPil(size={"longest_edge": 90, "shortest_edge": 80}, crop_size=SQUARE),
    ],
    ids=["another rule", "other settings"],
)
def test_what_is_not_understood_goes_through_the_processor_itself(processor: Any) -> None:
    reader = PixelReader(processor)
    assert reader.stock
    out = np.empty(reader.shape, dtype=np.float32)
    reader.read(picture(), out)
    assert np.array_equal(out, processor(images=picture(), return_tensors="pt")["pixel_values"][0].numpy())


def test_an_image_that_must_be_padded_goes_through_the_processor_itself() -> None:
    processor = CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size=SQUARE)
    reader = PixelReader(processor)
    out = np.empty(reader.shape, dtype=np.float32)
    for image in (picture(100, 60), picture(60, 60)):
        reader.read(image, out)
        assert np.array_equal(out, processor(images=image, return_tensors="pt")["pixel_values"][0].numpy())


def test_images_of_different_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="makes images of different sizes"):
        PixelReader(CLIPImageProcessorPil(do_center_crop=False))


def test_an_image_of_the_callers_stays_as_it_is(processor: LlavaProcessor) -> None:
    import io

    held = Image.open(io.BytesIO(encoded(picture(400, 300))))
    collator = LlavaMedCollator(processor)
    first, second = (collator([row(images=[held])])["pixel_values"] for _ in range(2))
    assert held.size == (400, 300)
    assert torch.equal(first, second)


VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TOWERS: dict[str, tuple[str, str, int, str, int]] = {
    "clip_vision_model": ("CLIP", "default", 1, "clip_vision_model", 64),
    "siglip_vision_model": ("SigLIP", "full", 0, "siglip_vision_model", 64),
    "vit": ("ViT", "default", 1, "vit", 64),
    "dinov2": ("BiT, DINOv2", "default", 1, "dinov2", 64),
}


@pytest.mark.parametrize("tower", TOWERS)
def test_an_image_takes_as_many_tokens_as_the_tower_has_features(
    processor: LlavaProcessor, tower: str
) -> None:
    images, strategy, extra, kind, tokens = TOWERS[tower]
    other = LlavaProcessor(
        PROCESSORS[images],
        processor.tokenizer,
        14,
        strategy,
        processor.chat_template,
        num_additional_image_tokens=extra,
    )
    config = LlavaConfig(
        vision_config={"model_type": kind, "image_size": 112, "patch_size": 14, **VISION},
        text_config={"model_type": "llama", "vocab_size": len(processor.tokenizer), **VISION},
        image_token_index=processor.image_token_id,
        vision_feature_select_strategy=strategy,
    )
    batch = LlavaMedCollator(other)([row(), row()])
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [tokens, tokens]
    assert torch.isfinite(LlavaForConditionalGeneration(config)(**batch).loss)
