"""Croissant metadata (MLCommons, version 1.0) of a dataset: what crawlers and other tools than the Hub read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hub_cards.dataset_card import DatasetCard

FILE_NAME = "croissant.json"

_TYPES = {"string": "sc:Text", "int64": "sc:Integer"}
"""Types of a card's features that a Croissant field can state; images and messages are structures and have none."""

_PAPER = (
    "Li et al., LLaVA-Med: Training a Large Language-and-Vision Assistant for Biomedicine in One Day, "
    "NeurIPS 2023 Datasets and Benchmarks"
)

_PLAIN = (
    "citeAs column conformsTo extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key "
    "md5 parentField path recordSet references regex repeated replace samplingRate separator source subField transform "
    "equivalentProperty"
)


def render_croissant(card: DatasetCard) -> str:
    """The metadata as JSON-LD; columns that hold one string, one number or a list of strings become fields."""
    document = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"llava-med-{card.name}",
        "description": f"{card.title}: {card.rows:,} rows, {card.images:,} images; recipe {card.name}.",
        "license": "https://creativecommons.org/licenses/by-nc/4.0/",
        "url": f"https://huggingface.co/datasets/llava-med/{card.name}",
        "version": card.version,
        "inLanguage": "en",
        "keywords": ["medical", "llava-med", *(["synthetic"] if card.synthetic else [])],
        "creator": {"@type": "Organization", "name": "llavamed-data"},
        "citeAs": _PAPER,
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": "shards",
                "name": "shards",
                "encodingFormat": "application/x-parquet",
                "includes": f"data/{card.split}-*.parquet",
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": card.split,
                "name": card.split,
                "field": [_field(card.split, *column) for column in _columns(card)],
            }
        ],
    }
    if card.source_date:
        document["datePublished"] = card.source_date
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _columns(card: DatasetCard) -> Iterator[tuple[str, str, bool]]:
    """(column, Croissant type, whether it repeats) of the features that have one."""
    for feature in card.features:
        dtype, items = feature.get("dtype"), feature.get("list")
        if dtype in _TYPES:
            yield feature["name"], _TYPES[dtype], False
        elif isinstance(items, str) and items in _TYPES:
            yield feature["name"], _TYPES[items], True


def _field(split: str, column: str, dtype: str, repeated: bool) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{split}/{column}",
        "name": column,
        "dataType": dtype,
        "source": {"fileSet": {"@id": "shards"}, "extract": {"column": column}},
    }
    return field | {"repeated": True} if repeated else field


def _context() -> Mapping[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        **{name: f"cr:{name}" for name in _PLAIN.split()},
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    }
