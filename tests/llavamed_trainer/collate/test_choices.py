"""Rows of multiple-choice questions are trained on as any others: the letter is what is learnt."""

from transformers import LlavaProcessor

from llavamed_trainer.collate import LlavaMedCollator
from tests.llavamed_data.validation.sets import choice_row


def test_the_letter_alone_is_learnt_and_every_image_is_there(processor: LlavaProcessor) -> None:
    batch = LlavaMedCollator(processor)([choice_row(0), choice_row(1)])
    learnt = [
        processor.tokenizer.decode(labels[labels != -100], skip_special_tokens=True).strip()
        for labels in batch["labels"]
    ]
    assert learnt == ["A", "B"]
    assert batch["pixel_values"].shape[0] == 4  # two images a row
