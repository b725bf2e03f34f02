"""How many open answers a judge takes for the reference's, in both orders, and how far exact match and others agree."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from llavamed_data.agreement import Agreement, agreement, wilson
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.jsonl import write_lines
from llavamed_data.llm import AnswerCounts, Budget, Endpoint, Journal, RunLimits, chat_model, open_client
from llavamed_data.llm.estimate import RequestEstimate, estimate_requests
from llavamed_data.reasons import Drop
from llavamed_trainer.evaluation.judge.short_answers import (
    ShortAnswerJudge,
    ShortVerdict,
    judged_text,
    kind_of_question,
    orders,
    short_request,
)
from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    Prediction,
    PromptForm,
    QuestionSet,
    Unanswered,
    load_questions,
    read_answers,
    write_unanswered,
)
from llavamed_trainer.evaluation.scoring.metrics import is_exact_match
from llavamed_trainer.evaluation.scoring.resample import Resampling, intervals
from llavamed_trainer.evaluation.scoring.scores import MetricEstimate

FinalVerdict: TypeAlias = Literal["same", "different", "disputed"]
"""`disputed`: the judge's verdict changes with the order of the two answers."""

EXACT_MATCH = "exact match"

_VERDICT_TOKENS = 40
"""Tokens that a verdict is expected to have: a JSON object with a short sentence."""


@dataclass(frozen=True, slots=True)
class ShortAnswerOptions:
    """Which models judge the open answers, and within which limits.

    Attributes:
        model: the judge, as its server names it.
        second_model: a second judge on the same server, to see how far the two agree.
        base_url: address of an OpenAI-compatible server; by default OpenAI's own, or `OPENAI_BASE_URL`.
        both_orders: ask a second time with the candidate's answer before the reference.
        partial: score the rest if answers or verdicts are missing, and report them.
        work: folder of the journal of requests.
        limits: rate limits and cost limit, which holds for both judges together.
        timeout: seconds that one request may take.
        prices: a price table other than the project's.
    """

    model: str
    second_model: str | None = None
    base_url: str | None = None
    both_orders: bool = True
    partial: bool = False
    work: Path = Path(".llavamed")
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = 600.0
    prices: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The judges.

        Raises:
            UsageError: they are one and the same.
        """
        if self.second_model is None:
            return (self.model,)
        if self.second_model == self.model:
            raise UsageError(f"--second-judge {self.model} is the first judge, too: name another model")
        return self.model, self.second_model


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """What one judge makes of the open answers.

    Attributes:
        judge: its name.
        accuracy: share of the judged questions whose answer it takes for the reference's, whichever stands first; a
            disputed verdict counts as wrong. None if no question is judged.
        disputed: number of questions on which its verdict changes with the order.
        unjudged: number of questions without a verdict.
        kinds: kind of question → accuracy.
    """

    judge: str
    accuracy: MetricEstimate | None
    disputed: int
    unjudged: int
    kinds: Mapping[str, MetricEstimate]


@dataclass(frozen=True, slots=True)
class ShortAnswerScores:
    """The judged scores of the open answers in one prompt form.

    Attributes:
        prompt_form: the form.
        questions: number of open questions.
        empty: number of answers that are empty without their reasoning: wrong without being asked about.
        both_orders: whether each answer was judged in both orders.
        judges: the scores by the first judge and, if there is one, by the second.
        exact_match: strict exact match on the questions that the first judge judged.
        agreements: of the first judge with exact match and with the second judge; "disputed" counts as "different".
        unjudged: questions without a verdict of one or both judges, with the reason; a question may be there twice.
    """

    prompt_form: PromptForm
    questions: int
    empty: int
    both_orders: bool
    judges: tuple[JudgeScore, ...]
    exact_match: MetricEstimate | None
    agreements: tuple[Agreement, ...]
    unjudged: tuple[Unanswered, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The scores as results files have them: the same answers and verdicts give the same bytes."""
        return {
            "questions": self.questions,
            "empty": self.empty,
            "both_orders": self.both_orders,
            "partial": any(each.unjudged for each in self.judges),
            "judges": [asdict(each) for each in self.judges],
            "exact_match": asdict(self.exact_match) if self.exact_match else None,
            "agreements": [asdict(each) for each in self.agreements],
        }


@dataclass(frozen=True, slots=True)
class JudgedShortAnswers:
    """What `judge_short_answers` did: the scores of each prompt form, and the requests of each judge."""

    scores: tuple[ShortAnswerScores, ...]
    counts: Mapping[str, AnswerCounts]


def judge_short_answers(
    predictions: Path,
    benchmark: str,
    options: ShortAnswerOptions,
    out: Path,
    *,
    split: str = "test",
    language: str = "en",
    resampling: Resampling | None = None,
) -> JudgedShortAnswers:
    """Judges the open answers of a file; a verdict that is in the journal is not requested again.

    Every open question is asked about, also where the answer equals the reference, so that the agreement with exact
    match is measured and not assumed. Closed questions are not: rules score them.

    Args:
        predictions: file of answers, ours or the released code's.
        benchmark: as `score_predictions` takes it.
        options: which models judge, and within which limits.
        out: JSON Lines of the verdicts, in the form of flags, a question, judge and prompt form each; beside it, with
            `.unjudged.jsonl`, the questions without a verdict.
        split: split of the dataset.
        language: which questions count: `en`, `zh` or `all`.
        resampling: its level, and whether intervals are drawn by image; else they are Wilson's.

    Raises:
        UsageError: there is no such file or set, no open question, no key, or a cost limit without a price.
        LlavaMedError: an answer is missing, the run cannot go on, or some questions have no verdict.
    """
    questions, sets = _open_answers(predictions, benchmark, split, language, partial=options.partial)
    budget = Budget(options.limits.max_cost)
    with Journal(options.work / "journal.jsonl") as journal:
        judges = {
            model: ShortAnswerJudge(
                open_client(
                    "openai",
                    chat_model(model, options.prices),
                    journal,
                    endpoint=Endpoint(options.base_url, options.timeout),
                    limits=options.limits,
                    prices=options.prices,
                    budget=budget,
                )
            )
            for model in options.models
        }
        judged = [
            (answers, [_ask(judge, model, answers, options) for model, judge in judges.items()])
            for answers in sets
        ]
    scores = tuple(
        _scores(answers, by_judge, questions, options, resampling or Resampling())
        for answers, by_judge in judged
    )
    unjudged = [each for score in scores for each in score.unjudged]
    write_unanswered(out.with_suffix(".unjudged.jsonl"), list(dict.fromkeys(unjudged)))
    if unjudged and not options.partial:
        raise LlavaMedError(
            f"{len({each.id for each in unjudged})} of {scores[0].questions} open questions have no verdict "
            f"({unjudged[0].id!r}: {unjudged[0].reason}; all are listed in {out.with_suffix('.unjudged.jsonl')}): "
            "rerun the same command to ask for them again, or score the rest with --partial"
        )
    write_lines(out, (line for answers, by_judge in judged for line in _lines(answers, by_judge)))
    return JudgedShortAnswers(scores, {model: judge.client.counts for model, judge in judges.items()})


def estimate_short_answers(
    predictions: Path,
    benchmark: str,
    options: ShortAnswerOptions,
    *,
    split: str = "test",
    language: str = "en",
) -> list[RequestEstimate]:
    """What judging the open answers of a file will take, for each judge; nothing is sent.

    Answers that an earlier run left in the journal are counted, although they are not paid again.

    Raises:
        UsageError, LlavaMedError: as `judge_short_answers`; the price table does not list a judge.
    """
    _, sets = _open_answers(predictions, benchmark, split, language, partial=options.partial)
    asked = {
        (prediction.question.id, prediction.answer): prediction
        for answers in sets
        for prediction in answers.predictions
        if judged_text(prediction.answer)
    }
    return [
        estimate_requests(
            (
                short_request(chat_model(model, options.prices), prediction, swapped)
                for prediction in asked.values()
                for swapped in orders(both_orders=options.both_orders)
            ),
            model,
            _VERDICT_TOKENS,
            rpm=options.limits.rpm,
            tpm=options.limits.tpm,
            prices=options.prices,
        )
        for model in options.models
    ]


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """One judge's verdicts: id of the question → verdicts in the order of asking, or why there are none."""

    judge: str
    given: Mapping[str, tuple[ShortVerdict, ...]]
    failed: Mapping[str, Drop]

    def final(self) -> dict[str, FinalVerdict]:
        """Id of the question → the verdict of both orders."""
        found = dict[str, FinalVerdict]()
        for identity, verdicts in self.given.items():
            said = {verdict.same for verdict in verdicts}
            found[identity] = "disputed" if len(said) > 1 else "same" if said == {True} else "different"
        return found


def _open_answers(
    predictions: Path, benchmark: str, split: str, language: str, *, partial: bool
) -> tuple[QuestionSet, list[AnswerSet]]:
    """The open questions of a benchmark, and the answers to them in each prompt form."""
    every = load_questions(benchmark, split, language)
    questions = [question for question in every.questions if question.answer_type == "OPEN"]
    if not questions:
        raise UsageError(
            f"{benchmark} has no question that is stated to be open: --judge judges open answers alone, so leave it out"
        )
    sets = [
        AnswerSet(
            answers.form,
            answers.model,
            tuple(each for each in answers.predictions if each.question.answer_type == "OPEN"),
            tuple(each for each in answers.missing if each.answer_type == "OPEN"),
            answers.limit,
        )
        for answers in read_answers(predictions, every, partial=partial)
    ]
    return QuestionSet(every.name, every.split, tuple(questions)), sets


def _ask(judge: ShortAnswerJudge, model: str, answers: AnswerSet, options: ShortAnswerOptions) -> _Verdicts:
    """One judge's verdicts on a set of answers; a question that lacks one of its orders has none."""
    given = dict[str, tuple[ShortVerdict, ...]]()
    failed = dict[str, Drop]()
    asked = [each for each in answers.predictions if judged_text(each.answer)]
    for outcome in judge.verdicts(asked, both_orders=options.both_orders):
        if isinstance(outcome, ShortVerdict):
            given[outcome.id] = (*given.get(outcome.id, ()), outcome)
        else:
            failed.setdefault(*outcome)
    for each in answers.predictions:
        if not judged_text(each.answer):
            given[each.question.id] = (
                ShortVerdict(
                    each.question.id, candidate_first=False, same=False, reason="no answer to judge"
                ),
            )
    return _Verdicts(model, {name: given[name] for name in given if name not in failed}, failed)


def _scores(
    answers: AnswerSet,
    by_judge: Sequence[_Verdicts],
    questions: QuestionSet,
    options: ShortAnswerOptions,
    resampling: Resampling,
) -> ShortAnswerScores:
    first = by_judge[0].final()
    by_match = {
        each.question.id: "same" if is_exact_match(each.answer, each.question.reference) else "different"
        for each in answers.predictions
    }
    in_two = [_in_two(verdicts.final()) for verdicts in by_judge]
    agreements = [agreement(options.model, in_two[0], EXACT_MATCH, by_match)]
    if options.second_model:
        agreements.append(agreement(options.model, in_two[0], options.second_model, in_two[1]))
    unjudged = [Unanswered(question.id, "no answer", "") for question in answers.missing]
    for verdicts in by_judge:
        unjudged += [
            Unanswered(identity, f"verdict of {verdicts.judge}: {drop.reason.value}", drop.detail)
            for identity, drop in verdicts.failed.items()
        ]
    judged = [each for each in answers.predictions if each.question.id in first]
    return ShortAnswerScores(
        prompt_form=answers.form,
        questions=len(questions.questions),
        empty=sum(not judged_text(each.answer) for each in answers.predictions),
        both_orders=options.both_orders,
        judges=tuple(
            _judge_score(verdicts, answers, len(questions.questions), resampling) for verdicts in by_judge
        ),
        exact_match=_share(judged, lambda each: by_match[each.question.id] == "same", resampling),
        agreements=tuple(agreements),
        unjudged=tuple(unjudged),
    )


def _judge_score(
    verdicts: _Verdicts, answers: AnswerSet, questions: int, resampling: Resampling
) -> JudgeScore:
    final = verdicts.final()
    kinds = dict[str, list[Prediction]]()
    for each in answers.predictions:
        if each.question.id in final:
            kinds.setdefault(kind_of_question(each.question), []).append(each)

    def is_same(prediction: Prediction) -> bool:
        return final[prediction.question.id] == "same"

    judged = [each for each in answers.predictions if each.question.id in final]
    estimates = {kind: _share(kinds[kind], is_same, resampling) for kind in sorted(kinds)}
    return JudgeScore(
        judge=verdicts.judge,
        accuracy=_share(judged, is_same, resampling),
        disputed=sum(verdict == "disputed" for verdict in final.values()),
        unjudged=questions - len(final),
        kinds={kind: each for kind, each in estimates.items() if each},
    )


def _in_two(final: Mapping[str, FinalVerdict]) -> dict[str, str]:
    """The verdicts as `same` and `different`, as which the disputed count."""
    return {identity: "same" if said == "same" else "different" for identity, said in final.items()}


def _share(
    predictions: Sequence[Prediction], is_right: Callable[[Prediction], bool], resampling: Resampling
) -> MetricEstimate | None:
    """The share of right answers in percent with its interval: Wilson's, or that of whole images drawn."""
    if not predictions:
        return None
    right = [is_right(each) for each in predictions]
    if resampling.by_image:
        values = np.array(right, dtype=np.float64)[:, None]
        low, high = intervals(values, [each.question.image for each in predictions], resampling)[:, 0]
    else:
        low, high = wilson(sum(right), len(right), resampling.level / 100)
    return MetricEstimate(100 * sum(right) / len(right), 100 * float(low), 100 * float(high), len(right))


def _lines(answers: AnswerSet, by_judge: Sequence[_Verdicts]) -> Iterator[dict[str, Any]]:
    """The lines of the file of verdicts: the fields of a flag, and what the verdict is about."""
    for verdicts in by_judge:
        final = verdicts.final()
        for prediction in answers.predictions:
            question = prediction.question
            if question.id not in final:
                continue
            said = verdicts.given[question.id]
            yield {
                "id": question.id,
                "turn": None,
                "source": verdicts.judge,
                "verdict": final[question.id],
                "reason": " / ".join(dict.fromkeys(each.reason for each in said if each.reason)),
                "prompt_form": answers.form,
                "kind": kind_of_question(question),
                "question": question.text,
                "reference": question.reference,
                "answer": prediction.answer,
                "exact_match": is_exact_match(prediction.answer, question.reference),
                "orders": {
                    "candidate first" if each.candidate_first else "reference first": "same"
                    if each.same
                    else "different"
                    for each in said
                },
            }
