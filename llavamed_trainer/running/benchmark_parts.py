"""The parts of benchmarks by which a model is scored while it trains, and the training rows that they take out.

A part is a whole split (`slake:validation`), or some of a split's images with all their questions
(`vqa-rad:train[10%]`), which are held out: no row with one of these images is trained on.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, concatenate_datasets

from llavamed_data.errors import UsageError
from llavamed_data.recipes import ALL_BENCHMARKS
from llavamed_trainer.evaluation.predict import QuestionPrompt
from llavamed_trainer.evaluation.questions import Prediction, Question, QuestionSet, prompt_of
from llavamed_trainer.evaluation.scoring.scores import load_questions_to_score, metric_values
from llavamed_trainer.running.arguments import TrainArguments

TEST_IDS = f"^({'|'.join(ALL_BENCHMARKS)})-test(_clean|_tiny)?-"
"""The ids that builds give to the rows of the test splits of benchmarks."""

STRICT = ("closed_word_accuracy", "open_multiset_recall", "choice_accuracy")
"""The metrics of which one gives the score of a question, by its type."""

_PART = re.compile(r"(?P<benchmark>.+?):(?P<split>[a-z_]+)(?:\[(?P<number>[^\]]*)\])?(?:,|$)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(%?)")

_FORMS = "BENCHMARK:SPLIT, such as slake:validation, or vqa-rad:train[10%], which holds out a part of a split"


@dataclass(frozen=True, slots=True)
class PartName:
    """What `--evaluate` names.

    Attributes:
        benchmark: its name, or a dataset's folder or name on the Hub.
        split: of the benchmark.
        number: how much of the split is held out, `10%` or `200`; None for the whole split, which is not held out.
    """

    benchmark: str
    split: str
    number: str | None = None

    def __str__(self) -> str:
        return f"{self.benchmark}:{self.split}" + (f"[{self.number}]" if self.number else "")

    @property
    def is_of_test_split(self) -> bool:
        """Whether the split is one for testing: `test`, or a part of it such as `test_clean`."""
        return self.split.startswith("test")

    def share_of(self, questions: int) -> int:
        """How many of so many questions are held out at least; none if the whole split is not held out."""
        match = _NUMBER.fullmatch(self.number or "0")
        if match is None:
            raise ValueError(self.number)
        return ceil(Fraction(match[1]) * questions / 100) if match[2] else int(match[1])


@dataclass(frozen=True)
class BenchmarkPart:
    """Questions of a benchmark that a model is asked while it trains.

    Attributes:
        name: what `--evaluate` names.
        questions: those that are asked.
        prompts: how they are put, in the same order.
        images: SHA-256 of the bytes of each image of the part → number of its bytes; also of images of the part whose
            questions are beyond the limit.
        left_out: why questions are not asked → how many; those beyond a limit are not among them.
    """

    name: PartName
    questions: QuestionSet
    prompts: tuple[QuestionPrompt, ...]
    images: Mapping[str, int]
    left_out: Mapping[str, int]

    @property
    def is_held_out(self) -> bool:
        """Whether its images are kept out of training."""
        return self.name.number is not None

    @property
    def asked_images(self) -> int:
        """The number of images that the questions show."""
        return len({digest for prompt in self.prompts for digest in prompt.images})


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Training rows that show images of a part.

    Attributes:
        name: of the part.
        rows: how many rows show one.
        images: how many of its images they show.
    """

    name: PartName
    rows: int
    images: int


def strict_score(prediction: Prediction) -> float | None:
    """The strict metric of an answer by the type of its question, 0 to 1; None if the question has none."""
    values = metric_values(prediction)
    return next((float(values[name]) for name in STRICT if name in values), None)


def parse_parts(stated: str) -> list[PartName]:
    """Reads what `--evaluate` names, several separated by commas.

    >>> [str(each) for each in parse_parts("slake:validation,folder/with:colon:train[200]")]
    ['slake:validation', 'folder/with:colon:train[200]']

    Raises:
        UsageError: it names no split, or a part of one that cannot be.
    """
    names, start = list[PartName](), 0
    while start < len(stated):
        match = _PART.match(stated, start)
        if match is None or Path(stated[start:]).is_dir():
            raise UsageError(f"--evaluate {stated[start:]} names no split of a benchmark: give {_FORMS}")
        name = PartName(match["benchmark"], match["split"], match["number"])
        if name.number is not None:
            number = _NUMBER.fullmatch(name.number)
            whole = number is not None and (number[2] or "." not in number[1])
            if number is None or not whole or not 0 < float(number[1]) <= (99 if number[2] else 10**9):
                raise UsageError(
                    f"--evaluate {name}: give a percentage below 100 or a number of questions in the brackets, such as "
                    "[10%] or [200]"
                )
        names.append(name)
        start = match.end()
    if not names:
        raise UsageError(f"--evaluate names no benchmark: give {_FORMS}")
    if len(set(names)) < len(names):
        raise UsageError(f"--evaluate {stated} names a part twice: leave one out")
    return names


def load_parts(arguments: TrainArguments, seed: int) -> tuple[BenchmarkPart, ...]:
    """Loads the questions of the parts that `--evaluate` names; none without it.

    Args:
        arguments: of the run.
        seed: chooses the images that are held out, and the questions within the limit.

    Raises:
        UsageError: there is no such benchmark or split, it is for testing, or it has no question that can be scored.
        LlavaMedError: the Hub cannot be reached, or a shard cannot be read.
    """
    if not arguments.evaluate:
        return ()
    return tuple(_load(name, arguments, seed) for name in parse_parts(arguments.evaluate))


def leave_out(rows: Dataset, parts: Sequence[BenchmarkPart]) -> tuple[Dataset, list[SharedImages]]:
    """The training rows without those that show an image of a held-out part, and what each part shares with them.

    Images are the same if their bytes are. Of the training rows, those images are read that are as long as one of
    a part.

    Raises:
        UsageError: no row is left.
    """
    sizes = {size for part in parts for size in part.images.values()}
    shown = _images_of(rows, sizes) if sizes else {}
    shared, left_out = list[SharedImages](), set[int]()
    for part in parts:
        of_part = {row: digests & part.images.keys() for row, digests in shown.items()}
        found = {row: digests for row, digests in of_part.items() if digests}
        shared.append(SharedImages(part.name, len(found), len(set().union(*found.values()))))
        if part.is_held_out:
            left_out |= found.keys()
    if len(left_out) == len(rows):
        held_out = ", ".join(str(part.name) for part in parts if part.is_held_out)
        raise UsageError(f"--evaluate {held_out} holds out all {len(rows):,} rows: leave some to train on")
    if not left_out:
        return rows, shared
    # pieces of the table as it is: a selection of single rows would be written to the disk anew, images included
    ends = [-1, *sorted(left_out), len(rows)]
    pieces = [rows.select(range(before + 1, row)) for before, row in pairwise(ends) if row > before + 1]
    return (concatenate_datasets(pieces) if len(pieces) > 1 else pieces[0]), shared


def _load(name: PartName, arguments: TrainArguments, seed: int) -> BenchmarkPart:
    try:
        loaded = load_questions_to_score(name.benchmark, name.split, arguments.evaluate_language)
    except UsageError as error:
        hint = f"; {name.benchmark}:train[10%] holds out a part of its training split" * (name.number is None)
        raise UsageError(f"--evaluate {name}: {error}{hint}") from error
    if loaded.images is None:
        raise UsageError(
            f"--evaluate {name}: an original test file holds no images; build the set and name that"
        )
    if not arguments.allow_test_split and (
        name.is_of_test_split or any(re.match(TEST_IDS, each.id) for each in loaded.questions)
    ):
        raise UsageError(
            f"--evaluate {name}: a checkpoint that is chosen by its score on a test split has no score there that "
            "counts; name a validation split, hold out a part of the training split (train[10%]), or say "
            "--allow-test-split"
        )
    digests, sizes = dict[str, tuple[str, ...]](), dict[str, int]()
    for identity, stored in loaded.images.stored():
        digests[identity] = tuple(hashlib.sha256(image.data).hexdigest() for image in stored)
        sizes |= dict(zip(digests[identity], (len(image.data) for image in stored), strict=True))
    usable = [each for each in loaded.questions if len(digests[each.id]) == each.image_count]
    scored = [
        each
        for each in usable
        if strict_score(Prediction(each, each.text, "plain", each.reference, "")) is not None
    ]
    left_out = {
        "image lost": len(loaded.questions) - len(usable),
        "neither open nor closed": len(usable) - len(scored),
    }
    if not scored:
        raise UsageError(f"--evaluate {name}: none of its {len(loaded.questions):,} questions can be scored")
    if name.number is not None:
        scored = _held_out(name, scored, digests, seed)
    images = {digest: sizes[digest] for each in scored for digest in digests[each.id]}
    if arguments.evaluate_limit is not None:
        ranked = sorted(scored, key=lambda question: _rank(seed, question.id))
        chosen = {question.id for question in ranked[: arguments.evaluate_limit]}
        scored = [question for question in scored if question.id in chosen]
    return BenchmarkPart(
        name,
        replace(loaded, questions=tuple(scored)),
        tuple(QuestionPrompt(each, *prompt_of(each, "plain"), digests[each.id]) for each in scored),
        images,
        {reason: count for reason, count in left_out.items() if count},
    )


def _held_out(
    name: PartName, questions: Sequence[Question], digests: Mapping[str, Sequence[str]], seed: int
) -> list[Question]:
    """The questions of as many whole images as have the number of questions that is asked for, or a few more.

    Images that a question shows together stay together.
    """
    wanted = name.share_of(len(questions))
    first = dict[str, str]()  # an image → the image that stands for all that belong together

    def standing(image: str) -> str:
        while first.setdefault(image, image) != image:
            image = first[image]
        return image

    for question in questions:
        images = digests[question.id] or (question.id,)  # a question without an image stands for itself
        for image in images:
            low, high = sorted((standing(images[0]), standing(image)))
            first[high] = low
    groups = dict[str, list[Question]]()
    for question in questions:
        groups.setdefault(standing((digests[question.id] or (question.id,))[0]), []).append(question)
    chosen = set[str]()
    for group in sorted(groups, key=lambda image: _rank(seed, image)):
        if len(chosen) >= wanted:
            break
        chosen |= {question.id for question in groups[group]}
    if len(chosen) == len(questions):
        raise UsageError(
            f"--evaluate {name} holds out all {len(questions):,} questions of the split, with whole images: give a "
            "smaller part"
        )
    return [question for question in questions if question.id in chosen]


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _images_of(rows: Dataset, sizes: set[int]) -> dict[int, set[str]]:
    """Row → SHA-256 of each of its images whose number of bytes is one of `sizes`; rows without one are left out."""
    wanted, found, start = pa.array(sorted(sizes), pa.int64()), dict[int, set[str]](), 0
    column = rows.with_format("arrow").select_columns(["images"])
    for table in column.iter(batch_size=1000):
        lists = table["images"].combine_chunks()
        parents, stored = pc.list_parent_indices(lists), pc.list_flatten(lists)
        contents, paths = pc.struct_field(stored, "bytes"), pc.struct_field(stored, "path")
        lengths = pc.cast(pc.binary_length(contents), pa.int64())
        # an image without bytes is a file that the row names
        near = pc.or_(pc.is_in(lengths, value_set=wanted), pc.is_null(lengths))
        for place in pc.indices_nonzero(near).to_pylist():
            content, path = contents[place].as_py(), paths[place].as_py()
            if content is None and path and Path(path).is_file():
                content = Path(path).read_bytes()
            if content:
                digest = hashlib.sha256(content).hexdigest()
                found.setdefault(start + parents[place].as_py(), set()).add(digest)
        start += len(table)
    return found
