"""Checks beyond the paper: repeated questions, facts that no image shows, a judge, reference answers."""

import pytest

from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.judge import Judge, Verdict, best, score_of
from llavamed_data.instruct.quality import Quality, summarize, unseen_facts, without_near_duplicates
from llavamed_data.instruct.references import Reference, References
from llavamed_data.reasons import Reason
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import Server

PAIR = Pair(
    "1_F1", "Figure 1", "MRI of a 43-year-old man in 2009 (n = 12, p < 0.05) after 20 mg.", ("Dr. Lee saw it.",), None
)  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("What is shown in the image?", "What is shown in the image?", True),
        ("Where is the mass located?", "Can you tell me where the mass is located in this image?", True),
        ("Is there a pleural effusion?", "Is any pleural effusion seen?", True),
        ("Is the left lung clear?", "Is the right lung clear?", False),
        ("What organ is this?", "What colour is the mass?", False),
        ("Where is the mass?", "How large is the mass?", False),
    ],
)
def test_questions_that_ask_the_same_are_one(first: str, second: str, same: bool) -> None:
    turns = [(first, "a"), (second, "b")]
    assert without_near_duplicates(turns) == tuple(turns[:1] if same else turns)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("The patient is a 43 year old man.", ["43 year old"]),
        ("It was taken in 2009.", ["2009"]),
        ("It was taken in 2010.", []),
        ("There were n=12 cases with p < 0.05.", ["n=12", "p < 0.05"]),
        ("After 20 mg it shrank, as Dr. Lee saw.", ["20 mg", "Dr. Lee"]),
        ("There are two lesions of 3 cm in the L4 vertebra.", []),
    ],
)
def test_facts_that_no_image_shows_are_found_where_the_text_has_them(answer: str, found: list[str]) -> None:
    assert unseen_facts(answer, f"{PAIR.caption} {PAIR.inline_mentions[0]}") == found


def test_checks_are_switches() -> None:
    turns = (("What?", "A man of 43 years, a 43-year-old."), ("What?", "A lung."), ("Which side?", "Left."))
    off = Quality(drop_near_duplicates=False)
    assert off.check(turns, PAIR, mentions=True) == (turns, {})
    assert Quality().check(turns, PAIR, mentions=True) == (turns[::2], {"near_duplicate_question": 1})
    both = Quality(drop_unseen_facts=True)
    assert both.check(turns, PAIR, mentions=True) == (
        turns[2:], {"near_duplicate_question": 1, "unseen_fact": 1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "score"),
    [("8\nFine.", 8), ("Score: 10/10", 10), ("**7**", 7), ("Good.\n9", None), ("", None), ("7.5", None), ("11", None)],
)  # fmt: skip
def test_the_score_is_the_first_lines_whole_number(said: str, score: int | None) -> None:
    assert score_of(said) == score


def test_judge_scores_in_order_and_keeps_verdicts_in_the_journal(
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
        verdicts = list(Judge(client, client.model, mentions=False).verdicts(made))
        assert [verdict.pair_id for verdict in verdicts] == [pair.pair_id for pair, _ in made]
        assert all(verdict.score for verdict in verdicts)
    assert len(server.asked) == asked + len(made)


def test_the_best_are_kept_and_the_rest_accounted_for() -> None:
    verdicts = [Verdict(f"p{n}", score, "said") for n, score in enumerate([5, 9, None, 9, 7, 5])]
    kept, dropped = best(verdicts, 4)
    assert kept == {"p0", "p1", "p3", "p4"}
    assert {name: drop.reason for name, drop in dropped.items()} == {
        "p2": Reason.LOW_SCORE, "p5": Reason.LOW_SCORE,
    }  # fmt: skip
    assert best(verdicts, 99)[1] == {}


def test_reference_answers_come_from_caption_and_mentions(make_client: MakeClient, server: Server) -> None:
    server.settings.triggers = {"Where is it?": "content-filter"}
    client = make_client()
    (pair,) = make_pairs(1)
    references = References(client, client.model)
    assert "Figure Context" in references.request(pair, "What?").body["messages"][1]["content"]
    found = list(references.answer([(pair, "What is it?"), (pair, "Where is it?")]))
    assert isinstance(found[0], Reference)
    assert (found[0].question, found[0].model) == ("What is it?", "gpt-4o-2026-01-01")
    assert found[0].answer.startswith("The image shows finding")
    assert isinstance(found[1], tuple)
    assert found[1][1].reason == Reason.CONTENT_FILTER


def test_a_set_is_summed_up() -> None:
    found = summarize(
        [
            [("Where is the mass?", "In the left lung."), ("How large is it?", "I cannot tell.")],
            [("Where's the mass seen?", "It is difficult to say.")],
        ]
    )
    assert found == {
        "conversations": 2,
        "turns": 1.5,
        "question_words": 4.0,
        "answer_words": 4.0,
        "refusals": pytest.approx(2 / 3),
        "distinct_questions": pytest.approx(1 / 3),
    }
    assert set(summarize([]).values()) == {0}
