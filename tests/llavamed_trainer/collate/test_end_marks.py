"""A model learns to stop: the labels of every answer end with an end token, whatever the chat template writes."""

import copy
from typing import Any

import pytest
from transformers import LlavaProcessor

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate import LlavaMedCollator, learnt_end_ids
from llavamed_trainer.models import TEMPLATES

from .conftest import assistant, row, user

TURNS = [user(None, "What is it?"), assistant("A cyst."), user("Sure?"), assistant("Yes")]


def with_template(processor: LlavaProcessor, template: str, *added: str) -> Any:
    other = copy.deepcopy(processor)
    other.chat_template = template
    other.tokenizer.add_special_tokens({"additional_special_tokens": [*added, "<image>"]})
    return other


def template(answer: str) -> str:
    """A template that writes an answer as stated; `TEXT` stands for its words."""
    written = (
        answer.replace("TEXT", "{{ m['content'][0]['text'] }}")
        .replace("[[", "{% generation %}")
        .replace("]]", "{% endgeneration %}")
    )
    return (
        "{% for m in messages %}{% if m['role'] == 'user' %}Q: {% for part in m['content'] %}"
        "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %} A: "
        "{% else %}" + written + "{% endif %}{% endfor %}"
    )


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ("[[TEXT</s>]]", "</s>"),
        ("[[TEXT {{ eos_token }}]]", "</s>"),
        ("[[TEXT<|im_end|>]]{{ '\n' }}", "<|im_end|>"),
        ("[[TEXT<|im_end|>{{ '\n' }}]]", "<|im_end|>"),
        ("[[TEXT<|eot_id|>]]", "<|eot_id|>"),
        ("[[TEXT<end_of_turn>]]{{ '\n' }}", "<end_of_turn>"),
    ],
)
def test_every_answer_is_learnt_with_its_end_token(processor: LlavaProcessor, answer: str, end: str) -> None:
    other = with_template(processor, template(answer), "<|im_end|>", "<|eot_id|>", "<end_of_turn>")
    collator = LlavaMedCollator(other)
    labels = collator([row(messages=TURNS)])["labels"][0]
    identity = other.tokenizer.convert_tokens_to_ids(end)
    assert int((labels == identity).sum()) == 2
    assert collator.end_ids == {identity}
    assert learnt_end_ids(other) == {identity}


@pytest.mark.parametrize(
    "answer",
    [
        "[[TEXT ]]",  # the form stored with the llava-1.5 checkpoints
        "[[TEXT]]</s>",  # the mark stands after what is learnt
        "[[TEXT]][[</s>]]",  # a mark by itself is taken for an empty answer, which is not learnt
        "[[TEXT{% if loop.last %}</s>{% endif %}]]",  # only the last answer ends
        "[[TEXT{% if not loop.last %}</s>{% endif %}]]",  # all but the last do
        "[[</s>TEXT]]",  # it comes first
        "[[TEXT###]]",  # plain text, at which no model stops
        "[[TEXT<|im_end|>]]",  # no token of this tokenizer, so plain text too
    ],
)
def test_a_template_from_which_no_end_is_learnt_is_refused(processor: LlavaProcessor, answer: str) -> None:
    other = with_template(processor, template(answer))
    with pytest.raises(
        UsageError, match=r"would never stop: train with --template vicuna_v1.*write </s> before"
    ):
        LlavaMedCollator(other)
    assert not learnt_end_ids(other)


@pytest.mark.parametrize(
    "question", ["[[Q: TEXT</s>]]", "Q: [[TEXT]]</s>"], ids=["with its end", "without its end"]
)
def test_a_template_that_marks_questions_too_is_refused(processor: LlavaProcessor, question: str) -> None:
    parts = "{% for p in m['content'] %}{{ '<image>' if p['type'] == 'image' else p['text'] }}{% endfor %}"
    marked = question.replace("TEXT", parts)
    marked = marked.replace("[[", "{% generation %}").replace("]]", "{% endgeneration %}")
    body = "{% for m in messages %}" + marked + "{% endfor %}"
    with pytest.raises(UsageError, match="marks questions as answers"):
        LlavaMedCollator(with_template(processor, body))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{% for m in messages %}{% generation %}", "is no valid Jinja"),
        ("{{ m['content'] + '</s>' }}{% generation %}{% endgeneration %}", "cannot be used .*list of parts"),
        ("{{ 1 / 0 }}{% generation %}{% endgeneration %}", "cannot be used .*ZeroDivisionError"),
    ],
)
def test_a_template_that_goes_wrong_is_refused(processor: LlavaProcessor, wrong: str, message: str) -> None:
    text = wrong if "messages" in wrong else "{% for m in messages %}" + wrong + "{% endfor %}"
    with pytest.raises(UsageError, match=message):
        LlavaMedCollator(with_template(processor, text))


def test_a_template_that_ends_only_short_answers_is_refused_by_the_row_that_shows_it(
    processor: LlavaProcessor,
) -> None:
    ends = "[[TEXT{% if m['content'][0]['text']|length < 20 %}</s>{% endif %}]]"
    collator = LlavaMedCollator(with_template(processor, template(ends)))
    collator([row(messages=TURNS)])
    long = [*TURNS[:3], assistant("Yes, in the left lobe of the lung.")]
    with pytest.raises(LlavaMedError, match="would never stop"):
        collator([row(messages=long)])


def test_an_empty_answer_is_not_learnt_whatever_its_end_token_is(processor: LlavaProcessor) -> None:
    other = with_template(processor, template("[[TEXT<|im_end|>]]"), "<|im_end|>")
    end = other.tokenizer.convert_tokens_to_ids("<|im_end|>")
    labels = LlavaMedCollator(other)([row(messages=[*TURNS[:3], assistant("")])])["labels"]
    assert int((labels == end).sum()) == 1  # of the first answer alone


def test_a_template_that_wants_a_system_turn_is_judged_with_one(processor: LlavaProcessor) -> None:
    asks = "{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    system = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    body = template("[[TEXT</s>]]").replace(
        "{% if m['role'] == 'user' %}", "{% if m['role'] != 'assistant' %}"
    )
    sound = LlavaMedCollator(with_template(processor, asks + body))
    labels = sound([row(messages=[system, *TURNS])])["labels"]
    assert int((labels == processor.tokenizer.eos_token_id).sum()) == 2
    with pytest.raises(UsageError, match="would never stop"):
        LlavaMedCollator(with_template(processor, asks + body.replace("</s>", "")))


def test_answers_without_questions_need_an_end_token_too(processor: LlavaProcessor) -> None:
    other = copy.deepcopy(processor)
    labels = LlavaMedCollator(other, text="answers")([row()])["labels"][0]
    assert labels[labels != -100][-1] == other.tokenizer.eos_token_id
    other.tokenizer.eos_token = None
    with pytest.raises(UsageError, match="set its eos_token"):
        LlavaMedCollator(other, text="answers")


def test_the_stated_way_out_works(processor: LlavaProcessor) -> None:
    for text in TEMPLATES.values():
        labels = LlavaMedCollator(with_template(processor, text))([row(messages=TURNS)])["labels"]
        assert int((labels == processor.tokenizer.eos_token_id).sum()) == 2
