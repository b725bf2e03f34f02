"""Which of the five domains a caption says its image shows (section 3; domains in the order of Table 1).

The rules are words, in `domains.yaml` with the reason for each. They are read sentence by sentence: a sentence about
a plot, a chart or a schematic counts for no domain, a glossary entry ("CT, computed tomography") is no
statement, and a modality that is only referred to ("confirmed by MRI", "CT-guided") is not shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.jats.sentences import split_sentences
from llavamed_data.recipes import DOMAINS

READ_CHARACTERS = 20_000
"""How much of a caption is read for its domain and its panel marks: no honest one is longer, and rules take time."""


_CLAUSE_END = re.compile(r"(?<=;)\s+|(?<=[.:])\s*(?=\(?[A-Za-z]\)\s)")
_PLAIN = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"’": "'", "‘": "'", "“": '"', "”": '"', "×": "x"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One row of the table: words that show a domain, in the company of `with_` and never in that of `unless`."""

    domain: str
    gate: tuple[str, ...]
    says: re.Pattern[str]
    with_: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    referred: bool

    def hits(self, clause: str) -> Iterator[re.Match[str]]:
        """The places of `clause` where the rule holds."""
        if not self.says.search(clause):
            return iter(())
        if (self.with_ and not self.with_.search(clause)) or (self.unless and self.unless.search(clause)):
            return iter(())
        return self.says.finditer(clause)


@dataclass(frozen=True, slots=True)
class _Table:
    glossary: re.Pattern[str]
    drawn: re.Pattern[str]
    plotted: re.Pattern[str]
    before: re.Pattern[str]
    after: re.Pattern[str]
    rules: Sequence[_Rule]


def domain_of(caption: str) -> str | None:
    """The first of `domains_of`, None where there is none."""
    return next(iter(domains_of(caption)), None)


def domains_of(caption: str) -> tuple[str, ...]:
    """Every domain that `caption` says the image shows, in the order of `DOMAINS`.

    >>> domains_of("Chest X-ray and axial CT scan showing a cavity in the right upper lobe.")
    ('chest_xray', 'ct_scan')
    >>> domains_of("Kaplan-Meier curves of survival by histological type.")
    ()
    """
    table = _table()
    caption = caption[:READ_CHARACTERS]
    lowered = caption.lower()
    rules = [rule for rule in table.rules if _may_hold(rule, lowered)]
    clauses = _clauses(caption, table) if rules else []
    said = [(clause, domains) for clause in clauses if (domains := _said(table, rules, clause))]
    if not said or table.drawn.search(clauses[0]):
        return ()
    shown: set[str] = set()
    for clause, domains in said:
        if not (table.drawn.search(clause) or table.plotted.search(clause)):
            shown.update(domains)
    return tuple(domain for domain in DOMAINS if domain in shown)


def _may_hold(rule: _Rule, lowered: str) -> bool:
    return any(map(lowered.__contains__, rule.gate))


def _clauses(caption: str, table: _Table) -> list[str]:
    plain = " ".join(caption.translate(_PLAIN).split())
    sentences = split_sentences(table.glossary.sub(" ", plain))
    return [clause for sentence in sentences for clause in _CLAUSE_END.split(sentence) if clause.strip()]


def _said(table: _Table, rules: Sequence[_Rule], clause: str) -> set[str]:
    lowered = clause.lower()
    return {
        rule.domain
        for rule in rules
        if _may_hold(rule, lowered)
        and any(not (rule.referred and _is_referred(table, clause, hit)) for hit in rule.hits(clause))
    }


def _is_referred(table: _Table, clause: str, hit: re.Match[str]) -> bool:
    return bool(table.before.search(clause[: hit.start()]) or table.after.match(clause, hit.end()))


@lru_cache(maxsize=1)
def _table() -> _Table:
    raw: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("domains.yaml").read_text("utf-8"))
    words: dict[str, str] = raw["words"]

    def compiled(pattern: str, end: str = "") -> re.Pattern[str]:
        for name, value in words.items():
            pattern = pattern.replace(f"<{name}>", f"(?:{value})")
        return re.compile(f"(?:{pattern}){end}", re.IGNORECASE | re.VERBOSE)

    def any_of(name: str, end: str = "") -> re.Pattern[str]:
        return compiled("|".join(f"(?:{entry['says']})" for entry in raw[name]), end)

    def rule(domain: str, entry: dict[str, Any]) -> _Rule:
        with_, unless = entry.get("with"), entry.get("unless")
        return _Rule(
            domain,
            tuple(entry["gate"]),
            compiled(entry["says"]),
            compiled(with_) if with_ else None,
            compiled(unless) if unless else None,
            entry.get("referred", True),
        )

    rules = tuple(rule(domain, entry) for domain in DOMAINS for entry in raw["domains"][domain])
    before = any_of("referred_before", end=r"[^\w]*$")
    return _Table(
        any_of("glossary"), any_of("drawn"), any_of("plotted"), before, any_of("referred_after"), rules
    )
