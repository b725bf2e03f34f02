"""What is known of a benchmark for visual question answering, read from its YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from llavamed_data.recipes.recipe import BENCHMARKS, read_stated

SPLITS = ("train", "validation", "test")
"""Splits, in the order in which they are read and written."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a split, as in Table 8; `open` and `closed` are None if answer types are unknown."""

    images: int
    rows: int
    open: int | None
    closed: int | None


@dataclass(frozen=True, slots=True)
class HubCopy:
    """A copy on the Hub: its repository, and its rows by split and how they differ, if that is known."""

    repository: str
    rows: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark (section 5.2 and Appendix C.1 of the paper).

    Attributes:
        name: folder and repository name.
        title: as cards print it.
        schema: which JSON Schema its rows follow.
        about: one sentence on what it holds.
        license: of rows and images, as the column `license` states it.
        card_license: the same as an identifier of the Hub.
        license_note: who states it.
        homepage, citation, published: of the dataset; the last is a year.
        languages: of its questions; the first is the default.
        files: split → names in use, without a folder.
        table_8: split → the paper's counts.
        hub: the copy on the Hub that users have.
        one_file: names of a file that holds all splits.
        phrases: phrase types of training rows that the paper uses; all if empty.
        question_types: a misspelling in the original file → what is meant.
        domains: modality → domain → beginnings of the locations that count to it.
        closed_answers: answers that make a question closed, for files that do not state it.
        errata: of the paper's counts.
        empty_answers: whether rows whose answer is empty are rows of the benchmark, as Table 8 counts them.
    """

    name: str
    title: str
    schema: str
    about: str
    license: str
    card_license: str
    license_note: str
    homepage: str
    citation: str
    bibtex: str
    published: str
    languages: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    table_8: Mapping[str, Counts]
    hub: HubCopy
    one_file: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    question_types: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    closed_answers: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()
    empty_answers: bool = False


@cache
def load_benchmark(name: str) -> Benchmark:
    """Returns the benchmark of that name.

    Raises:
        UsageError: there is none.
    """
    stated = read_stated(name, BENCHMARKS, kind="benchmark")
    several = ("languages", "one_file", "phrases", "closed_answers", "errata")
    return Benchmark(
        **{
            **stated,
            **{key: tuple(stated[key]) for key in several if key in stated},
            "files": {split: tuple(names) for split, names in stated["files"].items()},
            "domains": {
                modality: {domain: tuple(places) for domain, places in domains.items()}
                for modality, domains in stated.get("domains", {}).items()
            },
            "table_8": {split: Counts(**counts) for split, counts in stated["table_8"].items()},
            "hub": HubCopy(**stated["hub"]),
        }
    )
