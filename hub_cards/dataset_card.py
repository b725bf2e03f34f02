"""The card of a dataset: what it is, how it was made, what was dropped, and under which terms it may be used."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from hub_cards.columns import ExampleRow, column_table
from hub_cards.markdown import inert, render

BUILT_BY = "<!-- built by llavamed_data -->"
"""Stands in every card that `build` writes: only a folder whose card holds it is replaced."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_BEGIN, _END = "<!-- statistics -->", "<!-- end of statistics -->"
_STATISTICS = re.compile(rf"{_BEGIN}\n.*?{_END}\n\n?", re.DOTALL)
_AFTER_STATISTICS = "\n## How it was made\n"


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What one step of the pipeline did to one unit.

    Attributes:
        step: its name (`acquire`).
        unit: what it counts: `articles`, `figures`, `images` or `rows`.
        entered, kept: how many came in and how many went on.
        dropped: reason → how many were dropped; `entered` = `kept` + all of them.
    """

    step: str
    unit: str
    entered: int
    kept: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """Everything that a dataset card states.

    Attributes:
        name: name of the recipe and of the folder (`60k-im`).
        title: name of the dataset in a heading.
        schema: `alignment`, `instruct` or `eval`.
        figures: which figures were drawn from, in words, where the recipe is not one of the paper's; else "".
        mentions: whether the text was written from inline mentions too.
        split: `train` or `test`.
        features: `Features` in the form of a card's YAML.
        rows, images: number of rows and of images.
        num_bytes, download_bytes: size of the Arrow tables and of the Parquet files.
        domains, licenses: value → rows.
        source: name of the source, without a path.
        source_date: ISO date of the inventory or copy, if it states one.
        generator: what wrote the conversations.
        model: the language model that was asked, if one was.
        rules: cleaning rule → number of conversations' rounds that it touched.
        shortage: why there are fewer figures than the recipe asks for, or "".
        steps: what each step of the pipeline kept and dropped.
        notes: further sentences for the reader (a released copy's identity, what --keep-eval-articles did).
        version: of the toolkit.
        example: a row to show.
    """

    name: str
    title: str
    schema: str
    figures: str
    mentions: bool
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
    steps: Sequence[StepCounts]
    notes: Sequence[str]
    version: str
    example: ExampleRow | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it was built from the bundled sample corpus."""
        return self.source == "sample"


class CardPicture(NamedTuple):
    """A picture beside a card: what it shows, and its path relative to the card."""

    caption: str
    path: str


def render_dataset_card(card: DatasetCard) -> str:
    """The card as Markdown with YAML metadata."""
    split = {"name": card.split, "num_bytes": card.num_bytes, "num_examples": card.rows}
    synthetic = ["synthetic"] if card.synthetic else []
    metadata = {
        "pretty_name": card.title + (" (synthetic sample)" if card.synthetic else ""),
        "license": "cc-by-nc-4.0",
        "language": ["en"],
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "size_categories": [size_category(card.rows)],
        "tags": ["medical", "biology", "llava-med", "pubmed-central", *synthetic],
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
    columns = column_table(card.features, card.example)
    return render("dataset.md.j2", metadata, card=card, columns=columns, built_by=BUILT_BY)


def size_category(rows: int) -> str:
    """The Hub's name for sets of this size (`1K<n<10K`)."""
    return next((label for bound, label in _SIZES if rows < bound), "1M<n<10M")


def with_review(card: str, sentence: str, rows: Mapping[str, int] | None = None) -> str:
    """Puts a section on what reviewers did into a card, before what earlier reviews did.

    Args:
        card: Markdown with YAML metadata.
        sentence: what they did.
        rows: split → rows, where rows were changed or left out; the metadata state them then.

    Raises:
        ValueError: the card has no metadata that can be read.
    """
    if rows is not None:
        sentence = f"{sentence} Other numbers in this card are of the dataset before that."
        card = _with_rows(card, rows)
    heading = "\n## Review\n\n"
    if heading in card:
        return card.replace(heading, f"{heading}{sentence}\n\n", 1)
    return f"{card.rstrip()}\n{heading}{sentence}\n"


def _with_rows(card: str, rows: Mapping[str, int]) -> str:
    """A card whose metadata state these numbers of rows, and no number of bytes."""
    try:
        _, stated, text = card.split("---\n", 2)
        metadata = yaml.safe_load(stated)
        infos = metadata.get("dataset_info", {})
        for info in infos if isinstance(infos, list) else [infos]:
            for name in ("download_size", "dataset_size"):
                info.pop(name, None)
            for split in info.get("splits", ()):
                split.pop("num_bytes", None)
                split["num_examples"] = rows.get(split["name"], 0)
        if "size_categories" in metadata:
            metadata["size_categories"] = [size_category(sum(rows.values()))]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("the card has no metadata that can be read") from error
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)}---\n{text}"


def with_pictures(card: str, pictures: Sequence[CardPicture], *, page: str | None = None) -> str:
    """Puts a section of statistics into a card, in place of an earlier one; without pictures there is no section.

    The pictures stand in a table of two columns, those of the domains first.

    Args:
        card: Markdown with YAML metadata.
        pictures: in their order.
        page: path, relative to the card, of the page that has the numbers.
    """
    card = _STATISTICS.sub("", card)
    if not pictures:
        return card
    lines = [_BEGIN, "## Statistics", ""]
    ordered = sorted(pictures, key=lambda picture: "domain" not in picture.path)
    lines.append("<table>")
    for start in range(0, len(ordered), 2):
        lines.append("<tr>")
        for picture in ordered[start : start + 2]:
            caption = inert(picture.caption)
            shown = f"![{caption}]({quote(picture.path)})"
            lines += ['<td width="50%" valign="top">', "", shown, "", caption, "", "</td>"]
        lines.append("</tr>")
    lines += ["</table>", ""]
    if page:
        lines += [
            f"[{quote(page)}]({quote(page)}) has the numbers: download it and open it in a browser.",
            "",
        ]
    section = "\n".join([*lines, _END]) + "\n"
    if _AFTER_STATISTICS in card:
        return card.replace(_AFTER_STATISTICS, f"\n{section}{_AFTER_STATISTICS}", 1)
    return f"{card.rstrip()}\n\n{section}"
