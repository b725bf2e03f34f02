"""A card is metadata that the Hub reads and Markdown in which nothing from the data is markup."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import DatasetCard as HubCard
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_cards import DatasetCard, StepCounts, render_dataset_card, with_review

CARD = DatasetCard(
    name="60k-im",
    title="LLaVA-Med Instruct 60K-IM",
    schema="instruct",
    figures="",
    mentions=True,
    split="train",
    features=[{"name": "id", "dtype": "string"}],
    rows=1234,
    images=1200,
    num_bytes=10,
    download_bytes=9,
    domains={"ct_scan": 1234},
    licenses={"CC BY": 1234},
    source="pmc-cloud",
    source_date="2026-11-01",
    generator="offline",
    model=None,
    rules={},
    shortage="1,234 of 60,000: the source has no more figures",
    steps=[StepCounts("acquire", "figures", 1300, 1234, {"image missing": 66})],
    notes=[],
    version="0.1.0",
)


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hub_s_own_reader_finds_the_metadata() -> None:
    card = HubCard(render_dataset_card(CARD))
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.size_categories == ["1K<n<10K"]
    assert card.data.configs[0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert card.data.dataset_info["splits"] == [{"name": "train", "num_bytes": 10, "num_examples": 1234}]


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (60_000, "10K<n<100K"), (600_000, "100K<n<1M")],
)
def test_the_size_category_follows_from_the_rows(rows: int, size: str) -> None:
    assert metadata(render_dataset_card(replace(CARD, rows=rows)))["size_categories"] == [size]


def test_the_card_says_what_was_made_from_what_and_what_was_dropped() -> None:
    text = render_dataset_card(CARD)
    assert "1,234 of 60,000: the source has no more figures." in text
    assert "source: pmc-cloud, as of 2026-11-01" in text
    assert "| step | in | kept | dropped |" in text
    assert "| acquire (figures) | 1,300 | 1,234 | 66 image missing |" in text
    assert "may not be the most\ncurrent one" in text
    assert "without a language model" in text


def test_a_model_s_text_is_disclosed_with_the_model_and_the_rules() -> None:
    text = render_dataset_card(replace(CARD, generator="openai", model="gpt-4o", rules={"apology": 3}))
    assert "A language model wrote the text" in text
    assert "model gpt-4o" in text
    assert "| apology | 3 |" in text
    assert "without a language model" not in text


def test_the_card_says_whether_the_model_saw_inline_mentions() -> None:
    with_mentions, without = (
        render_dataset_card(replace(CARD, generator="openai", model="gpt-4o", mentions=mentions))
        for mentions in (True, False)
    )
    assert "It saw captions and inline mentions, never an image" in with_mentions
    assert "It saw captions, never an image" in without


def test_the_card_of_a_user_s_own_recipe_states_its_figures() -> None:
    text = render_dataset_card(replace(CARD, figures="figures of the domains ct_scan"))
    assert "Conversations about figures of biomedical articles: figures of the domains ct\\_scan" in text
    assert "chest X-ray, MRI, histology" not in text


def test_the_sample_is_marked_synthetic_in_metadata_and_text() -> None:
    text = render_dataset_card(replace(CARD, source="sample"))
    assert "synthetic" in metadata(text)["tags"]
    assert "**This copy is synthetic.**" in text


@settings(deadline=None)  # the first call loads the templates
@given(st.text(max_size=60))
def test_nothing_from_the_data_becomes_markup_or_metadata(hostile: str) -> None:
    text = render_dataset_card(
        replace(CARD, licenses={hostile: 1}, source=f"x {hostile}", domains={hostile: 1})
    )
    assert metadata(text) == metadata(render_dataset_card(CARD))
    body = text.split("---\n", 2)[2]
    assert "<script" not in body
    assert sum(line.startswith("# ") for line in body.splitlines()) == 1


def test_html_and_table_breaks_stay_text() -> None:
    text = render_dataset_card(replace(CARD, licenses={"<script>alert(1)</script>|\n# CC BY": 7}))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\| \\# CC BY | 7 |" in text


def test_a_review_is_counted_in_the_card_the_last_one_first() -> None:
    card = render_dataset_card(CARD)
    once = with_review(card, "People reviewed 1 row.")
    assert once == f"{card.rstrip()}\n\n## Review\n\nPeople reviewed 1 row.\n"
    twice = with_review(once, "People reviewed 2 rows.", {CARD.split: 5})
    assert twice.endswith(
        "## Review\n\nPeople reviewed 2 rows. Other numbers in this card are of the dataset before that.\n\n"
        "People reviewed 1 row.\n"
    )
    stated, before = metadata(twice), metadata(card)
    assert stated["dataset_info"]["splits"] == [{"name": CARD.split, "num_examples": 5}]
    assert stated["size_categories"] == ["n<1K"]
    assert stated["license"] == before["license"]
    assert stated["dataset_info"]["features"] == before["dataset_info"]["features"]


@pytest.mark.parametrize("card", ["# No metadata", "---\n- a list\n---\n", "---\n{\n---\n", "---\n"])
def test_a_card_whose_metadata_cannot_be_read_is_refused(card: str) -> None:
    with pytest.raises(ValueError, match="no metadata that can be read"):
        with_review(card, "People reviewed 2 rows.", {"train": 1})
