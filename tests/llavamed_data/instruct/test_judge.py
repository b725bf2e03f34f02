"""A judge scores conversations, and those with the best scores are kept."""

import pytest

from llavamed_data.instruct import GroundednessJudge, drop_all_but_best
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.instruct.judge import GroundednessScore, read_score
from llavamed_data.reasons import Reason
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import Server


@pytest.mark.parametrize(
    ("answer", "score"),
    [("8\nFine.", 8), ("Score: 10/10", 10), ("**7**", 7), ("Good.\n9", None), ("", None), ("7.5", None), ("11", None)],
)  # fmt: skip
def test_the_score_is_the_first_lines_whole_number(answer: str, score: int | None) -> None:
    assert read_score(answer) == score


def test_conversations_are_scored_in_order_and_each_only_once(
    make_client: MakeClient, server: Server
) -> None:
    pairs = make_pairs(20)
    made = [
        (pair, outcome)
        for pair, outcome in zip(pairs, make_generator(make_client()).generate(pairs), strict=True)
        if isinstance(outcome, Conversation)
    ]
    asked = len(server.asked)
    for _ in range(2):
        client = make_client(model="judge")
        scores = list(GroundednessJudge(client, mentions=False).scores(made))
        assert [scored.pair_id for scored in scores] == [pair.pair_id for pair, _ in made]
        assert all(scored.score for scored in scores)
    assert len(server.asked) == asked + len(made)


def test_all_but_the_best_are_dropped_and_of_equal_scores_the_later_one() -> None:
    scores = [GroundednessScore(f"p{n}", score, "because") for n, score in enumerate([5, 9, None, 9, 7, 5])]
    dropped = drop_all_but_best(scores, 4)
    assert {name: drop.reason for name, drop in dropped.items()} == {
        "p2": Reason.LOW_SCORE, "p5": Reason.LOW_SCORE,
    }  # fmt: skip
    assert (dropped["p2"].detail, dropped["p5"].detail) == ("no score: because", "5: because")
    assert drop_all_but_best(scores, 99) == {}
