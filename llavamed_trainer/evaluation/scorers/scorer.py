"""What a scorer is: the rule by which a kit scores one answer, and the sets to which the kit applies which rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from llavamed_trainer.evaluation.questions import Prediction

QuestionKind: TypeAlias = Literal["open", "closed", "choice"]
"""What a rule takes a question for; rules differ in which questions they call closed."""

KINDS: tuple[QuestionKind, ...] = ("open", "closed", "choice")


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """What a rule made of one answer.

    Attributes:
        kind: what the rule takes the question for.
        values: metric → value from 0 to 1; metrics that do not apply to the question are left out.
        compared: the text that was compared with the reference, after the rule's parsing.
        why: one sentence on how the values came about.
        kit_stops: why the kit's own code stops with an error at this answer; empty if it does not. Such an answer
            counts 0 in every metric, and the results say how many there are.
    """

    kind: QuestionKind
    values: Mapping[str, float]
    compared: str
    why: str
    kit_stops: str = ""


@dataclass(frozen=True, slots=True)
class RuleMetric:
    """A metric of a rule.

    Attributes:
        name: name in results files.
        label: name in tables.
        is_main: whether it stands in the table of comparable scores.
        language: the language of the questions that it is over; None if it is over all.
        kinds: the kinds of questions that it is over.
        is_divided_again: whether the kit divides the mean by the number of questions once more, which is an error.
    """

    name: str
    label: str
    is_main: bool = False
    language: str | None = None
    kinds: tuple[QuestionKind, ...] = KINDS
    is_divided_again: bool = False

    def of_kit(self, mean: float, count: int) -> float:
        """The value that the kit reports for a mean over a number of questions."""
        return mean / count if self.is_divided_again else mean


@dataclass(frozen=True, slots=True)
class ScoringRule:
    """How a kit scores the answers to one or several sets.

    Attributes:
        name: by which `score --as` finds the rule for any set; for `authors` and `strict` the scorer's own name.
        kit, version: whose rule it is, as of which version.
        source: the files of the kit that define it.
        closed: which questions count as closed, or how the questions are told apart.
        matched: what is compared with the reference, and how.
        prompt: the prompt that the rule expects.
        prompt_form: the name of that prompt in `predict --prompt`; empty if we have none.
        languages: whether questions of several languages count together.
        metrics: the metrics of which `score` gives values.
        score: scores one answer; None if the rule says nothing of such a question.
        slips: known errors of the kit that are reproduced, one sentence each.
        divides_by: kinds of questions without which the kit divides by zero and stops.
    """

    name: str
    kit: str
    version: str
    source: str
    closed: str
    matched: str
    prompt: str
    prompt_form: str
    languages: str
    metrics: tuple[RuleMetric, ...]
    score: Callable[[Prediction], AnswerScore | None]
    slips: tuple[str, ...] = ()
    divides_by: tuple[QuestionKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Kit:
    """A tool that scores answers: which rule it applies to which set.

    Attributes:
        name: its name in `score --as`.
        rules: name of a benchmark → the rule that the kit applies to it.
        any_set: the rule for every other set; None if the kit scores only those of `rules`.
        unscored: name of a benchmark → why the kit gives it no score that can be computed here.
        by_name: rules that can be applied to any set, by their own names.
    """

    name: str
    rules: Mapping[str, ScoringRule] = field(default_factory=dict)
    any_set: ScoringRule | None = None
    unscored: Mapping[str, str] = field(default_factory=dict)
    by_name: tuple[ScoringRule, ...] = ()

    def rule_for(self, benchmark: str) -> ScoringRule | None:
        """The rule that the kit applies to a benchmark; None if it does not score it."""
        return self.rules.get(benchmark, self.any_set)

    def why_unscored(self, benchmark: str) -> str:
        """Why `rule_for` has no rule for a benchmark, and by which name a rule may be asked for."""
        why = self.unscored.get(benchmark, "not scored by this kit")
        names = ", ".join(f"--as {rule.name}" for rule in self.by_name)
        return f"{why}; its rules for other sets may be asked for by name: {names}" if names else why
