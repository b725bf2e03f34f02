"""What is known of a benchmark for visual question answering, read from its YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from llavamed_data.recipes.recipe import ALL_BENCHMARKS, read_stated

SPLITS = ("train", "dev", "validation", "test", "test_clean", "test_tiny")
"""Splits, in the order in which they are read and written."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a split, as in Table 8.

    Attributes:
        images, rows: how many; None if a benchmark's authors do not state it.
        open, closed: None if answer types are unknown.
        choices: rows that are multiple-choice questions; None if it is not stated.
    """

    images: int | None
    rows: int | None
    open: int | None = None
    closed: int | None = None
    choices: int | None = None


@dataclass(frozen=True, slots=True)
class HubCopy:
    """A copy on the Hub: its repository, and its rows by split and how they differ, if that is known.

    Attributes:
        repository: its name.
        rows: split → rows.
        note: how it differs from the original files.
        files: patterns of the files that are fetched; the usual ones if empty.
        packed: the archive that holds everything, which has to be unpacked before it can be read; "" if there is none.
    """

    repository: str
    rows: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    files: tuple[str, ...] = ()
    packed: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceFormat:
    """How the files of a benchmark state multiple-choice questions.

    Names of columns are compared without regard to case, blanks and underscores. Of several names for one thing the
    first that a row has counts.

    Attributes:
        id: columns with the number of a question.
        question: columns with its text.
        choices: one column with all choices (a list, a mapping of letters, or a list written as text), or one a choice.
        answer: columns with the right answer.
        answer_is: whether that is the letter of a choice, its text, or either.
        images: columns with the names of the images, or with the images themselves, in order.
        types: kinds of question: for each the columns that state it.
        prefix: the mark behind the letter that each choice begins with ("A:"), which is removed; "" if there is none.
        cut: where the question's text repeats the choices; what follows is left out.
        fewer: whether rows may have fewer choices than there are columns.
        subjects: the subjects that are taken; a row's subject stands in its number. All if empty.
        nested: whether the file is an object of subsets that are objects of splits; in it, split → its name there.
    """

    question: tuple[str, ...]
    choices: tuple[str, ...]
    answer: tuple[str, ...]
    images: tuple[str, ...]
    answer_is: Literal["letter", "text", "either"] = "letter"
    id: tuple[str, ...] = ()
    types: tuple[tuple[str, ...], ...] = ()
    prefix: str = ""
    cut: str = ""
    fewer: bool = False
    subjects: tuple[str, ...] = ()
    nested: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark: of the paper (section 5.2 and Appendix C.1), or of multiple-choice questions.

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
        table_8: split → the paper's counts; empty for benchmarks that the paper does not have.
        hub: the copy on the Hub that users have.
        one_file: names of a file that holds all splits.
        phrases: phrase types of training rows that the paper uses; all if empty.
        question_types: a misspelling in the original file → what is meant.
        domains: modality → domain → beginnings of the locations that count to it.
        closed_answers: answers that make a question closed, for files that do not state it.
        errata: of the paper's counts.
        empty_answers: whether rows whose answer is empty are rows of the benchmark, as Table 8 counts them.
        choices: how its files state multiple-choice questions; None if it has none.
        published_counts: split → what its authors state, for benchmarks that are not in Table 8.
        notes: sentences for its card and for people who build it.
        sources: where the format and the counts were found.
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
    hub: HubCopy
    table_8: Mapping[str, Counts] = field(default_factory=dict)
    one_file: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    question_types: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    closed_answers: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()
    empty_answers: bool = False
    choices: ChoiceFormat | None = None
    published_counts: Mapping[str, Counts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, Counts]:
        """Split → the counts that are compared with those of a build."""
        return self.table_8 or self.published_counts


@cache
def load_benchmark(name: str) -> Benchmark:
    """Returns the benchmark of that name.

    Raises:
        UsageError: there is none.
    """
    stated = read_stated(name, ALL_BENCHMARKS, kind="benchmark")
    several = ("languages", "one_file", "phrases", "closed_answers", "errata", "notes", "sources")
    return Benchmark(
        **{
            **stated,
            **{key: tuple(stated[key]) for key in several if key in stated},
            "files": {split: tuple(names) for split, names in stated["files"].items()},
            "domains": {
                modality: {domain: tuple(places) for domain, places in domains.items()}
                for modality, domains in stated.get("domains", {}).items()
            },
            "table_8": _counts(stated.get("table_8", {})),
            "published_counts": _counts(stated.get("published_counts", {})),
            "hub": HubCopy(**{**stated["hub"], "files": tuple(stated["hub"].get("files", ()))}),
            "choices": _choice_format(stated["choices"]) if "choices" in stated else None,
        }
    )


def _counts(stated: Mapping[str, Any]) -> Mapping[str, Counts]:
    return {split: Counts(**counts) for split, counts in stated.items()}


def _choice_format(stated: Mapping[str, Any]) -> ChoiceFormat:
    lists = {key: tuple(value) for key, value in stated.items() if isinstance(value, list) and key != "types"}
    return ChoiceFormat(**{**stated, **lists, "types": tuple(map(tuple, stated.get("types", ())))})
