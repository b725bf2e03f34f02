"""The chat evaluation from beginning to end: answers in, verdicts and relative scores out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct import Pair, ReferenceWriter
from llavamed_data.io.atomic import write_text
from llavamed_data.llm import (
    AnswerCounts,
    Endpoint,
    Journal,
    LlmClient,
    RunLimits,
    chat_model,
    open_client,
)
from llavamed_data.reasons import Drop
from llavamed_trainer.evaluation.judge.relative import (
    Judged,
    PositionBias,
    Relative,
    position_bias,
    table,
)
from llavamed_trainer.evaluation.judge.verdicts import ChatJudge, Contest, Verdict
from llavamed_trainer.evaluation.predict.answer_file import Unanswered, write_unanswered
from llavamed_trainer.evaluation.predict.answers_in import read_answers
from llavamed_trainer.evaluation.predict.questions import Benchmark, Question

KIND = "llavamed-judgement"
"""What tells a file of relative scores from other JSON."""


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Who judges what, how fast and how dear.

    Attributes:
        model: the judge, as its server names it.
        benchmark, split: the set that holds questions, captions and mentions.
        base_url: any OpenAI-compatible address; OpenAI's own, or `OPENAI_BASE_URL`, by default.
        reference: let the judge write the reference answers, from caption and mentions, in place of the set's.
        both_orders: judge every question a second time with the answers swapped.
        partial: go on where answers or verdicts are missing, and say so.
        variant: what was trained, in the words of the paper's tables, for `tables`.
        work: the folder of the journal.
        limits: speed, cost and patience.
        timeout: seconds that one request may take.
        prices: a price table other than the project's.
    """

    model: str
    benchmark: str = "eval"
    split: str = "test"
    base_url: str | None = None
    reference: bool = False
    both_orders: bool = True
    partial: bool = False
    variant: Mapping[str, str | int] = field(default_factory=dict)
    work: Path = Path(".llavamed")
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = 120.0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a chat evaluation.

    Attributes:
        judge: the model that judged.
        candidate: the model that was judged.
        reference: whose answers it was measured against: `benchmark`, or the judge's name.
        asked: questions of the benchmark.
        groups: relative scores, in the order of Table 1's columns.
        bias: what the order does; None where only one was asked for.
        unjudged: questions that no score counts, each with its reason.
        tally: what was asked and spent.
    """

    judge: str
    candidate: str
    reference: str
    asked: int
    groups: Mapping[str, Relative]
    bias: PositionBias | None
    unjudged: Sequence[Unanswered]
    tally: AnswerCounts

    def to_dict(self) -> dict[str, Any]:
        """For machines and for `tables`: the same answers and verdicts give the same bytes."""
        return {
            "kind": KIND,
            "judge": self.judge,
            "candidate": self.candidate,
            "reference": self.reference,
            "asked": self.asked,
            "judged": self.groups["overall"].questions,
            "relative": {name: asdict(group) for name, group in self.groups.items()},
            "position_bias": asdict(self.bias) if self.bias else None,
        }


def judge(answers: Path, out: Path, options: JudgeOptions) -> Judgement:
    """Judges a file of answers; an answer on file in the journal is not asked for again.

    Verdicts go to `out`, relative scores to `out` with `.scores.json`, what could not be judged to `out` with
    `.unjudged.jsonl`.

    Args:
        answers: ours or the released code's.
        out: JSON Lines: id, order, both scores, the judge's words.
        options: who judges what.

    Raises:
        UsageError: no such file or set, a set without captions, no key, a cost limit without a price.
        LlavaMedError: an answer is missing, the run cannot go on, or questions stayed without a verdict.
    """
    benchmark = Benchmark(options.benchmark, options.split)
    if not any(question.caption for question in benchmark.questions):
        raise UsageError(f"{options.benchmark} has no captions: the judge goes by them, so name the eval set")
    candidates = read_answers(answers, benchmark.questions, partial=options.partial)
    questions = [question for question in benchmark.questions if question.id in candidates]
    unjudged = [
        Unanswered(question.id, "no answer", "")
        for question in benchmark.questions
        if question.id not in candidates
    ]
    with Journal(options.work / "journal.jsonl") as journal:
        client = _client(options, journal)
        references = {question.id: question.reference for question in questions}
        if options.reference:
            references = _references(ReferenceWriter(client), questions, unjudged)
        contests = [
            Contest(_pair(question), question.text, references[question.id], candidates[question.id].answer)
            for question in questions
            if question.id in references
        ]
        found = list(_verdicts(ChatJudge(client), contests, options, unjudged))
    judged = _together(questions, found, both_orders=options.both_orders)
    result = Judgement(
        judge=options.model,
        candidate=next(iter(candidates.values())).model,
        reference=options.model if options.reference else "benchmark",
        asked=len(benchmark.questions),
        groups=table(judged),
        bias=position_bias(judged),
        unjudged=unjudged,
        tally=client.counts,
    )
    write_unanswered(unjudged_path(out), unjudged)
    if unjudged and not options.partial:
        raise LlavaMedError(
            f"{result.asked - len(judged)} of {result.asked} questions have no verdict ({unjudged[0].id!r}: "
            f"{unjudged[0].reason}; all are in {unjudged_path(out)}): run again for what failed, or "
            "score the rest with --partial"
        )
    _write(out, result, judged, options, references)
    return result


def scores_path(out: Path) -> Path:
    """Where the relative scores go."""
    return out.with_suffix(".scores.json")


def unjudged_path(out: Path) -> Path:
    """Where the questions without a verdict go."""
    return out.with_suffix(".unjudged.jsonl")


def _client(options: JudgeOptions, journal: Journal) -> LlmClient:
    model = chat_model(options.model, options.prices)
    endpoint = Endpoint(options.base_url, options.timeout)
    return open_client(
        "openai", model, journal, endpoint=endpoint, limits=options.limits, prices=options.prices
    )


def _pair(question: Question) -> Pair:
    return Pair(
        question.id, question.figure_label, question.caption, question.inline_mentions, question.domain
    )


def _references(
    writer: ReferenceWriter, questions: Sequence[Question], unjudged: list[Unanswered]
) -> dict[str, str]:
    asked = ((_pair(question), question.text) for question in questions)
    written = dict[str, str]()
    for said in writer.answers(asked):
        if isinstance(said, tuple):
            identity, drop = said
            unjudged.append(_without(identity, drop, "reference"))
        else:
            written[said.pair_id] = said.answer
    return written


def _verdicts(
    judge: ChatJudge, contests: Sequence[Contest], options: JudgeOptions, unjudged: list[Unanswered]
) -> Iterator[Verdict]:
    lost = set[str]()
    for said in judge.verdicts(contests, both_orders=options.both_orders):
        if isinstance(said, Verdict):
            yield said
        elif said[0] not in lost:
            lost.add(said[0])
            unjudged.append(_without(*said, "verdict"))


def _without(identity: str, drop: Drop, what: str) -> Unanswered:
    return Unanswered(identity, f"{what}: {drop.reason.value}", drop.detail)


def _together(questions: Sequence[Question], found: Sequence[Verdict], *, both_orders: bool) -> list[Judged]:
    """Questions with all the verdicts that were asked for: one order without the other is not counted."""
    by_order = {(verdict.id, verdict.swapped): verdict for verdict in found}
    return [
        Judged(question, first, by_order.get((question.id, True)))
        for question in questions
        if (first := by_order.get((question.id, False)))
        and (not both_orders or (question.id, True) in by_order)
    ]


def _write(
    out: Path,
    result: Judgement,
    judged: Sequence[Judged],
    options: JudgeOptions,
    references: Mapping[str, str],
) -> None:
    rows = (
        {
            "id": verdict.id,
            "order": "candidate first" if verdict.swapped else "reference first",
            "reference_score": verdict.reference,
            "candidate_score": verdict.candidate,
            "reference": references[verdict.id],
            "said": verdict.said,
        }
        for each in judged
        for verdict in (each.first, each.second)
        if verdict
    )
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    stated = result.to_dict() | {"variant": dict(options.variant)}
    write_text(scores_path(out), json.dumps(stated, indent=1, ensure_ascii=False) + "\n")
