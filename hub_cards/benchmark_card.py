"""The card of a benchmark for visual question answering: the work of its authors in the form of this project's sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub_cards.columns import ExampleRow, column_table
from hub_cards.dataset_card import BUILT_BY, StepCounts, size_category
from hub_cards.markdown import render

COUNTED: Mapping[str, str] = {"images": "images", "rows": "rows", "open": "open", "closed": "closed"}
"""What is counted of each split → heading of its column."""

COUNTED_CHOICES: Mapping[str, str] = {
    "images": "images",
    "rows": "rows",
    "choices": "multiple choice",
    "open": "open",
}
"""The same for benchmarks of multiple-choice questions."""


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """Sizes of one split of a benchmark.

    Attributes:
        name: `train`, `validation` or `test`.
        built: `images`, `rows`, `open`, `closed`, `choices` → number; None where the source does not state answer
            types.
        paper: the same as Table 8 of the paper, or the benchmark's authors, state it; None for a split or a number that
            is not stated.
        num_bytes, download_bytes: size of the Arrow tables and of the Parquet files.
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
        name: name of the folder (`vqa-rad`).
        title: the benchmark's own name.
        about: one sentence on what it holds.
        license: of the benchmark, by the Hub's identifier.
        license_note: a sentence on who states the licence.
        homepage, citation: of the benchmark.
        published: year in which the benchmark was published.
        languages: of the questions that are here.
        features: `Features` in the form of a card's YAML.
        splits: in their order.
        domains: domain → rows, where the source states it.
        source: name of the source, without a path.
        steps: what each step of the pipeline kept and dropped.
        notes: further sentences for the reader.
        version: of the toolkit.
        bibtex: the benchmark's own entry for a list of references.
        example: a row to show.
        counted: what is counted of each split → heading of its column.
        counts_source: whose counts stand in brackets, and "states" or "state".
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
    steps: Sequence[StepCounts]
    notes: Sequence[str]
    version: str
    bibtex: str = ""
    example: ExampleRow | None = None
    counted: Mapping[str, str] = field(default_factory=lambda: COUNTED)
    counts_source: str = "Table 8 of the LLaVA-Med paper states"

    @property
    def evaluation_splits(self) -> str:
        """The splits that no model may be trained on, in words."""
        if "choices" not in self.counted:
            return "`test`"
        return ", ".join(f"`{split.name}`" for split in self.splits if split.name != "train") or "`test`"


def render_benchmark_card(card: BenchmarkCard) -> str:
    """The card as Markdown with YAML metadata."""
    rows = {split.name: split.built["rows"] or 0 for split in card.splits}
    splits = [
        {"name": split.name, "num_bytes": split.num_bytes, "num_examples": rows[split.name]}
        for split in card.splits
    ]
    metadata = {
        "pretty_name": card.title,
        "license": card.license,
        "language": list(card.languages),
        "task_categories": [
            "visual-question-answering",
            *(["multiple-choice"] if "choices" in card.counted else []),
        ],
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
    columns = column_table(card.features, card.example, benchmark=True)
    return render("benchmark.md.j2", metadata, card=card, columns=columns, built_by=BUILT_BY)
