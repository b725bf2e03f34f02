"""What a user may rely on: domains and panels are read right from captions that the rules were not written after.

`captions.jsonl` was written and labelled by hand, before the rules were changed for its kinds of captions. Each kind
holds captions that show a domain (or mark panels) beside neighbours in nearly the same words that do not.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from llavamed_data.figures import caption_is_single_plot, domains_of
from llavamed_data.recipes import DOMAINS
from tests.llavamed_data.figures.scores import score

ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("captions.jsonl").read_text("utf-8").splitlines()
]

FLOORS = {
    "chest_xray": (0.95, 0.95),
    "mri": (0.95, 0.95),
    "histology": (0.95, 0.95),
    "gross": (0.95, 0.95),
    "ct_scan": (0.95, 0.95),
}
"""Least precision and recall of each domain."""


def test_every_caption_is_labelled_once() -> None:
    assert len(ROWS) >= 250
    assert len({row["caption"] for row in ROWS}) == len(ROWS)
    assert {domain for row in ROWS for domain in row["domains"]} == set(DOMAINS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_fresh_captions_are_flagged_with_high_precision_and_recall(domain: str) -> None:
    found = score((domain in domains_of(row["caption"]), domain in row["domains"]) for row in ROWS)
    precision, recall = FLOORS[domain]
    assert found.precision >= precision
    assert found.recall >= recall


def test_panels_of_fresh_captions_are_found_with_high_precision_and_recall() -> None:
    found = score((not caption_is_single_plot(row["caption"]), row["compound"]) for row in ROWS)
    assert found.precision >= 0.95
    assert found.recall >= 0.95
