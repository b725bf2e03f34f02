"""The card of a dataset: what it is, how it was made, what was dropped, and under which terms it may be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hub_cards.markdown import environment

BUILT_BY = "<!-- built by llavamed_data -->"
"""Stands in every card that `build` writes: only a folder whose card holds it is replaced."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class StationCounts:
    """What one station did to one unit; `entered` = `kept` + all of `dropped`."""

    station: str
    unit: str
    entered: int
    kept: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Everything that a dataset card states.

    Attributes:
        name: recipe and folder name (`60k-im`).
        title: as people call it.
        schema: `alignment`, `instruct` or `eval`.
        split: `train` or `test`.
        features: `Features` in the form of a card's YAML.
        rows, images, num_bytes, download_bytes: sizes; `num_bytes` of the Arrow tables.
        domains, licenses: value → rows.
        source: name of the source, without a path.
        source_date: ISO date of the inventory or copy, if it states one.
        generator: who wrote the conversations.
        model: the model that was asked, where one was.
        rules: cleaning rule → how many conversations' rounds it touched.
        shortage: why there are fewer figures than the recipe wants, or "".
        stations: what happened on the way.
        notes: further sentences for the reader (a released copy's identity, what --keep-eval-articles did).
        version: of the toolkit.
    """

    name: str
    title: str
    schema: str
    split: str
    features: Sequence[Mapping[str, Any]]
    rows: int
    images: int
    num_bytes: int
    download_bytes: int
    domains: Mapping[str, int]
    licenses: Mapping[str, int]
    source: str
    source_date: str | None
    generator: str
    model: str | None
    rules: Mapping[str, int]
    shortage: str
    stations: Sequence[StationCounts]
    notes: Sequence[str]
    version: str

    @property
    def synthetic(self) -> bool:
        """Whether it was built from the bundled sample corpus."""
        return self.source == "sample"


def render_dataset_card(card: DatasetCard) -> str:
    """The card as Markdown with YAML metadata; values from data stay inert in both."""
    metadata = yaml.safe_dump(_metadata(card), sort_keys=False, allow_unicode=True, width=110)
    body = environment().get_template("dataset.md.j2").render(card=card, built_by=BUILT_BY)
    return f"---\n{metadata}---\n{body}"


def size_category(rows: int) -> str:
    """The Hub's word for so many rows."""
    return next((label for bound, label in _SIZES if rows < bound), "1M<n<10M")


def _metadata(card: DatasetCard) -> dict[str, Any]:
    split = {"name": card.split, "num_bytes": card.num_bytes, "num_examples": card.rows}
    return {
        "pretty_name": card.title + (" (synthetic sample)" if card.synthetic else ""),
        "license": "cc-by-nc-4.0",
        "language": ["en"],
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "size_categories": [size_category(card.rows)],
        "tags": ["medical", "biology", "llava-med", "pubmed-central"]
        + (["synthetic"] if card.synthetic else []),
        "configs": [
            {"config_name": "default", "data_files": [{"split": card.split, "path": f"data/{card.split}-*"}]}
        ],
        "dataset_info": {
            "features": list(card.features),
            "splits": [split],
            "download_size": card.download_bytes,
            "dataset_size": card.num_bytes,
        },
    }
