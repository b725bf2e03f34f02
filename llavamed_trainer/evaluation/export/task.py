"""What is exported: the questions of a set with their prompts, those left out because of their images, and a name."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from PIL import Image

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.questions import (
    PROMPT_FORMS,
    PromptForm,
    Question,
    QuestionImages,
    QuestionSet,
    StoredImage,
    load_questions,
    prompt_of,
)

Kit: TypeAlias = Literal["lmms-eval", "vlmevalkit"]
LostImages: TypeAlias = Literal["error", "skip", "ask"]

PREFIX = "llavamed_"
"""What every name begins with: a kit that has a task of the same name runs its own, without a word."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported, and how.

    Attributes:
        benchmark: as for `load_questions`; no original test file, which holds no images.
        kit: the kit that is to run it.
        split, language: which questions.
        prompt: how closed questions are asked.
        name: what the kit calls it; None makes a name of the set, its split, language and prompt.
        repo: the dataset on the Hub that the task will read; None reads the files beside the task.
        lost_images: what becomes of questions whose image is lost or cannot be decoded: an error, left out, or asked
            without it.
        replace: overwrite what is there under this name.
    """

    benchmark: str
    kit: Kit
    split: str = "test"
    language: str = "en"
    prompt: PromptForm = "plain"
    name: str | None = None
    repo: str | None = None
    lost_images: LostImages = "error"
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ExportedTask:
    """What was exported.

    Attributes:
        questions: number of questions in the set.
        written: number of questions that the kit will ask.
        left_out: reason → number of the questions that it will not ask.
        without_image: number of questions that are asked although an image is lost.
        types: answer type → number of the written questions; `not stated` for those without one.
        images: number of images, each counted as often as it is shown.
        names: what the kit calls it; VLMEvalKit has one name for multiple choice and one for other questions.
        paths: the folder of the task, or the TSV files.
        changed: number of texts that had to be written with a blank behind them.
    """

    questions: int
    written: int
    left_out: Mapping[str, int]
    without_image: int
    types: Mapping[str, int]
    images: int
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    changed: int = 0


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question as it is exported: with its prompt, and the images that the kit shows before it."""

    question: Question
    prompt: str
    form: PromptForm
    images: tuple[StoredImage, ...]


class TaskQuestions:
    """The questions of a set that are exported; their images are read once to check them, and once to write them.

    Args:
        options: which set.

    Attributes:
        options: as given.
        name: what the kit calls it.
        set: the whole set.
        left_out: question id → why it is left out.
        without_image: number of questions that are asked although an image is lost.

    Raises:
        UsageError, LlavaMedError: as `load_questions`; images are lost and the options do not say what to do about it;
            a question has more images than places for them.
    """

    def __init__(self, options: ExportOptions) -> None:
        if options.prompt not in PROMPT_FORMS:
            raise UsageError(
                f"there is no prompt form {options.prompt!r}: choose from {', '.join(PROMPT_FORMS)}"
            )
        self.options = options
        self.name = options.name or _default_name(options)
        if not _NAME.fullmatch(self.name) or not self.name.startswith(PREFIX):
            raise UsageError(
                f"{self.name!r} is no name for a task: use letters, digits, '_' and '-', and begin with {PREFIX}, so "
                "that it is none of the kit's own tasks, which would be run instead; choose it with --name"
            )
        self.set: QuestionSet = load_questions(options.benchmark, options.split, options.language)
        if self.set.images is None:
            raise UsageError(
                f"{options.benchmark} is an original test file, which holds no images: build the set with "
                f"python -m llavamed_data build {self.set.name}, and name that"
            )
        self._stored: QuestionImages = self.set.images
        self._undecodable = set[bytes]()
        self.left_out: dict[str, str] = {}
        self.without_image = 0
        self._check_images()

    def asked(self) -> Iterator[AskedQuestion]:
        """Yields the questions that are exported, in the order of the set."""
        for question, images in self._with_images():
            if question.id not in self.left_out:
                usable = tuple(each for each in images if _digest(each) not in self._undecodable)
                prompt, form = prompt_of(question, self.options.prompt, self.set.name)
                yield AskedQuestion(question, prompt, form, usable)

    def exported(
        self, names: tuple[str, ...], paths: tuple[Path, ...], images: int, written: int, changed: int = 0
    ) -> ExportedTask:
        """The counts of an export that is complete.

        Raises:
            LlavaMedError: what was written is not what there is.
        """
        questions = [each for each in self.set.questions if each.id not in self.left_out]
        if written != len(questions):
            raise LlavaMedError(
                f"{written} questions were written and {len(self.left_out)} left out of {len(self.set.questions)}: "
                f"the set {self.options.benchmark} changed meanwhile; rerun the same command"
            )
        return ExportedTask(
            questions=len(self.set.questions),
            written=written,
            left_out=dict(Counter(self.left_out.values())),
            without_image=self.without_image,
            types=dict(sorted(Counter(each.answer_type or "not stated" for each in questions).items())),
            images=images,
            names=names,
            paths=paths,
            changed=changed,
        )

    def _with_images(self) -> Iterator[tuple[Question, tuple[StoredImage, ...]]]:
        """The stored images stand in the order of the rows, which is that of the questions."""
        questions = {question.id: question for question in self.set.questions}
        for identity, images in self._stored.stored():
            yield questions[identity], images

    def _check_images(self) -> None:
        decodable = set[bytes]()
        for question, images in self._with_images():
            usable = 0
            for image in images:
                digest = _digest(image)
                if digest not in decodable and digest not in self._undecodable:
                    (decodable if _decodes(image.data) else self._undecodable).add(digest)
                usable += digest in decodable
            if len(images) > question.image_count:
                raise UsageError(
                    f"{question.id!r} has {question.image_count} image parts and {len(images)} images: check the set "
                    f"with python -m llavamed_data validate {self.options.benchmark}"
                )
            if usable < question.image_count:
                self.left_out[question.id] = "image lost" if len(images) == usable else "image damaged"
        if self.left_out and self.options.lost_images == "error":
            first = next(iter(self.left_out))
            raise UsageError(
                f"the image of {len(self.left_out)} of {len(self.set.questions)} questions is lost or damaged, the "
                f"first is {first!r}: leave these questions out with --lost-images skip, or ask without the image "
                "with --lost-images ask"
            )
        if self.options.lost_images == "ask":
            self.without_image = len(self.left_out)
            self.left_out = {}


def _default_name(options: ExportOptions) -> str:
    """Two exports of different questions or prompts have different names."""
    words = [options.benchmark.rstrip("/").rpartition("/")[2], options.split]
    if options.language != "en":
        words.append(options.language)
    if options.prompt != "plain":
        words.append(options.prompt)
    plain = [re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in words]
    if not plain[0]:
        raise UsageError(f"no name can be made of {words[0]!r}: choose one with --name {PREFIX}…")
    return PREFIX + "_".join(plain)


def _digest(image: StoredImage) -> bytes:
    return hashlib.sha256(image.data).digest()


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except MemoryError:
        raise
    except Exception:  # Pillow's plugins raise anything on hostile bytes
        return False
    return True
