"""A language model's own chat template renders as before, and marks what the assistant says."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly import assemble
from llavamed_trainer.assembly.own_template import own_template
from tests.llavamed_trainer.assembly.parts import plain_tokenizer, save_language, save_vision

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.</s>\n' }}"
    "{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '</s>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>\n\n' + m['content'] | trim + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n\n' }}{% endif %}"
)


def tokenizer(template: str | None) -> Any:
    made = plain_tokenizer(["What is it? A cyst. Sure? Yes."])
    made.chat_template = template
    return made


@pytest.mark.parametrize(
    ("template", "rendered", "marked"),
    [
        (
            CHATML,
            "<|im_start|>system\nBe kind.</s>\n<|im_start|>user\n<image>\nWhat is it?</s>\n"
            "<|im_start|>assistant\nA cyst.</s>\n<|im_start|>user\nSure?</s>\n<|im_start|>assistant\nYes.</s>\n",
            "A cyst.</s>Yes.</s>",
        ),
        (
            INST,
            "<s>[INST] <image>\nWhat is it? [/INST] A cyst.</s>[INST] Sure? [/INST] Yes.</s>",
            " A cyst.</s> Yes.</s>",
        ),
        (
            TRIMMED,
            "<s><|user|>\n\n<image>\nWhat is it?</s><|assistant|>\n\nA cyst.</s><|user|>\n\nSure?</s>"
            "<|assistant|>\n\nYes.</s>",
            "A cyst.</s>Yes.</s>",
        ),
    ],
)
def test_images_go_in_and_answers_are_marked(template: str, rendered: str, marked: str) -> None:
    own = tokenizer(template)
    question = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "text": "A cyst."}]},
        {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
        {"role": "assistant", "content": "Yes."},
    ]
    made = own_template(own, "this")
    assert own.apply_chat_template(turns, chat_template=made, tokenize=False) == rendered
    found = own.apply_chat_template(
        turns, chat_template=made, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(found["input_ids"], found["assistant_masks"], strict=True)
    assert own.decode([token for token, answer in pairs if answer]) == marked


def test_the_prompt_is_the_model_s_own() -> None:
    own = tokenizer(CHATML)
    turns = [{"role": "user", "content": "Sure?"}]
    before = own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    after = own.apply_chat_template(
        turns, chat_template=own_template(own, "this"), tokenize=False, add_generation_prompt=True
    )
    assert before == after
    assert before.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "this has no chat template of its own"),
        ("{{ strftime_now('%d') }}" + INST, "states the day's date"),
        (CHATML.replace("</s>", ""), "do not end with the end-of-text token"),
        (CHATML.replace("m['content']", "(m['content'] | upper)"), "no marks can be put"),
        (
            "{% for m in messages %}{{ loop.index }}{{ m['content'] }}</s>{% endfor %}",
            "no marks can be put",
        ),
    ],
)
def test_what_cannot_be_marked_is_refused(template: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        own_template(tokenizer(template), "this")


def test_a_checkpoint_keeps_it_and_a_file_without_marks_is_refused(tmp_path: Path) -> None:
    language = str(save_language("llama", tmp_path / "llama", tokenizer(CHATML)))
    parts = {"vision_tower": str(save_vision("clip", tmp_path / "clip")), "language_model": language}
    made = assemble(tmp_path / "llava", template="own", **parts)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Sure?"}]}]
    rendered = AutoProcessor.from_pretrained(made.folder).apply_chat_template(
        turns, add_generation_prompt=True
    )
    assert rendered == (
        "<|im_start|>system\nBe kind.</s>\n<|im_start|>user\n<image>\nSure?</s>\n<|im_start|>assistant\n"
    )
    (tmp_path / "bare.jinja").write_text("{% if add_generation_prompt %}{{ messages }}{% endif %}")
    with pytest.raises(UsageError, match="does not mark what the assistant says"):
        assemble(tmp_path / "none", template=str(tmp_path / "bare.jinja"), **parts)
