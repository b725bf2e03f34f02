"""The paper's tables, as the YAML files beside this module hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_trainer.evaluation.tables.variant import Variant, make_variant

NUMBERS = ("1", "3", "4a", "4b", "5", "9", "10a", "10b", "11", "12")
"""The tables there are, in their order."""

BENCHMARKS: Mapping[str, str] = {"vqa-rad": "VQA-RAD", "slake": "SLAKE", "path-vqa": "PathVQA"}
"""Benchmark → as the paper writes it, in the order of its columns."""


@dataclass(frozen=True, slots=True)
class Run:
    """A training run whose hours a table states: recipe and epochs."""

    recipe: str
    epochs: int


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row.

    Attributes:
        label: as printed; the variant's own where the paper prints its settings.
        labelled: whether the paper prints a label.
        variant: what was trained; None for methods of the literature and for hours.
        runs: whose hours it states, as a mean.
        seeded: whether it is one run of several, by the variant's seed.
        paper: figures in the order of the table's columns; None where the paper has none.
    """

    label: str
    labelled: bool
    variant: Variant | None
    runs: tuple[Run, ...]
    seeded: bool
    paper: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Erratum:
    """An error of the paper: the cells it is about (all groups, all columns where not stated) and what is wrong."""

    row: str | None
    group: str | None
    columns: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        number: such as `4a`.
        title: what it shows.
        kind: `chat`, `benchmarks`, `hours`, `cost` or `chinese`: what fills it.
        columns: key → label of the figures' columns.
        groups: title and rows.
        errata, notes: to print below it.
        examples: of Table 12.
    """

    number: str
    title: str
    kind: str
    columns: Mapping[str, str]
    groups: tuple[tuple[str, tuple[PaperRow, ...]], ...]
    errata: tuple[Erratum, ...]
    notes: tuple[str, ...]
    examples: tuple[Mapping[str, str], ...]


@cache
def paper_table(number: str) -> PaperTable:
    """One of `NUMBERS`."""
    stated = _read(f"table{number}.yaml")
    return PaperTable(
        number=stated["table"],
        title=stated["title"],
        kind=stated["kind"],
        columns=_columns(stated),
        groups=tuple(
            (group["title"], tuple(_row(row) for row in group["rows"])) for group in stated.get("groups", ())
        ),
        errata=tuple(
            Erratum(each.get("row"), each.get("group"), tuple(each.get("columns", ())), each["note"])
            for each in stated.get("errata", ())
        ),
        notes=tuple(stated.get("notes", ())),
        examples=tuple(stated.get("examples", ())),
    )


@cache
def other_errata() -> tuple[str, ...]:
    """Errors of the paper in tables that are not among these."""
    return tuple(f"Table {each['table']}: {each['note']}" for each in _read("errata.yaml"))


def _read(name: str) -> Any:
    return yaml.safe_load(files(__package__).joinpath("paper", name).read_text(encoding="utf-8"))


def _columns(stated: Mapping[str, Any]) -> dict[str, str]:
    if stated["kind"] == "chat":
        return {each["key"]: f"{each['label']} ({each['count']})" for each in stated["columns"]}
    if stated["kind"] == "hours":
        return {"hours": "Hours"}
    if stated["kind"] == "cost":
        return {"performance": "Performance", "hours": "Hours"}
    columns = {
        f"{key}/{kind}": f"{name} {kind.capitalize()}"
        for key, name in BENCHMARKS.items()
        for kind in ("open", "closed")
    }
    return {**columns, "average": "Average"} if stated.get("average") else columns


def _row(stated: Mapping[str, Any]) -> PaperRow:
    variant = make_variant(stated["variant"]) if "variant" in stated else None
    runs = stated.get("runs", [stated["run"]] if "run" in stated else [])
    return PaperRow(
        label=stated.get("label") or (variant.label if variant else ""),
        labelled="label" in stated,
        variant=variant,
        runs=tuple(Run(each["recipe"], each["epochs"]) for each in runs),
        seeded="seed" in stated.get("variant", {}),
        paper=tuple(stated["paper"]),
    )
