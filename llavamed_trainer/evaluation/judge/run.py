"""The chat evaluation from beginning to end: a file of answers becomes verdicts and relative scores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct import Pair, ReferenceWriter, reference_request
from llavamed_data.io.atomic import write_text
from llavamed_data.llm import (
    AnswerCounts,
    Endpoint,
    Journal,
    Request,
    RunLimits,
    chat_model,
    open_client,
)
from llavamed_data.llm.estimate import RequestEstimate, estimate_requests
from llavamed_data.reasons import Drop
from llavamed_trainer.evaluation.judge.chat_judge import AnswerPair, ChatJudge, ChatVerdict, chat_request
from llavamed_trainer.evaluation.judge.relative_scores import (
    JudgedQuestion,
    PositionBias,
    RelativeScore,
    position_bias,
    relative_scores,
)
from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    ImageMode,
    PromptForm,
    Question,
    QuestionSet,
    Unanswered,
    load_questions,
    read_answers,
    write_unanswered,
)
from llavamed_trainer.evaluation.results import write_result

_VERDICT_TOKENS = 200
"""Tokens that a verdict, or a written reference answer, is expected to have: two scores and their explanation."""


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Which model judges which answers, and within which limits.

    Attributes:
        model: the judge, as its server names it.
        benchmark, split: the set that holds questions, captions and mentions.
        prompt: the answers to judge, if the file has several prompt forms.
        base_url: address of an OpenAI-compatible server; by default OpenAI's own, or `OPENAI_BASE_URL`.
        reference: let the judge write the reference answers from caption and mentions, instead of taking the set's.
        both_orders: judge every question a second time with the answers swapped.
        partial: score the rest if answers or verdicts are missing, and report them.
        variant: what was trained, in the words of the paper's tables, for `tables`.
        work: folder of the journal of requests.
        limits: rate limits and cost limit.
        timeout: seconds that one request may take.
        prices: a price table other than the project's.
    """

    model: str
    benchmark: str = "eval"
    split: str = "test"
    prompt: PromptForm | None = None
    base_url: str | None = None
    reference: bool = False
    both_orders: bool = True
    partial: bool = False
    variant: Mapping[str, str | int] = field(default_factory=dict)
    work: Path = Path(".llavamed")
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = 600.0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a chat evaluation.

    Attributes:
        judge: the model that judged.
        candidate: the model that was judged.
        reference: whose answers it was measured against: `benchmark`, or the judge's name.
        asked: number of questions of the benchmark.
        groups: relative scores, in the order of Table 1's columns.
        bias: how the order changes the scores; None if only one was asked for.
        unjudged: questions that count in no score, each with its reason.
        tally: counts and cost of the requests.
        images: what the candidate was shown; other than `real`, it was blind.
    """

    judge: str
    candidate: str
    reference: str
    asked: int
    groups: Mapping[str, RelativeScore]
    bias: PositionBias | None
    unjudged: Sequence[Unanswered]
    tally: AnswerCounts
    images: ImageMode = "real"

    def to_dict(self) -> dict[str, Any]:
        """The judgement as results files have it: the same answers and verdicts give the same bytes."""
        return {
            "kind": "llavamed-judgement",
            "judge": self.judge,
            "candidate": self.candidate,
            "reference": self.reference,
            "asked": self.asked,
            "judged": self.groups["overall"].questions,
            "relative": {name: asdict(group) for name, group in self.groups.items()},
            "position_bias": asdict(self.bias) if self.bias else None,
            **({"images": self.images} if self.images != "real" else {}),
        }


def judge(answers: Path, out: Path, options: JudgeOptions) -> Judgement:
    """Judges a file of answers; a verdict that is in the journal is not requested again.

    Writes the verdicts into `out`, the relative scores into `out` with the suffix `.scores.json`, and the questions
    that could not be judged into `out` with `.unjudged.jsonl`.

    Args:
        answers: file of answers, ours or the released code's.
        out: JSON Lines of id, order, both scores and the judge's words.
        options: which model judges which answers.

    Raises:
        UsageError: there is no such file or set, the set has no captions, the file has several prompt forms and
            `options` does not choose one, there is no key, or a cost limit without a price.
        LlavaMedError: an answer is missing, the run cannot go on, or some questions have no verdict.
    """
    questions, candidates = _questions_and_answers(answers, options)
    unjudged = [Unanswered(question.id, "no answer", "") for question in candidates.missing]
    model = chat_model(options.model, options.prices)
    with Journal(options.work / "journal.jsonl") as journal:
        client = open_client(
            "openai",
            model,
            journal,
            endpoint=Endpoint(options.base_url, options.timeout),
            limits=options.limits,
            prices=options.prices,
        )
        asked = [prediction.question for prediction in candidates.predictions]
        references = {question.id: question.reference for question in asked}
        if options.reference:
            references = _written_references(ReferenceWriter(client), asked, unjudged)
        pairs = [
            AnswerPair(_figure(question), question.text, references[question.id], prediction.answer)
            for prediction in candidates.predictions
            if (question := prediction.question).id in references
        ]
        judged = _judged(asked, ChatJudge(client), pairs, options, unjudged)
    result = Judgement(
        judge=options.model,
        candidate=candidates.model,
        reference=options.model if options.reference else "benchmark",
        asked=len(questions.questions),
        groups=relative_scores(judged),
        bias=position_bias(judged),
        unjudged=unjudged,
        tally=client.counts,
        images=candidates.images,
    )
    write_unanswered(unjudged_path(out), unjudged)
    if unjudged and not options.partial:
        raise LlavaMedError(
            f"{result.asked - len(judged)} of {result.asked} questions have no verdict ({unjudged[0].id!r}: "
            f"{unjudged[0].reason}; all are listed in {unjudged_path(out)}): rerun the same command to ask for them "
            "again, or score the rest with --partial"
        )
    _write(out, result, judged, options, references)
    return result


def estimate_judgement(answers: Path, options: JudgeOptions) -> RequestEstimate:
    """What judging a file of answers will take; nothing is sent.

    Answers that an earlier run left in the journal are counted, although they are not paid again. With
    `options.reference`, the set's answers stand in for the references that the judge is still to write.

    Raises:
        UsageError: as `judge`; the price table does not list the judge.
        LlavaMedError: an answer is missing.
    """
    _, candidates = _questions_and_answers(answers, options)
    model = chat_model(options.model, options.prices)
    references, verdicts = list[Request](), list[Request]()
    for prediction in candidates.predictions:
        question = prediction.question
        figure = _figure(question)
        if options.reference:
            references.append(reference_request(model, figure, question.text))
        pair = AnswerPair(figure, question.text, question.reference, prediction.answer)
        orders = (False, True) if options.both_orders else (False,)
        verdicts += [chat_request(model, pair, swapped=swapped) for swapped in orders]
    return estimate_requests(
        [*references, *verdicts],
        options.model,
        _VERDICT_TOKENS,
        rpm=options.limits.rpm,
        tpm=options.limits.tpm,
        prices=options.prices,
    )


def unjudged_path(out: Path) -> Path:
    """The file that lists the questions without a verdict."""
    return out.with_suffix(".unjudged.jsonl")


def _questions_and_answers(answers: Path, options: JudgeOptions) -> tuple[QuestionSet, AnswerSet]:
    questions = load_questions(options.benchmark, options.split)
    if not any(question.caption for question in questions.questions):
        raise UsageError(
            f"{options.benchmark} has no captions, from which the judge knows the images: name the eval set"
        )
    return questions, _chosen_form(answers, questions, options)


def _chosen_form(answers: Path, questions: QuestionSet, options: JudgeOptions) -> AnswerSet:
    sets = {each.form: each for each in read_answers(answers, questions, partial=options.partial)}
    if options.prompt:
        if options.prompt not in sets:
            raise UsageError(
                f"{answers} has no answers in the prompt form {options.prompt!r}, only: {', '.join(sets)}"
            )
        return sets[options.prompt]
    if len(sets) > 1:
        raise UsageError(
            f"{answers} holds answers in the prompt forms {' and '.join(sets)}: choose one with --prompt"
        )
    return next(iter(sets.values()))


def _figure(question: Question) -> Pair:
    return Pair(
        question.id, question.figure_label, question.caption, question.inline_mentions, question.domain
    )


def _written_references(
    writer: ReferenceWriter, questions: Sequence[Question], unjudged: list[Unanswered]
) -> dict[str, str]:
    """Question id → reference answer by the judge; adds to `unjudged` the questions that have none."""
    written = dict[str, str]()
    for outcome in writer.answers((_figure(question), question.text) for question in questions):
        if isinstance(outcome, tuple):
            unjudged.append(_without("reference", *outcome))
        else:
            written[outcome.pair_id] = outcome.answer
    return written


def _judged(
    questions: Sequence[Question],
    judge: ChatJudge,
    pairs: Sequence[AnswerPair],
    options: JudgeOptions,
    unjudged: list[Unanswered],
) -> list[JudgedQuestion]:
    """The questions that have all the verdicts that were asked for; adds the others to `unjudged`, each once.

    One order without the other is not counted.
    """
    verdicts = dict[tuple[str, bool], ChatVerdict]()
    failed = dict[str, Drop]()
    for outcome in judge.verdicts(pairs, both_orders=options.both_orders):
        if isinstance(outcome, ChatVerdict):
            verdicts[outcome.id, outcome.swapped] = outcome
        else:
            failed.setdefault(*outcome)
    unjudged.extend(_without("verdict", *each) for each in failed.items())
    return [
        JudgedQuestion(question, verdicts[question.id, False], verdicts.get((question.id, True)))
        for question in questions
        if (question.id, False) in verdicts and question.id not in failed
    ]


def _without(what: str, identity: str, drop: Drop) -> Unanswered:
    return Unanswered(identity, f"{what}: {drop.reason.value}", drop.detail)


def _write(
    out: Path,
    result: Judgement,
    judged: Sequence[JudgedQuestion],
    options: JudgeOptions,
    references: Mapping[str, str],
) -> None:
    def rows() -> Iterator[dict[str, str | float]]:
        for each in judged:
            for verdict in (each.reference_first, each.candidate_first):
                if verdict:
                    yield {
                        "id": verdict.id,
                        "order": "candidate first" if verdict.swapped else "reference first",
                        "reference_score": verdict.reference,
                        "candidate_score": verdict.candidate,
                        "reference": references[verdict.id],
                        "said": verdict.reply,
                    }

    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()))
    stated = {**result.to_dict(), "variant": dict(options.variant)}
    write_result(out.with_suffix(".scores.json"), "llavamed-judgement", stated)
