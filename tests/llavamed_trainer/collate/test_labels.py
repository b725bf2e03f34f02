"""Which tokens of a row have labels, and in what order its tokens stand."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import LlavaProcessor, PreTrainedTokenizerFast
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate import LlavaMedCollator, token_lengths

from .conftest import Row, assistant, encoded, picture, row, user

TEXT = st.text(max_size=40).filter(
    lambda text: not any(mark in text for mark in ("<image>", "<s>", "</s>", "<pad>"))
)


def learnt(processor: LlavaProcessor, labels: torch.Tensor) -> str:
    return processor.tokenizer.decode(labels[labels != -100], clean_up_tokenization_spaces=False)


def test_only_answers_and_their_end_marks_are_learnt(processor: LlavaProcessor) -> None:
    messages = [
        user(None, "What is it?"),
        assistant("A cyst."),
        user("Where?"),
        assistant("In the left kidney."),
    ]
    batch = LlavaMedCollator(processor)([row(messages=messages)])
    assert learnt(processor, batch["labels"][0]) == " A cyst.</s> In the left kidney.</s>"


def test_the_batch_is_the_one_that_trl_makes_slowly(processor: LlavaProcessor, drawn_rows: list[Row]) -> None:
    rows = drawn_rows[:6]
    stock = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)
    theirs = stock([_as_trl_takes_it(row) for row in rows])
    ours = LlavaMedCollator(processor, exact_images=True)(rows)
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), last=st.booleans())
def test_labels_decode_to_the_answers_whatever_is_said(
    processor: LlavaProcessor, turns: list[tuple[str, str]], last: bool
) -> None:
    messages = []
    for number, (question, answer) in enumerate(turns):
        parts = [question] if number else [question, None] if last else [None, question]
        messages += [user(*parts), assistant(answer)]
    collator = LlavaMedCollator(processor, max_length=None)
    batch = collator([row(SMALL, messages=messages)])
    said = [answer for _, answer in turns if answer.strip()]
    assert learnt(processor, batch["labels"][0]) == "".join(f" {answer}</s>" for answer in said)
    assert len(collator.bad_rows) == (0 if said else 1)
    assert (batch["input_ids"] == processor.image_token_id).sum() == 16
    assert not (batch["labels"] == processor.image_token_id).any()


@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(st.tuples(TEXT, TEXT.filter(str.strip)), min_size=1, max_size=4), room=st.integers(40, 300)
)
def test_a_cut_row_is_the_beginning_of_the_whole_one(
    processor: LlavaProcessor, turns: list[tuple[str, str]], room: int
) -> None:
    messages = [
        turn
        for number, (question, answer) in enumerate(turns)
        for turn in (user(*([] if number else [None]), question), assistant(answer))
    ]
    given_ = row(SMALL, messages=messages)
    whole = LlavaMedCollator(processor, max_length=None)([given_])
    collator = LlavaMedCollator(processor, max_length=room)
    cut = collator([given_])
    if len(collator.bad_rows):
        assert (whole["labels"][0, :room] == -100).all()
    else:
        assert torch.equal(cut["input_ids"], whole["input_ids"][:, :room])
        assert torch.equal(cut["labels"], whole["labels"][:, :room])


def test_lengths_are_those_of_the_batch_without_reading_an_image(
    processor: LlavaProcessor, drawn_rows: list[Row]
) -> None:
    collator = LlavaMedCollator(processor, max_length=190)
    made = [int(collator([row])["attention_mask"].sum()) for row in drawn_rows[:6]]
    assert token_lengths([{"messages": row["messages"]} for row in drawn_rows[:6]], processor, 190) == made
    assert token_lengths([row(messages=[user(None)])], processor) == [0]
    short = LlavaMedCollator(processor, text="answers")(drawn_rows[:1])
    assert token_lengths(drawn_rows[:1], processor, text="answers") == [short["input_ids"].shape[1]]


def test_the_image_is_the_only_input_of_stage_one_without_instruction(processor: LlavaProcessor) -> None:
    batch = LlavaMedCollator(processor, text="answers")([row()])
    ids = batch["input_ids"][0]
    assert processor.tokenizer.decode(ids) == "<s>" + "<image>" * 16 + "\nA cyst.</s>"
    assert learnt(processor, batch["labels"][0]) == "A cyst.</s>"


def test_nothing_is_learnt_from_an_empty_answer_among_others(processor: LlavaProcessor) -> None:
    messages = [user(None, "Is it?"), assistant(" "), user("What?"), assistant("A cyst.")]
    assert (
        learnt(processor, LlavaMedCollator(processor)([row(messages=messages)])["labels"][0])
        == " A cyst.</s>"
    )


def test_keys_that_arrow_fills_in_and_plain_strings_are_the_same_row(processor: LlavaProcessor) -> None:
    filled = [
        {
            "role": "user",
            "content": [
                {"type": "image", "text": None},
                {"type": "text", "text": "What is it?", "image": None},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A cyst.", "image": None}]},
    ]
    plain = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A cyst."}]
    collator = LlavaMedCollator(processor)
    expected, *others = (
        collator([row(messages=messages)]) for messages in (row()["messages"], filled, plain)
    )
    for other in others:
        assert all(torch.equal(other[name], expected[name]) for name in expected)


def test_images_stand_where_their_parts_stand(processor: LlavaProcessor) -> None:
    messages = [user("Look:", None), assistant("Yes."), user(None, "And this?"), assistant("No.")]
    images = [encoded(picture(seed=1)), encoded(picture(seed=2))]
    rows = [row(messages=messages, images=images), row(images=images[1:])]
    collator = LlavaMedCollator(processor)
    batch = collator(rows)
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [32, 16]
    assert torch.equal(batch["pixel_values"][1], batch["pixel_values"][2])
    assert not torch.equal(batch["pixel_values"][0], batch["pixel_values"][1])


def test_padding_on_either_side_and_to_a_multiple(processor: LlavaProcessor, drawn_rows: list[Row]) -> None:
    right = LlavaMedCollator(processor, pad_to_multiple_of=64)(drawn_rows[:2])
    left = LlavaMedCollator(processor, pad_to_multiple_of=64, padding_side="left")(drawn_rows[:2])
    assert right["input_ids"].shape[1] % 64 == 0
    pad = int((right["attention_mask"][1] == 0).sum())
    for name in ("input_ids", "attention_mask", "labels"):
        assert torch.equal(left[name][1], torch.roll(right[name][1], pad)), name
    assert (right["labels"][1, -pad:] == -100).all()
    assert (right["input_ids"][1, -pad:] == processor.tokenizer.pad_token_id).all()


def test_rows_without_images_make_a_batch_without_pixels(processor: LlavaProcessor) -> None:
    text = row(images=[], messages=[user("What is a cyst?"), assistant("A sac.")])
    assert "pixel_values" not in LlavaMedCollator(processor)([text])
    assert len(LlavaMedCollator(processor)([text, row()])["pixel_values"]) == 1


def test_words_that_begin_with_their_blank_are_learnt_whole(processor: LlavaProcessor) -> None:
    """Sentencepiece-like words (Vicuna, Llama 2): the blank belongs to the word, bytes stand for what is unknown."""
    words = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    words.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words.train_from_iterator(
        ["ASSISTANT:", "USER:", "a", "cyst,"], trainers.BpeTrainer(special_tokens=special, vocab_size=400)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    other = LlavaProcessor(
        processor.image_processor,
        tokenizer,
        14,
        "default",
        processor.chat_template,
        num_additional_image_tokens=1,
    )
    messages = [user(None, "Größe?"), assistant("a cyst, 3 µm ⌀"), user("a"), assistant("ASSIST")]
    labels = LlavaMedCollator(other)([row(messages=messages)])["labels"][0]
    assert tokenizer.decode(labels[labels != -100]).split("</s>")[:2] == ["a cyst, 3 µm ⌀", " ASSIST"]


def test_a_template_without_marks_is_refused_with_the_way_out(processor: LlavaProcessor) -> None:
    other = copy.copy(processor)
    # the text of a conversation does not begin with that of its first turns
    other.chat_template = (
        "{{ messages | length }}{% for message in messages %}{{ message['content'][-1]['text'] }}{% endfor %}"
    )
    with pytest.raises(UsageError, match=r"no \{% generation %\} marks.*--template vicuna_v1"):
        LlavaMedCollator(other)
    assert learnt(processor, LlavaMedCollator(other, text="answers")([row()])["labels"][0]) == "A cyst.</s>"


def test_a_template_that_loses_the_image_is_an_error_that_names_the_row(processor: LlavaProcessor) -> None:
    other = copy.copy(processor)
    other.chat_template = processor.chat_template.replace("<image>", "picture")
    with pytest.raises(LlavaMedError, match="row r1: the chat template makes 0 image tokens of 1 image part"):
        LlavaMedCollator(other)([row()])


def test_arguments_that_cannot_be_are_refused(processor: LlavaProcessor) -> None:
    with pytest.raises(UsageError, match="max_length 16 has no room for an image of 16 tokens"):
        LlavaMedCollator(processor, max_length=16)
    with pytest.raises(UsageError, match="can be all or answers"):
        LlavaMedCollator(processor, text="none")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="without image_processor"):
        LlavaMedCollator(processor.tokenizer)


SMALL = encoded(picture(16, 16))


def _as_trl_takes_it(row: Row) -> dict[str, Any]:
    import io

    messages = [
        {
            "role": turn["role"],
            "content": [{k: v for k, v in part.items() if v is not None} for part in turn["content"]],
        }
        for turn in row["messages"]
    ]
    return {"messages": messages, "images": [Image.open(io.BytesIO(row["images"][0]["bytes"]))]}
