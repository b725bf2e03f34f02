"""Croissant metadata (MLCommons, version 1.0) of a dataset, which crawlers and tools other than the Hub's read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hub_cards.benchmark_card import BenchmarkCard
from hub_cards.dataset_card import DatasetCard

CROISSANT_FILE = "croissant.json"
_FILE = "cr:FileObject"

_TYPES = {"string": "sc:Text", "int64": "sc:Integer"}
"""Type of a feature → type of a Croissant field; images and messages are structures and have none."""

_PAPER = (
    "Li et al., LLaVA-Med: Training a Large Language-and-Vision Assistant for Biomedicine in One Day, "
    "NeurIPS 2023 Datasets and Benchmarks"
)

_LICENSES = {
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
}
"""The Hub's identifier of a licence → its address."""

_TERMS = (
    "citeAs column conformsTo extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key "
    "md5 parentField path recordSet references regex repeated replace samplingRate separator source subField transform "
    "equivalentProperty"
)
"""The terms of Croissant's own vocabulary that a document may use without a prefix."""


def render_croissant(card: DatasetCard | BenchmarkCard, shards: Mapping[str, str]) -> str:
    """The metadata as JSON-LD; columns that hold one string, one number or a list of strings become fields.

    Args:
        card: what is stated of the dataset.
        shards: name of a Parquet file, relative to the metadata → its SHA-256.
    """
    stated = _benchmark(card) if isinstance(card, BenchmarkCard) else _dataset(card)
    splits = [split.name for split in card.splits] if isinstance(card, BenchmarkCard) else [card.split]
    document = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"llava-med-{card.name}",
        **stated,
        "url": f"https://huggingface.co/datasets/llava-med/{card.name}",
        "version": card.version,
        "distribution": [
            *(_file_set(split, _shards(splits, split)) for split in splits),
            *(_file(name, digest) for name, digest in shards.items()),
        ],
        "recordSet": [_record_set(card, split, _shards(splits, split)) for split in splits],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def with_shards(metadata: str, shards: Mapping[str, str]) -> str:
    """The metadata of a dataset whose rows were written again, with the digests of its new files.

    Args:
        metadata: as `render_croissant` wrote them.
        shards: as there.

    Raises:
        ValueError: they are not such metadata.
    """
    document = json.loads(metadata)
    try:
        others = [each for each in document["distribution"] if each["@type"] != _FILE]
        document["distribution"] = [*others, *(_file(name, digest) for name, digest in shards.items())]
    except (KeyError, TypeError) as error:
        raise ValueError("no Croissant metadata with a distribution") from error
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _dataset(card: DatasetCard) -> dict[str, Any]:
    """What the metadata state of a set that the toolkit made."""
    dated = {"datePublished": card.source_date} if card.source_date else {}
    return {
        "description": f"{card.title}: {card.rows:,} rows, {card.images:,} images; recipe {card.name}.",
        "license": "https://creativecommons.org/licenses/by-nc/4.0/",
        "inLanguage": "en",
        "keywords": ["medical", "llava-med", *(["synthetic"] if card.synthetic else [])],
        "creator": {"@type": "Organization", "name": "llavamed-data"},
        "citeAs": _PAPER,
        **dated,
    }


def _benchmark(card: BenchmarkCard) -> dict[str, Any]:
    """What the metadata state of a benchmark, which is its authors' work."""
    return {
        "description": f"{card.about} {card.license_note}",
        "license": _LICENSES.get(card.license, card.license_note),
        "inLanguage": list(card.languages),
        "keywords": ["medical", "llava-med", "visual question answering"],
        "creator": {"@type": "Organization", "name": f"the authors of {card.title}"},
        "sameAs": card.homepage,
        "citeAs": card.citation,
        "datePublished": card.published,
    }


def _shards(splits: Sequence[str], split: str) -> str:
    """The id of a split's files, which differs from the split's own: an id is unique in a document."""
    return "shards" if len(splits) == 1 else f"{split}-shards"


def _file_set(split: str, shards: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": shards,
        "name": shards,
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{split}-*.parquet",
    }


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": _FILE,
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _record_set(card: DatasetCard | BenchmarkCard, split: str, shards: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "field": [_field(split, shards, *column) for column in _columns(card)],
    }


def _columns(card: DatasetCard | BenchmarkCard) -> Iterator[tuple[str, str, bool]]:
    """(column, Croissant type, whether it repeats) of the features that have one."""
    for feature in card.features:
        dtype, items = feature.get("dtype"), feature.get("list")
        if dtype in _TYPES:
            yield feature["name"], _TYPES[dtype], False
        elif isinstance(items, str) and items in _TYPES:
            yield feature["name"], _TYPES[items], True


def _field(split: str, shards: str, column: str, dtype: str, repeated: bool) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{split}/{column}",
        "name": column,
        "dataType": dtype,
        "source": {"fileSet": {"@id": shards}, "extract": {"column": column}},
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
        **{name: f"cr:{name}" for name in _TERMS.split()},
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    }
