"""The paper's tables, read from the YAML files in `paper/`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.recipes import BENCHMARKS, load_benchmark
from llavamed_trainer.evaluation.tables.variant import Variant, make_variant

NUMBERS = ("1", "3", "4a", "4b", "5", "9", "10a", "10b", "11", "12")
"""Numbers of the tables, in their order."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training run whose hours a table states: its recipe and number of epochs."""

    recipe: str
    epochs: int


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of a table of the paper.

    Attributes:
        label: the label as printed; the variant's own if the paper prints its settings instead.
        labelled: whether the paper prints a label.
        variant: what was trained; None for methods of the literature and for hours.
        runs: training runs whose mean hours the row states.
        seeded: whether it is one run of several, told apart by the variant's seed.
        paper: values in the order of the table's columns; None where the paper has none.
    """

    label: str
    labelled: bool
    variant: Variant | None
    runs: tuple[TrainingRun, ...]
    seeded: bool
    paper: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Erratum:
    """An error of the paper: which cells it is in (all groups if none is stated), and what is wrong."""

    row: str | None
    group: str | None
    columns: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        number: number such as `4a`.
        title: what it shows.
        kind: which results fill it: `chat`, `benchmarks`, `hours`, `cost` or `chinese`.
        columns: key → label of each column of values.
        groups: title and rows of each group.
        errata, notes: texts to print below it.
        examples: questions and answers of Table 12.
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
    """The table of that number, one of `NUMBERS`."""
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
    """Errors of the paper in tables that are not among `NUMBERS`."""
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
        f"{name}/{kind}": f"{load_benchmark(name).title} {kind.capitalize()}"
        for name in BENCHMARKS
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
        runs=tuple(TrainingRun(each["recipe"], each["epochs"]) for each in runs),
        seeded="seed" in stated.get("variant", {}),
        paper=tuple(stated["paper"]),
    )
