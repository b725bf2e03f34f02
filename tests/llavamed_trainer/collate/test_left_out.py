"""Rows that cannot be trained on are left out with their id and reason; others are handled as `bad_rows` says."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaProcessor

from llavamed_trainer.collate import BadRowReason, BadRows, LlavaMedCollator, TooManyBadRowsError

from .conftest import Row, assistant, encoded, picture, row, user

WHOLE = encoded(picture(400, 300))

LEFT_OUT: dict[str, tuple[Row, BadRowReason, str]] = {
    "no messages": (row(messages=None), BadRowReason.MALFORMED, "no list of messages"),
    "a message without role": (row(messages=[{"content": "x"}]), BadRowReason.MALFORMED, "no role"),
    "a part of another kind": (
        row(messages=[{"role": "user", "content": [{"type": "video"}]}, assistant("x")]),
        BadRowReason.MALFORMED,
        "neither text nor image",
    ),
    "no image": (row(images=[]), BadRowReason.NO_IMAGE, "1 image part and no image"),
    "images is None": (row(images=None), BadRowReason.NO_IMAGE, "no image"),
    "an image without bytes": (
        row(images=[{"bytes": None, "path": None}]),
        BadRowReason.NO_IMAGE,
        "neither bytes nor",
    ),
    "two images, one part": (row(images=[WHOLE, WHOLE]), BadRowReason.IMAGE_COUNT, "1 image part, 2 images"),
    "one image, two parts": (
        row(messages=[user(None, None, "x"), assistant("y")]),
        BadRowReason.IMAGE_COUNT,
        "2 image parts, 1 image",
    ),
    "<image> in text": (
        row(messages=[user(None, "What is <image>?"), assistant("y")]),
        BadRowReason.IMAGE_TOKEN_IN_TEXT,
        "'What is <image>?'",
    ),
    "<image> in an answer": (
        row(messages=[user(None, "x"), assistant("<image>")]),
        BadRowReason.IMAGE_TOKEN_IN_TEXT,
        "<image>",
    ),
    "no assistant turn": (row(messages=[user(None, "x")]), BadRowReason.NO_ANSWER, "no assistant turn"),
    "an empty answer": (
        row(messages=[user(None, "x"), assistant(" \n")]),
        BadRowReason.NO_ANSWER,
        "says anything",
    ),
    "a question of 100,000 characters": (
        row(messages=[user(None, "word " * 20_000), assistant("y")]),
        BadRowReason.ANSWER_CUT_OFF,
        "no answer is in the first 2,048",
    ),
    "100,000 characters before the image": (
        row(messages=[user("word " * 20_000, None), assistant("y")]),
        BadRowReason.IMAGE_CUT_OFF,
        "fills the 2048 tokens",
    ),
    "corrupt bytes": (
        row(b"\xff\xd8 no JPEG"),
        BadRowReason.IMAGE_UNREADABLE,
        "no image format that Pillow reads",
    ),
    "empty bytes": (row(b""), BadRowReason.IMAGE_UNREADABLE, "no image format"),
    "a truncated JPEG": (row(WHOLE[: len(WHOLE) // 2]), BadRowReason.IMAGE_UNREADABLE, "truncated"),
    "a truncated PNG": (row(encoded(picture(), "PNG")[:-200]), BadRowReason.IMAGE_UNREADABLE, ""),
    "a missing file": (
        row(images=[{"bytes": None, "path": "/nowhere.jpg"}]),
        BadRowReason.IMAGE_UNREADABLE,
        "nowhere",
    ),
    "1 × 1 pixel": (row(encoded(picture(1, 1), "PNG")), BadRowReason.IMAGE_TOO_SMALL, "1 × 1 pixels"),
}


@pytest.mark.parametrize("exact", [False, True], ids=["quick", "exact"])
@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_bad_row_is_left_out_with_its_id_and_reason(
    processor: LlavaProcessor, case: str, exact: bool
) -> None:
    bad, reason, detail = LEFT_OUT[case]
    collator = LlavaMedCollator(processor, exact_images=exact)
    batch = collator([row(id="good"), {**bad, "id": "bad-7"}, row(id="also good")])
    alone = LlavaMedCollator(processor, exact_images=exact)([row(), row()])
    assert [(found.id, found.reason) for found in collator.bad_rows] == [("bad-7", reason)]
    assert detail in next(iter(collator.bad_rows)).detail
    assert all(torch.equal(batch[name], alone[name]) for name in alone), (
        "the batch is as if the bad row had never been there"
    )


@pytest.mark.parametrize(
    ("image", "same"),
    [
        pytest.param(encoded(picture().convert("CMYK")), picture(), id="CMYK"),
        pytest.param(encoded(picture().convert("L")), picture().convert("L"), id="grey"),
        pytest.param(encoded(picture().quantize(256), "PNG"), picture(), id="palette"),
        pytest.param(
            encoded(picture().convert("L").point(lambda v: 255 * (v > 99)).convert("1"), "PNG"),
            None,
            id="1 bit",
        ),
        pytest.param(encoded(picture(), "GIF"), picture(), id="GIF"),
        pytest.param(encoded(picture(), "TIFF"), picture(), id="TIFF"),
    ],
)
@pytest.mark.parametrize("exact", [False, True], ids=["quick", "exact"])
def test_other_modes_and_formats_are_trained_on_as_rgb(
    processor: LlavaProcessor, image: bytes, same: Image.Image | None, exact: bool
) -> None:
    collator = LlavaMedCollator(processor, exact_images=exact)
    made = collator([row(image)])["pixel_values"]
    assert not len(collator.bad_rows)
    if same:
        expected = collator([row(images=[same.convert("RGB")])])["pixel_values"]
        assert (made - expected).abs().mean() < 0.15  # their own coding; another picture is 1.0 and more away


@pytest.mark.parametrize("top", [65_535, 4_095], ids=["16 bits", "12 bits in 16"])
@pytest.mark.parametrize("exact", [False, True], ids=["quick", "exact"])
def test_sixteen_bit_images_keep_their_contrast(processor: LlavaProcessor, top: int, exact: bool) -> None:
    grey = np.tile(np.linspace(0, 1, 64), (64, 1))
    deep = encoded(Image.fromarray((grey * top).astype(np.uint16)), "PNG")
    collator = LlavaMedCollator(processor, exact_images=exact)
    plain = Image.fromarray((grey * 255).round().astype(np.uint8)).convert("RGB")
    made, expected = collator([row(deep), row(images=[plain])])["pixel_values"]
    assert (made - expected).abs().max() < 0.04


def test_transparent_parts_are_white_and_turned_images_upright(processor: LlavaProcessor) -> None:
    collator = LlavaMedCollator(processor)
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    turned = picture().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 270 degrees to show it
    files = [
        encoded(clear, "PNG"),
        encoded(turned, "PNG", exif=exif),
        encoded(turned, "JPEG", exif=exif, quality=95),
    ]
    sound = [encoded(Image.new("RGB", (80, 60), "white"), "PNG"), encoded(picture(), "PNG")]
    clear_, png, jpeg, white, upright = collator([row(file) for file in files + sound])["pixel_values"]
    assert torch.equal(clear_, white)
    assert torch.equal(png, upright)
    assert (jpeg - upright).abs().mean() < 0.1


def test_two_images_and_two_parts_and_a_long_answer_are_trained_on(processor: LlavaProcessor) -> None:
    two = row(images=[WHOLE, WHOLE], messages=[user(None, None, "Compare."), assistant("Alike.")])
    long = row(messages=[user(None, "Tell all."), assistant("word " * 20_000)])
    collator = LlavaMedCollator(processor, max_length=512)
    batch = collator([two, long])
    assert not len(collator.bad_rows)
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [32, 16]
    assert batch["input_ids"].shape == (2, 512)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_a_batch_of_bad_rows_alone_is_one_blank_row(processor: LlavaProcessor, packing: bool) -> None:
    collator = LlavaMedCollator(processor, packing=packing)
    batch = collator([row(b"x", id="a"), row(b"y", id="b")])
    assert len(collator.bad_rows) == 2
    assert (batch["labels"] == -100).all()
    assert batch["input_ids"].shape == (1, 17)
    assert batch["pixel_values"].shape == (1, 3, 56, 56)


def test_a_row_without_image_is_left_out_where_the_image_is_the_only_input(processor: LlavaProcessor) -> None:
    collator = LlavaMedCollator(processor, text="answers")
    collator([row(images=[], messages=[user("x"), assistant("y")])])
    assert collator.bad_rows.counts == {BadRowReason.NO_IMAGE: 1}


def test_a_row_with_roles_that_the_template_does_not_take_is_left_out(processor: LlavaProcessor) -> None:
    import copy

    other = copy.copy(processor)
    other.chat_template = "{{ raise_exception('roles must alternate') }}{% generation %}{% endgeneration %}"
    collator = LlavaMedCollator(other)
    collator([row()])
    assert [(bad.reason, bad.detail) for bad in collator.bad_rows] == [
        (BadRowReason.MALFORMED, "the chat template does not take it: roles must alternate")
    ]


def test_a_row_without_id_is_named_by_a_digest_of_its_content(processor: LlavaProcessor) -> None:
    collator = LlavaMedCollator(processor)
    nameless: list[dict[str, Any]] = [row(b"x", id=None), row(b"y", id=None), row(b"x", id=None)]
    collator(nameless)
    assert [bad.id[:8] for bad in collator.bad_rows] == ["unnamed-"] * 2


def test_the_first_row_over_the_limit_ends_the_run(processor: LlavaProcessor) -> None:
    collator = LlavaMedCollator(processor, bad_rows=BadRows(limit=1))
    collator([row(b"x", id="a"), row(b"x", id="a")])  # met twice, lost once
    with pytest.raises(
        TooManyBadRowsError, match=r"2 rows could not be trained on, 1 is allowed .* row b: image unreadable"
    ):
        collator([row(b"x", id="b")])
