"""Messages are those of Figure 4, with the layout of Figure 5; instructions are those of Tables 6 and 7."""

from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.instruct import Pair, Prompt, caption_instruction, instructions, load_few_shots, pair_text
from llavamed_data.instruct.prompts import system_prompt
from llavamed_data.recipes import DOMAINS

PAIR = Pair(
    "18063892_F3",
    "Fig. 3",
    "Cystic wall lined by a single layer of epithelium.",
    ("Cells were not found (Fig. 3).", "See Fig. 3."),
    "histology",
)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_system_prompt_is_figure_4_with_one_paragraph_of_ours(shared_data: Path) -> None:
    paper = (shared_data.parent / "paper" / "llava-med.md").read_text(encoding="utf-8")
    figure = paper[paper.index("You are an AI assistant specialized") : paper.index('for advice."""}') + 11]
    figure = squeezed(figure.replace("```", ""))
    ours = squeezed(system_prompt())
    before, after = figure.split("Below are requirements")
    assert ours.startswith(before)
    assert ours.endswith("Below are requirements" + after)
    inserted = ours.removeprefix(before).removesuffix("Below are requirements" + after)
    assert inserted.startswith("Write a conversation")


def test_query_has_label_caption_and_one_tabbed_line_a_mention() -> None:
    assert pair_text(PAIR, mentions=True) == (
        "Figure Caption:\nFig. 3: Cystic wall lined by a single layer of epithelium."
        "\n\nFigure Context:\n\t- Cells were not found (Fig. 3).\n\t- See Fig. 3."
    )
    assert pair_text(PAIR, mentions=False) == (
        "Figure Caption:\nFig. 3: Cystic wall lined by a single layer of epithelium."
    )


def test_label_is_not_doubled_and_may_be_missing() -> None:
    assert pair_text(Pair("a", "Figure 2.", "X-ray.", (), None), mentions=True) == (
        "Figure Caption:\nFigure 2: X-ray."
    )
    assert pair_text(Pair("a", "", "X-ray.", (), None), mentions=True) == "Figure Caption:\nX-ray."


def test_messages_are_system_then_examples_then_query() -> None:
    few_shots = load_few_shots()
    messages = Prompt.build(few_shots, mentions=True).messages(PAIR)
    assert [message["role"] for message in messages] == [
        "system",
        *["user", "assistant"] * len(few_shots),
        "user",
    ]
    assert messages[-1]["content"] == pair_text(PAIR, mentions=True)


def test_every_domain_has_an_example() -> None:
    few_shots = load_few_shots()
    assert {few_shot.pair.domain for few_shot in few_shots} == set(DOMAINS)
    assert len(few_shots) >= 5


def test_first_example_is_figure_5(shared_data: Path) -> None:
    paper = squeezed((shared_data.parent / "paper" / "llava-med.md").read_text(encoding="utf-8"))
    user, assistant = load_few_shots()[0].messages(mentions=True)
    assert squeezed(user["content"]) in paper
    assert squeezed(assistant["content"]) in paper


def test_caption_only_examples_hold_nothing_of_the_mentions() -> None:
    head = Prompt.build(load_few_shots(), mentions=False).head[1:]
    assert not [message for message in head if "Figure Context" in message["content"]]
    assert "intubation" not in " ".join(message["content"] for message in head)
    with_mentions = Prompt.build(load_few_shots(), mentions=True).head[1:]
    for few_shot, lean, full in zip(load_few_shots(), head[1::2], with_mentions[1::2], strict=True):
        dropped = len(few_shot.needing_mentions)
        assert lean["content"].count("User: ") == full["content"].count("User: ") - dropped
        assert lean["content"].count("User: ") >= 2


def test_hashes_tell_prompts_apart() -> None:
    lean, full = (Prompt.build(load_few_shots(), mentions=mentions) for mentions in (False, True))
    assert lean.system_sha256 == full.system_sha256
    assert lean.few_shots_sha256 != full.few_shots_sha256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {caption: x", "no YAML, line 1"),
        ("- caption: x\n  turns:\n    - user: a\n", "example 1, turns 1: 'assistant' is a required property"),
        ("- turns: []\n", "example 1"),
        ("caption: x\n", "the file"),
        ("- caption: x\n  turns: [{user: a, assistant: b}]\n  domain: pet\n", "example 1, domain: 'pet'"),
    ],
)
def test_faulty_few_shot_file_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "shots.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_few_shots(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_few_shot_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_few_shots(tmp_path / "none.yaml")


def test_own_few_shot_file_replaces_ours(tmp_path: Path) -> None:
    path = tmp_path / "shots.yaml"
    path.write_text('- caption: A knee.\n  turns: [{user: "What?", assistant: A knee.}]\n', encoding="utf-8")
    head = Prompt.build(load_few_shots(path), mentions=True).head
    assert [message["content"] for message in head[1:]] == [
        "Figure Caption:\nA knee.",
        "User: What?\nAssistant: A knee.",
    ]


def test_tables_6_and_7_stand_whole() -> None:
    assert (len(instructions("brief")), len(instructions("detailed"))) == (11, 16)


@pytest.mark.parametrize(
    ("words", "kind"), [(29, "brief"), (30, "detailed"), (1, "brief"), (200, "detailed")]
)
def test_thirty_words_decide_between_brief_and_detailed(words: int, kind: str) -> None:
    assert caption_instruction("1_F1", " ".join(["word"] * words), seed=0) in instructions(kind)


def test_instructions_are_drawn_evenly() -> None:
    drawn = [caption_instruction(f"{n}_F1", "short", seed=0) for n in range(2200)]
    assert all(150 < drawn.count(each) < 250 for each in instructions("brief"))
