"""Which of the five domains a caption says its image shows (section 3; domains in the order of Table 1).

The rules are regular expressions, in `domains.yaml` with the reason for each. They are applied clause by clause: a
clause about a plot, a chart or a schematic counts for no domain, an entry of an abbreviation list ("CT, computed
tomography") states nothing, and a modality that is only referred to ("confirmed by MRI", "CT-guided") is not shown.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llavamed_data.figures.caption_rules import HYPHENS, RuleFilter, load_rules, normalise_caption, with_words
from llavamed_data.jats.sentences import split_sentences
from llavamed_data.recipes import DOMAINS

_SPELLINGS = {**HYPHENS, "’": "'", "‘": "'", "“": '"', "”": '"', "×": "x", "₁": "1", "₂": "2"}
_CLAUSE_END = re.compile(r";\s+|[.:]\s*(?=\(?[A-Za-z]\)\s)")
"""A semicolon, or the full stop or colon before "(A) ". The first character belongs to the clause that it ends."""


@dataclass(frozen=True, slots=True)
class DomainRule:
    """One way in which a clause says that the image shows a domain.

    Attributes:
        domain: one of `DOMAINS`.
        says: what the clause says.
        with_: what else it must say somewhere, if anything.
        unless: what it must not say anywhere, if anything.
        later: what else it must say if it is not the first clause, if anything.
        referred: whether words around a match can turn it into a mere reference to another image.
    """

    domain: str
    says: re.Pattern[str]
    with_: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    later: re.Pattern[str] | None
    referred: bool


@dataclass(frozen=True, slots=True)
class DomainTable:
    """The table `domains.yaml`, compiled.

    Attributes:
        rules: what shows a domain.
        glossary: entries of abbreviation lists, which are taken out of the caption.
        drawn: what makes a clause, or in the first clause the whole figure, a drawing.
        plotted: what makes a clause one about numbers.
        referred_before, referred_after: what turns a match right after or right before it into a mere reference.
    """

    rules: RuleFilter[DomainRule]
    glossary: RuleFilter[re.Pattern[str]]
    drawn: RuleFilter[re.Pattern[str]]
    plotted: RuleFilter[re.Pattern[str]]
    referred_before: re.Pattern[str]
    referred_after: re.Pattern[str]

    def clauses(self, text: str) -> list[str]:
        """Returns the sentences of a normalised caption without its glossary, cut at semicolons and panel marks."""
        for entry in self.glossary.candidates(text):
            text = entry.sub(" ", text)
        clauses = []
        for sentence in split_sentences(text):
            start = 0
            for end in _CLAUSE_END.finditer(sentence):
                clauses.append(sentence[start : end.start() + 1])
                start = end.end()
            clauses.append(sentence[start:])
        return [clause for clause in clauses if clause.strip()]

    def domains_in(self, clause: str, *, first: bool) -> set[str]:
        """Returns the domains that `clause` says the image shows, if it is neither a drawing nor about numbers.

        Args:
            clause: one of `clauses`.
            first: whether it is the first of them.
        """
        found: set[str] = set()
        for rule in self.rules.candidates(clause):
            if rule.domain not in found and self._holds(rule, clause, first):
                found.add(rule.domain)
        return found

    def _holds(self, rule: DomainRule, clause: str, first: bool) -> bool:
        if not rule.says.search(clause):
            return False
        needed = (rule.with_, None if first else rule.later)
        if any(pattern and not pattern.search(clause) for pattern in needed):
            return False
        if rule.unless and rule.unless.search(clause):
            return False
        return not rule.referred or any(
            not self.referred_before.search(clause[: match.start()])
            and not self.referred_after.match(clause, match.end())
            for match in rule.says.finditer(clause)
        )


def domain_of(caption: str) -> str | None:
    """Returns the first of `domains_of`, None where there is none."""
    return next(iter(domains_of(caption)), None)


def domains_of(caption: str) -> tuple[str, ...]:
    """Returns every domain that `caption` says the image shows, in the order of `DOMAINS`.

    >>> domains_of("Chest X-ray and axial CT scan showing a cavity in the right upper lobe.")
    ('chest_xray', 'ct_scan')
    >>> domains_of("Kaplan-Meier curves of survival by histological type.")
    ()
    """
    table = DOMAIN_TABLE
    text = normalise_caption(caption, _SPELLINGS)
    if not table.rules.candidates(text):
        return ()
    clauses = table.clauses(text)
    showing = [
        (clause, domains)
        for number, clause in enumerate(clauses)
        if (domains := table.domains_in(clause, first=number == 0))
    ]
    if not showing or _any_in(table.drawn, clauses[0]):
        return ()
    shown: set[str] = set()
    for clause, domains in showing:
        if not (_any_in(table.drawn, clause) or _any_in(table.plotted, clause)):
            shown.update(domains)
    return tuple(domain for domain in DOMAINS if domain in shown)


def _any_in(patterns: RuleFilter[re.Pattern[str]], clause: str) -> bool:
    return any(pattern.search(clause) for pattern in patterns.candidates(clause))


def _read_domain_table() -> DomainTable:
    table = load_rules("domains.yaml")
    words: Mapping[str, str] = table["words"]

    def compiled(pattern: str, end: str = "") -> re.Pattern[str]:
        return re.compile(f"(?:{with_words(pattern, words)}){end}", re.IGNORECASE | re.VERBOSE)

    def filtered(entries: Iterable[Mapping[str, Any]]) -> RuleFilter[re.Pattern[str]]:
        return RuleFilter((compiled(entry["says"]), entry["contains"]) for entry in entries)

    def joined(entries: Iterable[Mapping[str, Any]], start: str = "", end: str = "") -> re.Pattern[str]:
        return compiled(f"{start}(?:{'|'.join(entry['says'] for entry in entries)})", end)

    def rule(domain: str, entry: Mapping[str, Any]) -> DomainRule:
        return DomainRule(
            domain=domain,
            says=compiled(entry["says"]),
            with_=compiled(entry["with"]) if "with" in entry else None,
            unless=compiled(entry["unless"]) if "unless" in entry else None,
            later=compiled(entry["later"]) if "later" in entry else None,
            referred=entry.get("referred", True),
        )

    return DomainTable(
        rules=RuleFilter(
            (rule(domain, entry), entry["contains"])
            for domain in DOMAINS
            for entry in table["domains"][domain]
        ),
        glossary=filtered(table["glossary"]),
        drawn=filtered(table["drawn"]),
        plotted=filtered(table["plotted"]),
        referred_before=joined(table["referred_before"], start=r"\b", end=r"[^\w]*$"),
        referred_after=joined(table["referred_after"]),
    )


DOMAIN_TABLE = _read_domain_table()
"""Compiled when this module is imported, so that processes forked from one that has imported it share the table."""
