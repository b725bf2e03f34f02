"""Packed rows are trained on as rows of their own, for every family that is packed; the others are refused by name."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, LlavaProcessor, ProcessorMixin

from llavamed_data.errors import UsageError
from llavamed_trainer.collate import BadRowReason, BadRows, ConversationCollator
from llavamed_trainer.collate.packs import PackedBatches
from llavamed_trainer.collate.processor_batches import ProcessorBatches
from llavamed_trainer.models import family_of
from tests.llavamed_trainer.training.runs import BOTH, dataset, load, losses, same, state_of
from tests.llavamed_trainer.training.runs import config as settings_of
from tests.llavamed_trainer.training.runs import trainer as make_trainer

from .conftest import Row, with_two_images, without_images

Batch = dict[str, torch.Tensor]


@pytest.fixture
def packed_kind(kind: str) -> str:
    if kind in ("gemma3", "unlisted"):
        pytest.skip("rows are not packed for Gemma 3 and models of no listed family")
    return kind


@pytest.fixture(scope="module")
def packs(drawn_rows: list[Row]) -> dict[str, list[Row]]:
    """Rows in the order in which all processors return them: those without images come last."""
    one, two = drawn_rows[:4], with_two_images(*drawn_rows[3:5])
    none = [without_images(drawn_rows[6]), without_images(drawn_rows[9])]
    return {"images": one, "mixed": [one[1], two, one[2], *none], "no image": none, "one row": [two]}


def load_with(path: Path, attention: str) -> Any:
    return AutoModelForImageTextToText.from_pretrained(path, attn_implementation=attention)


def loss_and_gradients(model: Any, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**batch, use_cache=False).loss
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def segments(batch: Batch) -> list[slice]:
    """The places of the segments of a pack, and of the padding at its end."""
    positions = batch["position_ids"].reshape(-1, batch["input_ids"].shape[1])[0]
    starts = (positions == 0).nonzero().flatten().tolist()
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(positions)], strict=True)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("shape", ["images", "mixed", "no image", "one row"])
def test_a_pack_has_the_loss_and_gradients_of_its_rows(
    packed_kind: str,
    processor: ProcessorMixin,
    tiny_model: Path,
    packs: dict[str, list[Row]],
    shape: str,
    attention: str,
) -> None:
    model = load_with(tiny_model, attention)
    padded = ConversationCollator(processor)(packs[shape])
    packed = ConversationCollator(processor, packing=True, pad_to_multiple_of=64)(packs[shape])
    assert "attention_mask" not in packed
    assert packed["input_ids"].shape[0] == 1
    assert packed["input_ids"].shape[1] % 64 == 0
    lengths = padded["attention_mask"].sum(dim=1).tolist()
    found = segments(packed)[: len(lengths)]
    assert [each.stop - each.start for each in found] == lengths
    for number, place in enumerate(found):
        length = lengths[number]
        assert torch.equal(packed["input_ids"][0, place], padded["input_ids"][number, :length])
        assert torch.equal(packed["labels"][0, place][1:], padded["labels"][number, 1:length])
        assert packed["labels"][0, place.start] == -100
    loss, gradients = loss_and_gradients(model, padded)
    packed_loss, packed_gradients = loss_and_gradients(model, packed)
    assert packed_loss == pytest.approx(loss, abs=1e-5)
    assert packed_gradients.keys() == gradients.keys()
    largest = max(1.0, *(float(each.abs().max()) for each in gradients.values()))
    for name, gradient in gradients.items():
        assert torch.allclose(packed_gradients[name], gradient, rtol=1e-5, atol=1e-5 * largest), name


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("changed", ["text", "image"])
def test_a_segment_does_not_see_another(
    packed_kind: str,
    processor: ProcessorMixin,
    tiny_model: Path,
    packs: dict[str, list[Row]],
    changed: str,
    attention: str,
) -> None:
    rows = copy.deepcopy(packs["mixed"])
    before = ConversationCollator(processor, packing=True)(rows)
    if changed == "text":
        rows[1]["messages"][0]["content"][-1]["text"] = "Is anything at all to be seen here, and where?"
    else:
        file = io.BytesIO()
        Image.effect_noise(Image.open(io.BytesIO(rows[1]["images"][0]["bytes"])).size, 90).convert(
            "RGB"
        ).save(file, "PNG")
        rows[1]["images"][0] = {"bytes": file.getvalue(), "path": None}
    after = ConversationCollator(processor, packing=True)(rows)
    model = load_with(tiny_model, attention).eval()
    with torch.no_grad():
        old, new = (model(**batch, use_cache=False).logits[0] for batch in (before, after))
    for number, (one, other) in enumerate(zip(segments(before), segments(after), strict=True)):
        if number == 1:
            assert old[one].shape != new[other].shape or not torch.allclose(old[one], new[other], atol=1e-4)
        else:
            assert torch.allclose(old[one], new[other], rtol=0, atol=1e-6), number


def test_positions_of_qwen_are_those_of_the_model(
    kind: str, processor: ProcessorMixin, tiny_model: Path, packs: dict[str, list[Row]]
) -> None:
    model = load_with(tiny_model, "sdpa")
    if not family_of(model).mrope:
        pytest.skip("positions have one dimension")
    padded = ConversationCollator(processor)(packs["mixed"])
    packed = ConversationCollator(processor, packing=True)(packs["mixed"])
    expected, _ = model.model.get_rope_index(
        **{
            name: padded[name]
            for name in ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
        }
    )
    mask = padded["attention_mask"].bool()
    assert torch.equal(packed["position_ids"][1:, 0], expected[:, mask])


def test_rows_of_a_pack_are_cut_and_left_out_as_others_are(
    packed_kind: str, processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    long, bad = copy.deepcopy(drawn_rows[1]), copy.deepcopy(drawn_rows[4])
    long["messages"][-1]["content"][0]["text"] = "A red square. " * 40
    bad["images"][0]["bytes"] = b"no image"
    size = int(ConversationCollator(processor, max_length=None)([long])["attention_mask"].sum())
    collator = ConversationCollator(processor, max_length=size - 30, packing=True)
    packed = collator([long, bad, drawn_rows[2]])
    assert next(each.stop - each.start for each in segments(packed)) == size - 30
    assert len(segments(packed)) == 2
    assert collator.bad_rows.counts == {BadRowReason.IMAGE_UNREADABLE: 1}
    blank = collator([bad])
    assert (blank["labels"] == -100).all()
    assert len(segments(blank)) in (1, 2)


def test_a_resumed_packed_run_ends_with_the_same_bits(
    packed_kind: str, processor: ProcessorMixin, tiny_model: Path, drawn_rows: list[Row], tmp_path: Path
) -> None:
    rows = dataset(
        [*drawn_rows[:12], without_images(drawn_rows[12]), without_images(drawn_rows[13])], tiny_model
    )

    def run(out: Path) -> Any:
        settings = settings_of(out, max_steps=4, per_device_train_batch_size=1)
        collator = ConversationCollator(processor, max_length=512, packing=True)
        return make_trainer(load(tiny_model, BOTH), tiny_model, settings, rows, collator=collator)

    through = run(tmp_path / "through")
    through.train()
    resumed = run(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "through" / "checkpoint-2"))
    assert losses(resumed) == losses(through)
    assert same(state_of(resumed.model), state_of(through.model))
    tokens = [entry["num_tokens"] for entry in through.state.log_history if "num_tokens" in entry]
    assert tokens[0] > 100  # of a pack, not the packs themselves


def test_other_models_are_refused_with_the_reason(
    kind: str, processor: ProcessorMixin, tiny_model: Path, packs: dict[str, list[Row]]
) -> None:
    family = family_of(load_with(tiny_model, "sdpa"))
    if family.packing_refused is None:
        assert ConversationCollator(processor, packing=True).packing
        return
    assert not isinstance(processor, LlavaProcessor)
    with pytest.raises(UsageError, match=r"rows are not packed for .*: .*; leave out --packing"):
        ConversationCollator(processor, packing=True)


def test_a_pack_of_gemma_3_has_not_the_logits_of_its_rows(
    kind: str, processor: ProcessorMixin, tiny_model: Path, packs: dict[str, list[Row]]
) -> None:
    """The reason why it is refused; where this fails, transformers is repaired, and packing can be tried."""
    if kind != "gemma3":
        pytest.skip("rows are packed for this family")
    batches = ProcessorBatches(
        processor, max_length=None, pad_to_multiple_of=1, bad_rows=BadRows(), text="all", left=False
    )
    padded = batches.make(packs["mixed"])
    packed = PackedBatches(batches, processor, pad_to_multiple_of=1).make(packs["mixed"])
    model = load_with(tiny_model, "sdpa").eval()
    with torch.no_grad():
        rows = model(**padded, use_cache=False).logits[padded["attention_mask"].bool()]
        pack = model(**packed, use_cache=False).logits[0]
    length = int(padded["attention_mask"][0].sum())
    assert torch.allclose(rows[:length], pack[:length], atol=1e-5)
    assert not torch.allclose(rows, pack, atol=1e-3)
