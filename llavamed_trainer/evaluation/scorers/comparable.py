"""One file of answers by several scorers: every metric with its interval, beside what answers without looking score."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    Prediction,
    PromptForm,
    Question,
    QuestionSet,
    read_answers,
)
from llavamed_trainer.evaluation.questions.question_set import AnswerType
from llavamed_trainer.evaluation.scorers.choose import ChosenRule, choose_rules, scorer_names
from llavamed_trainer.evaluation.scorers.scorer import (
    KINDS,
    AnswerScore,
    QuestionKind,
    RuleMetric,
    ScoringRule,
)
from llavamed_trainer.evaluation.scoring import MetricEstimate, Resampling
from llavamed_trainer.evaluation.scoring.resample import Floats, intervals
from llavamed_trainer.evaluation.scoring.scores import load_questions_to_score

Baseline: TypeAlias = Literal["majority", "yes", "no"]
"""An answer without a look at the image or the question. `majority`: of each kind of question by the scorer's rule, and
of each language, the reference that most answered questions have, in lower case; `yes` and `no`: that word in the
language of the question to every closed one."""

BASELINES: tuple[Baseline, ...] = ("majority", "yes", "no")

_YES_NO: Mapping[tuple[str, str], str] = {
    ("yes", "en"): "yes",
    ("no", "en"): "no",
    ("yes", "zh"): "是",
    ("no", "zh"): "否",
}


_KindOf: TypeAlias = tuple[QuestionKind, str]
"""Kind and language of a question."""


class _Asked(NamedTuple):
    """What of a question decides how an answer to it is scored."""

    reference: str
    answer_type: AnswerType | None
    language: str
    choices: tuple[str, ...]

    @classmethod
    def of(cls, question: Question) -> "_Asked":
        return cls(question.reference, question.answer_type, question.language, question.choices)

    @property
    def plain_reference(self) -> str:
        """The reference as the most common one is looked for: a letter as it is, other text in lower case."""
        return self.reference.strip() if self.choices else self.reference.strip().lower()


@dataclass(frozen=True, slots=True)
class ScorerResult:
    """The scores of one file of answers by one scorer.

    Attributes:
        name: the scorer, as it was asked for.
        rule: the rule that it applies to the set; None if it has none.
        unscored: why there are no scores; empty if there are.
        estimates: metric → estimate.
        counts: kind of question → how many there are by this rule.
        left_out: number of answered questions of which the rule says nothing.
        stops: why the kit stops with an error → at how many answers; here these count 0.
        baselines: answer without looking → metric → percent.
        majority: kind of question → the most common reference; of each language, if there are several.
    """

    name: str
    rule: ScoringRule | None
    unscored: str
    estimates: Mapping[str, MetricEstimate]
    counts: Mapping[QuestionKind, int]
    left_out: int
    stops: Mapping[str, int]
    baselines: Mapping[Baseline, Mapping[str, float]]
    majority: Mapping[str, str]

    def metrics(self) -> list[RuleMetric]:
        """The metrics that have an estimate, in the order of the rule; one for a language only if there are several."""
        return [metric for metric in self.rule.metrics if metric.name in self.estimates] if self.rule else []


@dataclass(frozen=True, slots=True)
class ComparableScores:
    """One file of answers in one prompt form by several scorers.

    Attributes:
        benchmark, split, model, prompt_form: whose answers to which questions.
        questions: number of questions in the split.
        missing: number of questions without an answer; above 0 only if that was allowed.
        limit: how many of the first questions alone were asked; None if all were.
        languages: languages of the questions.
        results: one of each scorer, in the order asked for.
        resampling: how the intervals were made.
        images: what the model was shown; other than `real`, the scores are those of a blind model.
    """

    benchmark: str
    split: str
    model: str
    prompt_form: PromptForm
    questions: int
    missing: int
    limit: int | None
    languages: tuple[str, ...]
    results: tuple[ScorerResult, ...]
    resampling: Resampling
    images: str = "real"


def score_as(
    predictions: Path,
    benchmark: str,
    scorers: Iterable[str] = (),
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
    resampling: Resampling | None = None,
) -> list[ComparableScores]:
    """Scores a file of answers by several scorers: one result for each prompt form in it.

        score_as(Path("answers.jsonl"), "vqa-rad", ["medevalkit"])[0].results[0].estimates["closed_accuracy"].value

    Args:
        predictions: file of answers, ours or the released code's.
        benchmark: as `score_predictions` takes it; kits know a set by its name, such as `vqa-rad`.
        scorers: names of scorers, as `scorer_names` takes them; `authors` and `strict` if there are none.
        split: split of the dataset.
        language: which questions count: `en`, `zh` or `all`.
        partial: score the answers that there are if some are missing.
        resampling: how to make the intervals; by default 2,000 draws of questions.

    Raises:
        UsageError, LlavaMedError: there is no such scorer; as `load_questions_to_score` and `read_answers`.
    """
    names = scorer_names(scorers)
    questions = load_questions_to_score(benchmark, split, language)
    return [
        compare_scorers(answers, questions, names, resampling or Resampling())
        for answers in read_answers(predictions, questions, partial=partial)
    ]


def compare_scorers(
    answers: AnswerSet, questions: QuestionSet, names: Sequence[str], resampling: Resampling
) -> ComparableScores:
    """Scores the answers in one prompt form by each scorer."""
    chosen = choose_rules(names, questions.name)
    # answer by answer, so that rules that share work do it once
    scored = [
        [each.rule.score(prediction) if each.rule else None for each in chosen]
        for prediction in answers.predictions
    ]
    languages = tuple(sorted({prediction.question.language for prediction in answers.predictions}))
    metrics = {
        (place, metric.name): metric
        for place, each in enumerate(chosen)
        for metric in (each.rule.metrics if each.rule else ())
        if metric.language is None or len(languages) > 1
    }
    by_scorer = list(zip(*scored, strict=True))
    columns = {
        (place, name): np.array(
            [np.nan if score is None else score.values.get(name, np.nan) for score in by_scorer[place]]
        )
        for place, name in metrics
    }
    asked = [_Asked.of(prediction.question) for prediction in answers.predictions]
    images = [prediction.question.image for prediction in answers.predictions]
    estimates = {
        key: _of_kit(metrics[key], found) for key, found in _estimates(columns, images, resampling).items()
    }
    return ComparableScores(
        benchmark=questions.name,
        split=questions.split,
        model=answers.model,
        prompt_form=answers.form,
        questions=len(questions.questions),
        missing=len(answers.missing),
        limit=answers.limit,
        languages=languages,
        results=tuple(
            _result(
                each,
                by_scorer[place],
                asked,
                {name: found for (other, name), found in estimates.items() if other == place},
            )
            for place, each in enumerate(chosen)
        ),
        resampling=resampling,
        images=answers.images,
    )


def comparable_to_dict(scores: ComparableScores) -> dict[str, Any]:
    """Scorer → what results files say of it, under the key `scorers`."""
    return {result.name: _result_to_dict(result) for result in scores.results}


def _result_to_dict(result: ScorerResult) -> dict[str, Any]:
    if result.rule is None:
        return {"unscored": result.unscored}
    rule = result.rule
    return {
        "rule": {
            name: getattr(rule, name)
            for name in (
                "name",
                "kit",
                "version",
                "source",
                "closed",
                "matched",
                "prompt",
                "prompt_form",
                "languages",
            )
        }
        | {"slips": list(rule.slips)},
        "counts": dict(result.counts),
        "left_out": result.left_out,
        "stops": dict(result.stops),
        "metrics": {
            metric.name: {
                "label": metric.label,
                "main": metric.is_main,
                **asdict(result.estimates[metric.name]),
                "baselines": {
                    baseline: values[metric.name]
                    for baseline, values in result.baselines.items()
                    if metric.name in values
                },
            }
            for metric in result.metrics()
        },
        "majority": dict(result.majority),
    }


def _result(
    chosen: ChosenRule,
    scored: Sequence[AnswerScore | None],
    asked: Sequence[_Asked],
    estimates: Mapping[str, MetricEstimate],
) -> ScorerResult:
    # questions that no rule can tell apart are scored once
    questions = Counter((score.kind, each) for score, each in zip(scored, asked, strict=True) if score)
    references, kinds = defaultdict[_KindOf, Counter[str]](Counter), Counter[QuestionKind]()
    for (kind, each), count in questions.items():
        references[kind, each.language][each.plain_reference] += count
        kinds[kind] += count
    majority = {
        kind_of: min(found, key=lambda reference: (-found[reference], reference))
        for kind_of, found in sorted(references.items())
    }
    has_one_language = len({language for _, language in majority}) == 1
    baselines: dict[Baseline, Mapping[str, float]] = {}
    if chosen.rule:
        baselines = {each: _baseline(each, chosen.rule, questions, majority, estimates) for each in BASELINES}
    return ScorerResult(
        name=chosen.name,
        rule=chosen.rule,
        unscored=chosen.unscored,
        estimates=estimates,
        counts={kind: kinds[kind] for kind in KINDS if kind in kinds},
        left_out=sum(score is None for score in scored) if chosen.rule else 0,
        stops=Counter(score.kit_stops for score in scored if score and score.kit_stops),
        baselines=baselines,
        majority={
            kind if has_one_language else f"{kind}, {language}": reference
            for (kind, language), reference in majority.items()
        },
    )


def _baseline(
    baseline: Baseline,
    rule: ScoringRule,
    questions: Mapping[tuple[QuestionKind, _Asked], int],
    majority: Mapping[_KindOf, str],
    estimates: Mapping[str, MetricEstimate],
) -> dict[str, float]:
    """Metric → what one answer to all questions scores by a rule, in percent."""
    sums, counts = defaultdict[str, float](float), Counter[str]()
    for (kind, asked), count in questions.items():
        if baseline == "majority":
            answer = majority[kind, asked.language]
        elif kind == "closed":
            answer = _YES_NO.get((baseline, asked.language), baseline)
        else:
            continue
        question = Question(
            "", "", asked.reference, asked.answer_type, language=asked.language, choices=asked.choices
        )
        if score := rule.score(Prediction(question, "", "plain", answer, "")):
            for name, value in score.values.items():
                sums[name] += value * count
                counts[name] += count
    # yes and no answer closed questions alone, so a metric over all kinds has no such value
    return {
        metric.name: 100 * metric.of_kit(sums[metric.name] / counts[metric.name], counts[metric.name])
        for metric in rule.metrics
        if counts[metric.name]
        and metric.name in estimates
        and (baseline == "majority" or metric.kinds == ("closed",))
    }


def _of_kit(metric: RuleMetric, found: MetricEstimate) -> MetricEstimate:
    value, low, high = (metric.of_kit(each, found.count) for each in (found.value, found.low, found.high))
    return MetricEstimate(value, low, high, found.count)


def _estimates(
    columns: Mapping[tuple[int, str], Floats], images: Sequence[str | None], resampling: Resampling
) -> dict[tuple[int, str], MetricEstimate]:
    """The mean of each column with its interval; columns over the same questions are drawn together.

    Args:
        columns: values from 0 to 1, one for each question; NaN where a metric does not apply.
        images: the image of each question.
        resampling: how to make the intervals.
    """
    by_rows = dict[bytes, list[tuple[int, str]]]()
    for key, column in columns.items():
        applies = ~np.isnan(column)
        if applies.any():
            by_rows.setdefault(applies.tobytes(), []).append(key)
    found = dict[tuple[int, str], MetricEstimate]()
    for keys in by_rows.values():
        rows = np.flatnonzero(~np.isnan(columns[keys[0]])).tolist()
        part = np.stack([columns[key][rows] for key in keys], axis=1)
        low, high = 100 * intervals(part, [images[row] for row in rows], resampling)
        for place, key in enumerate(keys):
            # added up from left to right, as the authors' code does: equal to the last digit
            mean = float(np.add.accumulate(part[:, place])[-1]) * 100 / len(rows)
            found[key] = MetricEstimate(mean, float(low[place]), float(high[place]), len(rows))
    return {key: found[key] for key in columns if key in found}
