"""How far a review is, how many rows it rejects, and how far reviewers agree with each other and with a model."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from llavamed_data.agreement import Agreement, agreement, wilson
from llavamed_data.console.printable import counted, printable_line
from llavamed_data.dataset.reader import Dataset
from llavamed_data.review.decision_file import DecisionFile, decided_rows
from llavamed_data.review.decisions import CHOICES, row_digest
from llavamed_data.review.flags import Flag

VERDICTS = ("accept", "reject")

ALL_DOMAINS = ""
"""The key of the rate over all domains."""


@dataclass(frozen=True, slots=True)
class RejectRate:
    """How many of the rows with a verdict are rejected.

    Attributes:
        rejected, decided: rows.
        low, high: the 95 % interval of the share by Wilson's score.
    """

    rejected: int
    decided: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """The state of a review.

    Attributes:
        dataset: its name.
        rows: of the dataset.
        decided: rows with a verdict; a row whose rounds are all deleted counts as rejected.
        changed: ids that there are decisions about, but of which none is about a row as it is now.
        rates: domain, as corrected → reject rate; over all domains under "".
        agreements: of each two reviewers, and of each reviewer with each source of flags that gives verdicts.
        problems: lines of the file that were passed over.
    """

    dataset: str
    rows: int
    decided: int
    changed: int
    rates: Mapping[str, RejectRate]
    agreements: Sequence[Agreement]
    problems: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for `--json`."""
        return asdict(self)

    def render(self, console: Console) -> None:
        """Prints the report."""
        again = f"; {counted(self.changed, 'row')} changed since, to be seen again" if self.changed else ""
        line = f"{self.dataset}: {self.decided:,} of {counted(self.rows, 'row')} decided{again}"
        console.print(Text(printable_line(line)), soft_wrap=True)
        table = Table("domain", "rejected", "decided", "share", "95 % interval")
        for domain, rate in self.rates.items():
            share = f"{rate.rejected / rate.decided:.1%}" if rate.decided else "–"
            cells = (printable_line(domain) or "all", f"{rate.rejected:,}", f"{rate.decided:,}", share)
            table.add_row(*map(Text, cells), f"{rate.low:.1%} to {rate.high:.1%}" if rate.decided else "–")
        console.print(table)
        _print_agreements(console, self.agreements, "verdict", "row")
        for problem in self.problems:
            console.print(Text(printable_line(problem)), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class PreferenceReport:
    """What reviewers prefer of two datasets' conversations about the same figures.

    Attributes:
        dataset, other: names of the two.
        compared: pairs of rows that somebody has compared.
        disputed: pairs about which reviewers made different choices.
        choices: reviewer → `this`, `other` and `tie` → pairs; `this` is a row of `dataset`.
        agreements: of each two reviewers.
        problems: lines of the file that were passed over.
    """

    dataset: str
    other: str
    compared: int
    disputed: int
    choices: Mapping[str, Mapping[str, int]]
    agreements: Sequence[Agreement]
    problems: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for `--json`."""
        return asdict(self)

    def render(self, console: Console) -> None:
        """Prints the report."""
        one, other = printable_line(self.dataset, 40), printable_line(self.other, 40)
        line = f"{one} and {other}: {counted(self.compared, 'pair')} of rows compared, {self.disputed:,} disputed"
        console.print(Text(line), soft_wrap=True)
        table = Table("reviewer", escape(f"prefers {one}"), escape(f"prefers {other}"), "neither")
        for reviewer, counts in self.choices.items():
            numbers = (f"{counts[choice]:,}" for choice in ("this", "other", "tie"))
            table.add_row(Text(printable_line(reviewer, 40)), *numbers)
        console.print(table)
        _print_agreements(console, self.agreements, "choice", "pair")
        for problem in self.problems:
            console.print(Text(printable_line(problem)), soft_wrap=True)


def _print_agreements(console: Console, agreements: Iterable[Agreement], what: str, unit: str) -> None:
    for each in agreements:
        kappa = "not defined" if each.kappa is None else f"{each.kappa:.2f}"
        names = f"{printable_line(each.one, 40)} and {printable_line(each.other, 40)}"
        said = f"{names}: the same {what} on {each.same:,} of {counted(each.rows, unit)}, kappa {kappa}"
        console.print(Text(said), soft_wrap=True)


def preference_report(dataset: Dataset, other: Dataset, file: DecisionFile) -> PreferenceReport:
    """What reviewers prefer of two datasets, as their rows are now.

    Args:
        dataset: the dataset that was reviewed.
        other: the one that it was compared with.
        file: the decisions.
    """
    others: dict[str, set[str]] = defaultdict(set)
    for _, row in decided_rows(other, file):
        others[row["id"]].add(row_digest(row))
    choices: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for _, row in decided_rows(dataset, file):
        digest = row_digest(row)
        for each in file.preferences(row["id"]):
            if each.row == digest and each.fields["other"] in others[row["id"]]:
                choices[each.reviewer][digest, each.fields["other"]] = each.fields["choice"]
    by_pair: dict[tuple[str, str], set[str]] = defaultdict(set)
    for chosen in choices.values():
        for pair, choice in chosen.items():
            by_pair[pair].add(choice)
    return PreferenceReport(
        dataset.bare_name,
        other.bare_name,
        len(by_pair),
        sum(len(made) > 1 for made in by_pair.values()),
        {name: {each: list(made.values()).count(each) for each in CHOICES} for name, made in choices.items()},
        [agreement(one, choices[one], two, choices[two]) for one, two in combinations(choices, 2)],
        file.problems,
    )


def review_report(
    dataset: Dataset, file: DecisionFile, flags: Mapping[str, Sequence[Flag]] | None = None
) -> ReviewReport:
    """The state of the review of a dataset.

    Args:
        dataset: the dataset.
        file: the decisions.
        flags: id of a row → its flags; those whose verdict is `accept` or `reject` are compared with the reviewers'.
    """
    verdicts: dict[str, dict[int, str]] = defaultdict(dict)
    decided, rejected = Counter[str](), Counter[str]()
    changed, followed = set[str](), set[str]()
    for number, row in decided_rows(dataset, file):
        reviewed = file.review(row)
        if reviewed.applied:
            followed.add(row["id"])
        elif file.about(row["id"]):
            changed.add(row["id"])
        for reviewer, verdict in reviewed.review.verdicts.items():
            verdicts[reviewer][number] = verdict
        if verdict := reviewed.verdict:
            for domain in {ALL_DOMAINS, reviewed.review.domain or row.get("domain") or "none stated"}:
                decided[domain] += 1
                rejected[domain] += verdict == "reject"
        for source, verdict in model_verdicts((flags or {}).get(row["id"], ())).items():
            verdicts[f"{source} (flags)"][number] = verdict
    reviewers = [name for name in verdicts if not name.endswith(" (flags)")]
    pairs = [*combinations(reviewers, 2)]
    pairs += [(name, source) for name in reviewers for source in verdicts if source.endswith(" (flags)")]
    rates = {
        domain: RejectRate(rejected[domain], decided[domain], *wilson(rejected[domain], decided[domain]))
        for domain in sorted(decided, key=lambda each: (each != ALL_DOMAINS, each))
    }
    agreements = [agreement(one, verdicts[one], other, verdicts[other]) for one, other in pairs]
    return ReviewReport(
        dataset.name,
        len(dataset),
        decided[ALL_DOMAINS],
        len(changed - followed),
        rates,
        agreements,
        file.problems,
    )


def model_verdicts(flags: Iterable[Flag]) -> dict[str, str]:
    """Source → its verdict on a row: `reject` if it rejects the row or a turn of it, else `accept` if it says so."""
    found: dict[str, str] = {}
    for flag in flags:
        verdict = flag.verdict.strip().lower()
        if verdict in VERDICTS and found.get(flag.source) != "reject":
            found[flag.source] = verdict
    return found
