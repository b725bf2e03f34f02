"""Answer types of a copy that lost them, joined from the original files by question and answer."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from llavamed_data.reasons import Drop
from llavamed_data.recipes import Benchmark
from llavamed_data.sources.benchmarks.files import BenchmarkFiles
from llavamed_data.sources.benchmarks.questions import ALL_LANGUAGES, Question, Reading, Wanted

_Key = tuple[str, str, str]
_Types = tuple[str | None, str | None]


class OriginalTypes:
    """What the original files say of each question and answer.

    A copy of the Hub has no number and no image's name, so a row is found by its split and texts. Where rows with the
    same texts differ in a type, that type stays unknown.
    """

    def __init__(self, benchmark: Benchmark, original: BenchmarkFiles) -> None:
        types = defaultdict[_Key, set[_Types]](set)
        for question in _questions(benchmark, original):
            types[_key(question)].add((question.answer_type, question.question_type))
        self._types = {key: (_only(0, found), _only(1, found)) for key, found in types.items()}

    def joined(self, question: Question) -> Question:
        """`question` with the types that it lacks, as far as the original tells them."""
        answer_type, question_type = self._types.get(_key(question), (None, None))
        return replace(
            question,
            answer_type=question.answer_type or answer_type,
            question_type=question.question_type or question_type,
        )


def _questions(benchmark: Benchmark, original: BenchmarkFiles) -> Iterator[Question]:
    reading = Reading(benchmark, Wanted(ALL_LANGUAGES))
    for split, position, record in original.records(lambda *_: "image"):
        try:
            yield reading.question(record, split, position)
        except Drop:
            continue  # a row that could not be built from is none to join with


def _key(question: Question) -> _Key:
    return question.split, _plain(question.question), _plain(question.answer)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _only(place: int, found: set[_Types]) -> str | None:
    values = {types[place] for types in found}
    return values.pop() if len(values) == 1 else None
