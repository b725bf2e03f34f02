"""A chat model says whether an open answer means the same as the reference answer, one prompt a kind of question."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.llm import Answer, ChatModel, LlmClient, Request
from llavamed_data.llm.reasoning import split_reasoning
from llavamed_data.reasons import Drop, Reason
from llavamed_trainer.evaluation.questions import Prediction, Question
from llavamed_trainer.evaluation.scoring.closed_answers import yes_or_no_of

_VERDICTS = {"same": True, "different": False}
_ANY_VERDICT = re.compile(rf"\b(?:{'|'.join(_VERDICTS)})\b", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?|[*`]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShortVerdict:
    """What a judge says of one answer, with the two answers in one order.

    Attributes:
        id: id of the question.
        candidate_first: whether the candidate's answer stood before the reference.
        same: whether the answer means what the reference means.
        reason: the judge's reason, in its words; empty if it gave none.
    """

    id: str
    candidate_first: bool
    same: bool
    reason: str


@dataclass(frozen=True)
class ShortAnswerJudge:
    """Asks a chat model whether answers mean the same as their references.

    Attributes:
        client: answers the requests; its journal keeps the verdicts.
    """

    client: LlmClient

    def verdicts(
        self, predictions: Iterable[Prediction], *, both_orders: bool = True
    ) -> Iterator[ShortVerdict | tuple[str, Drop]]:
        """The verdicts on each answer, in order: with the reference first, then with the candidate first.

        A reply without a readable verdict is asked for once more with a reminder; one that stays unreadable becomes
        (id of the question, drop), with the judge's words as its detail.

        Raises:
            LlavaMedError: the run cannot go on; what was answered is in the journal.
        """
        jobs = (
            ((prediction.question.id, swapped), short_request(self.client.model, prediction, swapped))
            for prediction in predictions
            for swapped in orders(both_orders=both_orders)
        )
        for (identity, swapped), outcome in self.client.complete(jobs, follow_up=_remind):
            if isinstance(outcome, Drop):
                yield identity, outcome
            elif (read := parse_verdict(outcome.text)) is not None:
                yield ShortVerdict(identity, swapped, *read)
            else:
                yield identity, Drop(Reason.UNREADABLE_ANSWER, outcome.text)


def orders(*, both_orders: bool) -> tuple[bool, ...]:
    """Whether the candidate stands first, in each request about an answer."""
    return (False, True) if both_orders else (False,)


def short_request(model: ChatModel, prediction: Prediction, candidate_first: bool) -> Request:
    """The request for a verdict on one answer.

    Question and answers are the strings of a JSON object, so that nothing in them can end the quotation.
    """
    question = prediction.question
    answers = {
        "reference answer": question.reference,
        "candidate answer": judged_text(prediction.answer),
    }
    if candidate_first:
        answers = dict(reversed(answers.items()))
    quoted = json.dumps({"question": question.text, **answers}, ensure_ascii=False, indent=1)
    return model.request(
        [{"role": "system", "content": short_instruction(question)}, {"role": "user", "content": quoted}]
    )


def judged_text(answer: str) -> str:
    """What of an answer the judge is shown: all but reasoning in the marks of its model; empty if nothing is left."""
    return split_reasoning(answer)[1].strip()


def short_instruction(question: Question) -> str:
    """The system text for a question: the frame, the rules of its kind, and a paragraph more for a Chinese one."""
    texts = _texts()
    rules = texts["rules"][kind_of_question(question)]
    if question.language == "zh":
        rules = f"{rules} {texts['chinese']}"
    filled: str = texts["system"].replace("{rules}", rules)
    return filled


def kind_of_question(question: Question) -> str:
    """The rules of `short_answers.yaml` that go with a question: by its reference, else by its type.

    >>> kind_of_question(Question("1", "Is it normal?", "No")), kind_of_question(Question("2", "Where?", "left"))
    ('yes_no', 'general')
    """
    if yes_or_no_of(question.reference):
        return "yes_no"
    kinds: Mapping[str, str] = _texts()["question_types"]
    for stated in (question.question_type or "").split(","):
        if kind := kinds.get(stated.strip().lower()):
            return kind
    return "general"


def parse_verdict(reply: str) -> tuple[bool, str] | None:
    """Whether a judge's reply says "same", and its reason; None if it is not one verdict and nothing else.

    The reply is one JSON object, in a code fence or not, or the word of the verdict alone. Beside an object, no word
    of a verdict may stand.

    >>> parse_verdict('{"verdict": "same", "reason": "CT is computed tomography."}')
    (True, 'CT is computed tomography.')
    >>> parse_verdict("Different."), parse_verdict('{"verdict": "same or different"}')
    ((False, ''), None)
    """
    text = _FENCE.sub("", reply).strip() if "{" not in reply else reply.strip()
    start = text.find("{")
    if start < 0:
        said = _VERDICTS.get(text.lower().rstrip(".!"))
        return None if said is None else (said, "")
    try:
        stated, end = json.JSONDecoder(object_pairs_hook=_without_repeated_keys).raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    around = text[:start] + text[start + end :]
    verdict = stated.get("verdict")
    if "{" in around or _ANY_VERDICT.search(around) or not isinstance(verdict, str):
        return None
    said = _VERDICTS.get(verdict.strip().lower())
    return None if said is None else (said, str(stated.get("reason") or ""))


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs.

    Raises:
        ValueError: a key is there twice, of which JSON would take the last without a word.
    """
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


@cache
def _texts() -> Any:
    texts = yaml.safe_load(files(__package__).joinpath("short_answers.yaml").read_text(encoding="utf-8"))
    types = {name.lower(): kind for name, kind in texts["question_types"].items()}
    return {**texts, "question_types": types}


def _remind(request: Request, answer: Answer) -> Request | None:
    """Asks again with a reminder if a reply has no readable verdict."""
    if answer.finish_reason == "content_filter" or parse_verdict(answer.text) is not None:
        return None
    return request.continued(answer.text, _texts()["reminder"])
