"""Batches of every family are TRL's own where TRL can make them, and what is learnt is answers and their ends."""

import copy
import io
import re
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import LlavaProcessor, ProcessorMixin

from llavamed_data.errors import UsageError
from llavamed_trainer.collate import BadRowReason, ConversationCollator, token_lengths
from llavamed_trainer.models import FAMILIES, TEMPLATES, find_family
from tests.llavamed_trainer.tiny_models import TINY, missing_package
from tests.llavamed_trainer.trl_collator import trl_collator

from .conftest import Row, answers, as_trl_takes_it, with_two_images

SHAPES = ("one image", "two images", "no image", "mixed")


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_labels_and_pixels_are_those_of_trl(
    processor: ProcessorMixin, batches: dict[str, list[Row]], shape: str
) -> None:
    ours = ConversationCollator(processor, max_length=None, exact_images=True)(batches[shape])
    collator, has_labels = trl_collator(processor)
    stock = collator([as_trl_takes_it(row) for row in batches[shape]])
    assert ours.keys() == stock.keys()
    for name, values in ours.items():
        if name != "labels" or has_labels:
            assert torch.equal(values, torch.as_tensor(stock[name])), name


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_the_answers_and_their_end_marks(
    processor: ProcessorMixin, batches: dict[str, list[Row]], shape: str
) -> None:
    collator = ConversationCollator(processor, max_length=None)
    batch = collator(batches[shape])
    tokenizer: Any = processor.tokenizer
    ends = tokenizer.convert_ids_to_tokens(sorted(collator.end_ids))
    assert len(ends) == 1
    for row, labels in zip(batches[shape], batch["labels"], strict=True):
        learnt = tokenizer.decode(labels[labels != -100])
        assert [part.strip() for part in learnt.split(ends[0])] == [*answers(row), ""]
    images = torch.isin(batch["labels"], torch.tensor([each for each in processor.image_token_ids if each]))
    assert not images.any()


def test_rows_without_images_may_come_first(processor: ProcessorMixin, batches: dict[str, list[Row]]) -> None:
    two, one, none = batches["mixed"]
    batch = ConversationCollator(processor)([none, two, one])
    same = ConversationCollator(processor)([two, one, none])
    rows = [1, 2, 0] if isinstance(processor, LlavaProcessor) else [0, 1, 2]
    for name in ("input_ids", "labels", "attention_mask"):
        assert torch.equal(batch[name][rows], same[name]), name
    assert torch.equal(batch["pixel_values"], same["pixel_values"])


@pytest.mark.parametrize("shape", SHAPES)
def test_lengths_are_those_of_the_batch(
    processor: ProcessorMixin, batches: dict[str, list[Row]], shape: str
) -> None:
    rows = batches[shape]
    batch = ConversationCollator(processor, max_length=None)(rows)
    assert token_lengths(rows, processor) == batch["attention_mask"].sum(dim=1).tolist()


@pytest.mark.parametrize("several", [False, True], ids=["one image", "two images"])
def test_lengths_with_images_of_any_size_are_those_of_the_batch(
    processor: ProcessorMixin, drawn_rows: list[Row], several: bool
) -> None:
    rows = []
    for size in ((30, 41), (99, 100), (97, 33), (35, 139), (222, 640), (901, 301), (16, 90), (150, 20)):
        file = io.BytesIO()
        Image.new("RGB", size, "red").save(file, "PNG")
        row = {**drawn_rows[0], "images": [{"bytes": file.getvalue(), "path": None}]}
        rows.append(with_two_images(row, drawn_rows[1]) if several else row)
    collator = ConversationCollator(processor, max_length=None)
    batches = [collator([row]) for row in rows]
    found = [int(each["attention_mask"].sum()) * bool((each["labels"] != -100).any()) for each in batches]
    assert token_lengths(rows, processor) == found


def test_a_long_row_loses_text_at_its_end_and_never_a_part_of_an_image(
    processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    row = copy.deepcopy(drawn_rows[1])
    row["messages"][-1]["content"][0]["text"] = "A red square. " * 40
    whole = ConversationCollator(processor, max_length=None)([row])
    size = int(whole["attention_mask"].sum())
    limit = size - 30
    collator = ConversationCollator(processor, max_length=limit)
    cut = collator([row, drawn_rows[2]])
    for name in ("input_ids", "labels"):
        assert torch.equal(cut[name][0, :limit], whole[name][0, :limit]), name
    assert int(cut["attention_mask"][0].sum()) == cut["input_ids"].shape[1] == limit
    assert token_lengths([row], processor, limit) == [limit]
    assert not collator.bad_rows.counts


def test_a_row_is_left_out_where_an_image_or_the_answer_would_be_cut(
    processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    first, late = copy.deepcopy(drawn_rows[1]), copy.deepcopy(drawn_rows[2])
    first["messages"][0]["content"][-1]["text"] = "Why? " * 300
    late["messages"] = [
        {"role": "user", "content": [{"type": "text", "text": "Why? " * 300}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Because."}]},
        *late["messages"],
    ]
    collator = ConversationCollator(processor, max_length=250)
    batch = collator([first, late, drawn_rows[4]])
    reasons = {bad.id: bad.reason for bad in collator.bad_rows}
    assert reasons == {"drawn-1": BadRowReason.ANSWER_CUT_OFF, "drawn-2": BadRowReason.IMAGE_CUT_OFF}
    alone = ConversationCollator(processor, max_length=250)([drawn_rows[4]])
    assert all(torch.equal(batch[name], alone[name]) for name in alone)
    assert token_lengths([first, late], processor, 250) == [0, 0]


def test_rows_that_cannot_be_trained_on_are_left_out_with_their_reasons(
    processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    bad = [copy.deepcopy(drawn_rows[number]) for number in range(4)]
    bad[0]["images"][0]["bytes"] = b"no image"
    bad[1]["images"] = []
    bad[2]["images"] *= 2
    token = str(processor.image_token)  # type: ignore[attr-defined]
    bad[3]["messages"][0]["content"][-1]["text"] = f"What does {token} show?"
    collator = ConversationCollator(processor)
    batch = collator([*bad, drawn_rows[5]])
    assert len(batch["input_ids"]) == 1
    assert {row.id: row.reason for row in collator.bad_rows} == {
        "drawn-0": BadRowReason.IMAGE_UNREADABLE,
        "drawn-1": BadRowReason.NO_IMAGE,
        "drawn-2": BadRowReason.IMAGE_COUNT,
        "drawn-3": BadRowReason.IMAGE_TOKEN_IN_TEXT,
    }
    blank = collator(bad)
    assert (blank["labels"] == -100).all()
    assert blank["attention_mask"].any()
    assert "pixel_values" in blank


def test_a_template_that_writes_another_models_image_token_is_refused(processor: ProcessorMixin) -> None:
    token = str(processor.image_token)  # type: ignore[attr-defined]
    if token == "<image>":
        pytest.skip("the template fits this model")
    any_processor: Any = processor
    any_processor.chat_template = TEMPLATES["vicuna_v1"]
    with pytest.raises(UsageError, match=re.escape(f"writes no {token} for an image")):
        ConversationCollator(processor)


def test_an_image_that_the_processor_refuses_is_left_out_alone(
    kind: str, processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2400, 8), "red").save(file, "PNG")
    wide = {**drawn_rows[1], "images": [{"bytes": file.getvalue(), "path": None}]}
    collator = ConversationCollator(processor)
    batch = collator([drawn_rows[2], wide])
    refused = kind in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "mistral3", "pixtral", "unlisted")
    assert len(batch["input_ids"]) == 2 - refused
    assert collator.bad_rows.counts == ({BadRowReason.IMAGE_UNREADABLE: 1} if refused else {})
    assert (token_lengths([wide], processor) == [0]) == refused


def test_pan_and_scan_of_an_image_processor_stays_off_as_in_stock(
    kind: str, processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    """Gemma 3's processor switches it off, whatever preprocessor_config.json says: an image stays one image."""
    if kind != "gemma3":
        pytest.skip("only Gemma 3 has it")
    expected = ConversationCollator(processor)(drawn_rows[:2])
    images: Any = processor.image_processor  # type: ignore[attr-defined]
    images.do_pan_and_scan, images.pan_and_scan_min_crop_size = True, 8
    images.pan_and_scan_min_ratio_to_activate = 1.0
    batch = ConversationCollator(processor)(drawn_rows[:2])
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in batch)


def test_rows_are_padded_on_either_side_and_to_a_multiple(
    processor: ProcessorMixin, batches: dict[str, list[Row]]
) -> None:
    right = ConversationCollator(processor, pad_to_multiple_of=32)(batches["mixed"])
    left = ConversationCollator(processor, pad_to_multiple_of=32, padding_side="left")(batches["mixed"])
    assert right["input_ids"].shape[1] % 32 == 0
    by_token = [name for name in right if right[name].shape == right["input_ids"].shape]
    assert {"input_ids", "labels", "attention_mask"} <= set(by_token)
    for number, size in enumerate(right["attention_mask"].sum(dim=1).tolist()):
        for name in by_token:
            assert torch.equal(right[name][number, :size], left[name][number, -size:]), name
            assert (right[name][number, size:] == left[name][number, : right[name].shape[1] - size]).all()


def test_the_image_is_the_only_input_of_stage_one_without_instruction(
    processor: ProcessorMixin, drawn_rows: list[Row]
) -> None:
    collator = ConversationCollator(processor, text="answers")
    batch = collator([drawn_rows[1]])
    tokenizer: Any = processor.tokenizer
    labels = batch["labels"][0]
    ends = ConversationCollator(processor).end_ids  # those of the later stages
    assert collator.end_ids == ends
    (end,) = tokenizer.convert_ids_to_tokens(sorted(ends))
    assert tokenizer.decode(labels[labels != -100]) == answers(drawn_rows[1])[0] + end
    assert "What does" not in tokenizer.decode(batch["input_ids"][0])
    assert token_lengths([drawn_rows[1]], processor, text="answers") == [int(batch["attention_mask"].sum())]


def test_every_family_that_counts_as_tested_has_a_tiny_model() -> None:
    configs = [TINY[kind](["a b"])[0] for kind in TINY if not missing_package(kind)]
    if len(configs) < len(TINY):
        pytest.skip("some processors need packages that are not here")
    found = {family.name for family in map(find_family, configs) if family in FAMILIES} | {"LLaVA"}
    assert found == {family.name for family in FAMILIES if family.tested}
