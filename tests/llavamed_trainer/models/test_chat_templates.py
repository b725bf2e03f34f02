"""Chat templates mark what the assistant says; a language model's own template renders as before and takes images."""

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers import AutoProcessor

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly import assemble
from llavamed_trainer.models.chat_templates import TEMPLATES, template_with_images
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
def test_a_language_models_template_takes_images_and_marks_answers(
    template: str, rendered: str, marked: str
) -> None:
    own = tokenizer(template)
    question = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "text": "A cyst."}]},
        {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
        {"role": "assistant", "content": "Yes."},
    ]
    made = template_with_images(own, "this")
    assert own.apply_chat_template(turns, chat_template=made, tokenize=False) == rendered
    found = own.apply_chat_template(
        turns, chat_template=made, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(found["input_ids"], found["assistant_masks"], strict=True)
    assert own.decode([token for token, answer in pairs if answer]) == marked


def test_the_generation_prompt_is_the_language_models_own() -> None:
    own = tokenizer(CHATML)
    turns = [{"role": "user", "content": "Sure?"}]
    before = own.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    after = own.apply_chat_template(
        turns, chat_template=template_with_images(own, "this"), tokenize=False, add_generation_prompt=True
    )
    assert before == after
    assert before.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "this has no chat template of its own"),
        ("{{ strftime_now('%d') }}" + INST, "states the current date"),
        (CHATML.replace("</s>", ""), "do not end with the end-of-text token"),
        (CHATML.replace("m['content']", "(m['content'] | upper)"), "cannot be marked"),
        (
            "{% for m in messages %}{{ loop.index }}{{ m['content'] }}</s>{% endfor %}",
            "cannot be marked",
        ),
    ],
)
def test_a_template_whose_answers_cannot_be_marked_is_refused(template: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        template_with_images(tokenizer(template), "this")


def test_an_assembled_checkpoint_has_the_template_and_a_file_without_marks_is_refused(tmp_path: Path) -> None:
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


TURNS = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A cyst."}]},
    {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
]


def test_the_packaged_templates_are_those_of_the_released_conversations() -> None:
    """LLaVA's conversation.py: `conv_vicuna_v1` (two separators, a blank and </s>); Mistral-7B-Instruct's own form."""
    tokenizer = plain_tokenizer(["a b"])
    vicuna = tokenizer.apply_chat_template(
        TURNS, chat_template=TEMPLATES["vicuna_v1"], tokenize=False, add_generation_prompt=True
    )
    assert vicuna == (
        "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: <image>\nWhat is it? ASSISTANT: A cyst.</s>"
        "USER: Sure? ASSISTANT:"
    )
    mistral = tokenizer.apply_chat_template(
        TURNS, chat_template=TEMPLATES["mistral"], tokenize=False, add_generation_prompt=True
    )
    assert mistral == "<s>[INST] <image>\nWhat is it? [/INST] A cyst.</s>[INST] Sure? [/INST]"


@pytest.mark.parametrize("name", ["vicuna_v1", "mistral"])
def test_the_packaged_templates_mark_the_answer_and_its_end_alone(name: str) -> None:
    tokenizer = plain_tokenizer(["What is it? A cyst."])
    found = tokenizer.apply_chat_template(
        TURNS[:2], chat_template=TEMPLATES[name], return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [
        token for token, answer in zip(found["input_ids"], found["assistant_masks"], strict=True) if answer
    ]
    assert tokenizer.decode(marked) == " A cyst.</s>"


def test_a_system_turn_replaces_the_system_sentence_and_other_roles_are_refused() -> None:
    tokenizer = plain_tokenizer(["a b"])
    turns = [{"role": "system", "content": "You are a radiologist."}, *TURNS[:1]]

    def rendered(name: str, turns: list[dict[str, object]]) -> str:
        text = tokenizer.apply_chat_template(turns, chat_template=TEMPLATES[name], tokenize=False)
        assert isinstance(text, str)
        return text

    assert rendered("vicuna_v1", turns) == "<s>You are a radiologist. USER: <image>\nWhat is it?"
    assert rendered("mistral", turns) == "<s>[INST] You are a radiologist.\n\n<image>\nWhat is it? [/INST]"
    for name in TEMPLATES:
        with pytest.raises(TemplateError, match="not tool"):
            rendered(name, [*TURNS, {"role": "tool", "content": "x"}])
