"""Whatever the family, a chat template is refused that would teach a model the wrong thing."""

import copy
from typing import Any

import pytest
from transformers import ProcessorMixin

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate import ConversationCollator, token_lengths

from .conftest import Row


def with_template(processor: ProcessorMixin, turn: str) -> Any:
    """The processor with a template that writes each message `m` as stated; `TEXT` stands for its parts."""
    other: Any = copy.deepcopy(processor)
    image = f"{{% if p['type'] == 'image' %}}{other.image_token}{{% else %}}{{{{ p['text'] }}}}{{% endif %}}"
    parts = "{% for p in m['content'] %}" + image + "{% endfor %}"
    marked = turn.replace("[[", "{% generation %}").replace("]]", "{% endgeneration %}")
    marked = marked.replace("TEXT", parts).replace("END", "{{ eos_token }}")
    other.chat_template = "{% for m in messages %}" + marked + "{% endfor %}"
    return other


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ("[[Q: TEXTEND]]", "marks questions as answers"),
        ("Q: [[TEXT]]END", "marks questions as answers"),
        ("{% if m['role'] == 'user' %}Q: TEXT{% else %}[[TEXT###]]{% endif %}", "would never stop"),
        ("{% if m['role'] == 'user' %}Q: TEXT{% else %}A: TEXT###{% endif %}", "would never stop"),
        ("{% if TEXT[[", "is no valid Jinja"),
        ("{% if TEXT", "is no valid Jinja"),
        ("{{ m['content'] + 'END' }}[[]]", "cannot be used .*list of parts"),
        ("{{ m['content'] + 'END' }}", "cannot be used .*list of parts"),
        ("{{ 1 / 0 }}[[TEXT]]", "cannot be used .*ZeroDivisionError"),
    ],
)
def test_a_template_that_marks_questions_leaves_out_ends_or_goes_wrong_is_refused(
    processor: ProcessorMixin, turn: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ConversationCollator(with_template(processor, turn))


@pytest.mark.parametrize("answer", ["[[TEXT{}]]", "TEXT{}"], ids=["marked", "found turn by turn"])
def test_a_row_shows_that_the_template_ends_only_short_answers(
    processor: ProcessorMixin, drawn_rows: list[Row], answer: str
) -> None:
    end = "{% if m['content'][0]['text']|length < 30 %}END{% endif %}"
    asks = "{% if m['role'] == 'user' %}Q: TEXT A: {% else %}"
    other = with_template(processor, asks + answer.format(end) + "{% endif %}")
    collator = ConversationCollator(other)
    collator([drawn_rows[1]])
    long = copy.deepcopy(drawn_rows[2])
    long["messages"][-1]["content"][0]["text"] = "It is a circle in the lower left of the picture."
    with pytest.raises(LlavaMedError, match=r"^row drawn-2: .*would never stop"):
        collator([drawn_rows[1], long])
    with pytest.raises(LlavaMedError, match="would never stop"):
        token_lengths([long], other)
