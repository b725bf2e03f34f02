"""A small evaluation set, answers to it, and a server that judges."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llavamed_trainer.evaluation.benchmarks import make_row, make_set, write_lines
from tests.servers.openai import KEY, Server, running

DOMAINS = ("chest_xray", "mri", "histology", "gross", "ct_scan")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def eval_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty questions, four a domain, every fourth a description; their images are lost."""
    rows = [
        make_row(
            f"{number}_F1-q0",
            f"What about sign {number}?",
            f"Reference {number}.",
            None,
            domain=DOMAINS[number % 5],
            caption=f"Caption of figure {number}.",
            inline_mentions=[f"Sign {number} was seen (Figure 1)."],
            figure_label="Figure 1",
            question_id=number,
            question_type="detailed_description" if number % 4 == 3 else "conversation",
        )
        for number in range(20)
    ]
    return make_set(tmp_path_factory.mktemp("judge") / "eval", "eval", rows)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"{number}_F1-q0",
            "question": f"What about sign {number}?",
            "answer": f"Candidate {number}.",
            "prompt_form": "plain",
            "model": "tiny",
        }
        for number in range(20)
    ]
    return write_lines(tmp_path / "answers.jsonl", rows)
