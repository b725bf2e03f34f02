"""Every scorer by its name, as `score --as` takes it."""

from collections.abc import Iterable
from typing import NamedTuple

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.scorers.lmms_eval import LMMS_EVAL
from llavamed_trainer.evaluation.scorers.medevalkit import MEDEVALKIT
from llavamed_trainer.evaluation.scorers.ours import AUTHORS, STRICT
from llavamed_trainer.evaluation.scorers.scorer import ScoringRule
from llavamed_trainer.evaluation.scorers.vlmevalkit import VLMEVALKIT

KITS = {kit.name: kit for kit in (AUTHORS, STRICT, MEDEVALKIT, LMMS_EVAL, VLMEVALKIT)}
"""The scorers that choose their rule by the set. A further kit is a module of its rules and a place here."""

RULES = {rule.name: rule for kit in KITS.values() for rule in kit.by_name}
"""The rules that score any set when they are asked for by their own names."""

DEFAULT_SCORERS = ("authors", "strict")


class ChosenRule(NamedTuple):
    """A scorer that was asked for, its rule for a benchmark, and why there is none if there is none."""

    name: str
    rule: ScoringRule | None
    unscored: str


def scorer_names(asked: Iterable[str]) -> tuple[str, ...]:
    """The names in texts such as `authors,medevalkit`, each once, in the order in which they were asked for.

    Raises:
        UsageError: there is no such scorer.
    """
    names = tuple(dict.fromkeys(name.strip() for text in asked for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KITS and name not in RULES:
            raise UsageError(
                f"there is no scorer {name!r}: choose from {', '.join(KITS)}, or one rule for any set from "
                f"{', '.join(RULES)}"
            )
    return names or DEFAULT_SCORERS


def choose_rules(names: Iterable[str], benchmark: str) -> list[ChosenRule]:
    """The rule of each scorer for a benchmark.

    Args:
        names: as `scorer_names` gives them.
        benchmark: name of the benchmark.
    """
    chosen = list[ChosenRule]()
    for name in names:
        rule = RULES[name] if name in RULES else KITS[name].rule_for(benchmark)
        chosen.append(ChosenRule(name, rule, "" if rule else KITS[name].why_unscored(benchmark)))
    return chosen
