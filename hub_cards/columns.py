"""The columns of a dataset for its card: name, type, what each holds, and what one row has there."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub_cards.markdown import inert

_PICTURE = "The image of one row"
_ABOVE, _ONE_IMAGE = "the picture above", "one image"

_HEADING_OF_EXAMPLE = "| column | type | holds | in one row |"

_SHOWN = 300
"""Characters of an example's value; the rest is left out."""

_MEANINGS = {
    "images": "the image's file, byte for byte as the source has it",
    "messages": "the conversation; the first user turn begins with the image part",
    "id": "unique in this dataset",
    "domain": "`chest_xray`, `mri`, `histology`, `gross` or `ct_scan`; null, in alignment and evaluation sets alone, "
    "where it is none of them or not stated",
    "caption": "the figure's caption",
    "inline_mentions": "the sentences of the article that mention the figure",
    "figure_label": "the figure's label in the article",
    "pmcid": "the article in PubMed Central",
    "pmid": "the article in PubMed",
    "license": "of the image and its caption",
    "provenance": "source and its date, recipe, what wrote the text, and the versions of its prompt and rules",
    "question_id": "the number of the question",
    "question_type": "`conversation` or `detailed_description`",
}

_MEANINGS_OF_BENCHMARKS = {
    "messages": "the question, which begins with the image part, and its answer",
    "id": "benchmark, split and question",
    "domain": "`chest_xray`, `mri`, `histology`, `gross` or `ct_scan`; null where it is none of them or not stated",
    "caption": "empty: a column of the sets made from articles",
    "inline_mentions": "empty, likewise",
    "figure_label": "empty, likewise",
    "pmcid": "null, likewise",
    "pmid": "null, likewise",
    "license": "of the benchmark",
    "provenance": "source, and the name of the benchmark",
    "answer_type": "`OPEN` or `CLOSED`, null where the source does not say",
    "question_type": "the source's own, with its misspellings corrected",
    "language": "`en` or `zh`",
}

_MEANINGS_OF_CHOICES = _MEANINGS_OF_BENCHMARKS | {
    "images": "the images' files, byte for byte as the source has them, in the order in which the question counts them",
    "messages": "the image parts, the question with its lettered choices, and the letter of the right one",
    "question": "the question without its choices",
    "choices": "the choices, the first under the letter A; empty for an open question",
    "answer_type": "`CHOICE`, or `OPEN` for a question without choices",
    "question_type": "the source's own, several separated by commas",
}


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """One row of a dataset, to be shown in its card.

    Attributes:
        row: column → value, without the image.
        picture: name of the file beside the card that holds the row's image; None where it has none to show.
    """

    row: Mapping[str, Any]
    picture: str | None


def column_table(
    features: Sequence[Mapping[str, Any]], example: ExampleRow | None, *, benchmark: bool = False
) -> str:
    """The columns as a Markdown table, with the picture of the example row above it.

    Args:
        features: `Features` in the form of a card's YAML.
        example: a row whose values are shown, if there is one.
        benchmark: whether the columns are those of a benchmark.
    """
    of_choices = any(feature["name"] == "choices" for feature in features)
    of_benchmark = _MEANINGS_OF_CHOICES if of_choices else _MEANINGS_OF_BENCHMARKS
    meanings = _MEANINGS | of_benchmark if benchmark else _MEANINGS
    heading = ["column", "type", "holds", *(["in one row"] if example else [])]
    lines = [f"| {' | '.join(heading)} |", f"| {' | '.join('---' for _ in heading)} |"]
    for feature in features:
        name = str(feature["name"])
        cells = [f"`{name}`", inert(_type_of(feature)), meanings.get(name, "")]
        if example:
            cells.append(_value(name, example))
        lines.append(f"| {' | '.join(cells)} |")
    picture = f"![{_PICTURE}]({example.picture})\n\n" if example and example.picture else ""
    return picture + "\n".join(lines)


def without_picture(card: str) -> str:
    """A card whose example row has lost its picture."""
    shown = re.compile(rf"!\[{_PICTURE}\]\([^)\n]*\)\n\n")
    return shown.sub("", card, count=1).replace(_ABOVE, _ONE_IMAGE, 1)


def without_example(card: str) -> str:
    """A card whose table of columns has lost its example row, and the row's picture."""
    text = without_picture(card).replace(_HEADING_OF_EXAMPLE, "| column | type | holds |", 1)
    lines, in_table = list[str](), False
    for line in text.split("\n"):
        in_table = line.startswith("|") and (in_table or line == "| column | type | holds |")
        cells = re.split(r"(?<!\\) \| ", line)
        lines.append(" | ".join(cells[:3]) + " |" if in_table and len(cells) == 4 else line)
    return "\n".join(lines)


def _type_of(feature: Mapping[str, Any]) -> str:
    """A feature's type in words: `list of {role: string, content: list of {type: string, text: string}}`."""
    if "dtype" in feature:
        return str(feature["dtype"])
    if "struct" in feature:
        return _struct(feature["struct"])
    inner = feature.get("list")
    return f"list of {inner if isinstance(inner, str) else _struct(inner or ())}"


def _struct(fields: Sequence[Mapping[str, Any]]) -> str:
    named = (f"{field['name']}: {_type_of(field)}" for field in fields)
    return f"{{{', '.join(named)}}}"


def _value(name: str, example: ExampleRow) -> str:
    value = example.row.get(name)
    if name == "images":
        picture = _ABOVE if example.picture else _ONE_IMAGE
        parts = [part for turn in example.row.get("messages") or () for part in turn["content"]]
        images = sum(part.get("type") == "image" for part in parts)
        return f"{picture}, the first of {images}" if images > 1 else picture
    if name == "messages":
        turns = [(turn["role"], _text_of(turn)) for turn in value or ()]
        shown = [f"**{inert(role)}** {_short(text)}" for role, text in turns[:2]]
        more = [f"… {len(turns) - 2:,} turns more"] if len(turns) > 2 else []
        return "<br>".join([*shown, *more])
    if isinstance(value, Mapping):
        return "<br>".join(f"{inert(key)}: {_short(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, (list, tuple)):
        return "<br>".join(_short(each) for each in value[:2]) or "none"
    return "null" if value is None else _short(value) or "empty"


def _text_of(turn: Mapping[str, Any]) -> str:
    return " ".join(part["text"] for part in turn["content"] if part.get("text"))


def _short(value: object) -> str:
    """The value as plain text of bounded length, in which a reader's page can break every word."""
    words = " ".join(str(value).split())
    cut = words if len(words) <= _SHOWN else words[:_SHOWN].rstrip() + "…"
    return " ".join(
        "<wbr>".join(inert(part) for part in textwrap.wrap(word, 30)) or "" for word in cut.split(" ")
    )
