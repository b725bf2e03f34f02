"""The card of a benchmark for visual question answering, whose rows are others' work in the project's form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hub_cards.dataset_card import BUILT_BY, StationCounts, size_category
from hub_cards.markdown import environment


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """One split.

    Attributes:
        name: `train`, `validation` or `test`.
        built: `images`, `rows`, `open`, `closed` → how many; None where the source does not state answer types.
        paper: the same as Table 8 states it; None for what it does not count.
        num_bytes, download_bytes: of the Arrow tables, of the Parquet files.
    """

    name: str
    built: Mapping[str, int | None]
    paper: Mapping[str, int | None] | None
    num_bytes: int
    download_bytes: int


@dataclass(frozen=True, slots=True)
class BenchmarkCard:
    """Everything that a benchmark's card states.

    Attributes:
        name: folder name (`vqa-rad`).
        title: as people call it.
        about: one sentence on what it holds.
        license: of the benchmark, as the Hub knows it.
        license_note: who states it.
        homepage, citation, published: of the benchmark; the last is a year.
        languages: of the questions that are here.
        features: `Features` in the form of a card's YAML.
        splits: in their order.
        domains: domain → rows, where the source states it.
        source: name of the source, without a path.
        stations: what happened on the way.
        notes: further sentences for the reader.
        version: of the toolkit.
    """

    name: str
    title: str
    about: str
    license: str
    license_note: str
    homepage: str
    citation: str
    published: str
    languages: Sequence[str]
    features: Sequence[Mapping[str, Any]]
    splits: Sequence[SplitSizes]
    domains: Mapping[str, int]
    source: str
    stations: Sequence[StationCounts]
    notes: Sequence[str]
    version: str


def render_benchmark_card(card: BenchmarkCard) -> str:
    """The card as Markdown with YAML metadata; values from data stay inert in both."""
    metadata = yaml.safe_dump(_metadata(card), sort_keys=False, allow_unicode=True, width=110)
    body = environment().get_template("benchmark.md.j2").render(card=card, built_by=BUILT_BY)
    return f"---\n{metadata}---\n{body}"


def _metadata(card: BenchmarkCard) -> dict[str, Any]:
    rows = {split.name: split.built["rows"] or 0 for split in card.splits}
    splits = [
        {"name": split.name, "num_bytes": split.num_bytes, "num_examples": rows[split.name]}
        for split in card.splits
    ]
    return {
        "pretty_name": card.title,
        "license": card.license,
        "language": list(card.languages),
        "task_categories": ["visual-question-answering"],
        "size_categories": [size_category(sum(rows.values()))],
        "tags": ["medical", "llava-med"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in rows],
            }
        ],
        "dataset_info": {
            "features": list(card.features),
            "splits": splits,
            "download_size": sum(split.download_bytes for split in card.splits),
            "dataset_size": sum(split.num_bytes for split in card.splits),
        },
    }
