"""The offline generator writes two to four rounds, the same for the same seed, and never points to the text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.instruct import OfflineGenerator, Pair
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.instruct.offline_generator import without_references


def converse(caption: str, mentions: tuple[str, ...] = (), domain: str | None = "ct_scan") -> Conversation:
    said = next(OfflineGenerator(seed=0).generate([Pair("1_F1", "Figure 1", caption, mentions, domain)]))
    assert isinstance(said, Conversation)
    return said


def test_a_short_caption_gives_two_rounds() -> None:
    answers = [answer for _, answer in converse("Axial CT of the chest").rounds]
    assert answers == ["This is a computed tomography (CT) scan.", "Axial CT of the chest."]


def test_a_longer_caption_and_mentions_give_four() -> None:
    said = converse(
        "Axial CT of the chest. A cavity lies in the right upper lobe. The pleura is thickened.",
        ("CT showed a cavity (Figure 1).", "Figure 1 shows that the wall is thick."),
    )
    assert [answer for _, answer in said.rounds] == [
        "This is a computed tomography (CT) scan.",
        "Axial CT of the chest.",
        "A cavity lies in the right upper lobe. The pleura is thickened.",
        "CT showed a cavity. The image shows that the wall is thick.",
    ]


def test_the_same_pair_and_seed_give_the_same_conversation_and_another_seed_other_phrasings() -> None:
    pairs = [Pair(f"{n}_F1", "", "Axial CT.", (), "ct_scan") for n in range(30)]
    once, again, other = (list(OfflineGenerator(seed).generate(pairs)) for seed in (0, 0, 1))
    assert once == again
    assert once != other


def test_nothing_to_say_is_a_drop_with_its_reason() -> None:
    pair_id, drop = next(
        OfflineGenerator(0).generate([Pair("1_F1", "", "See the caption of Figure 2.", (), None)])
    )
    assert pair_id == "1_F1"
    assert drop.reason == "no conversation"


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("The lesion grew (Fig. 3).", "The lesion grew."),
        ("The lesion grew (see Figures 2–4), then shrank.", "The lesion grew, then shrank."),
        ("Figure 3A shows a cavity.", "The image shows a cavity."),
        ("As shown in Fig. 2, the wall is thick.", "The wall is thick."),
        ("A cavity is seen in Figure 3.", "A cavity is seen in the image."),
        ("pH fell to 7.1", "pH fell to 7.1."),
        ("the wall is thick", "The wall is thick."),
        ("Details are in the caption.", ""),
        ("(Figure 1)", ""),
    ],
)
def test_a_sentence_stands_without_its_pointer_to_the_figure(sentence: str, left: str) -> None:
    assert without_references(sentence) == left


@given(st.text(alphabet="aB .,()FigureT13–:", max_size=80))
def test_no_answer_ever_points_to_a_figure_or_caption(text: str) -> None:
    assert not re.search(r"\b(fig(ure)?s?|caption)\b", without_references(text), re.IGNORECASE)
