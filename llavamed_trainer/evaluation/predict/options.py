"""What a prediction run is given, what it asks, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from llavamed_data.llm import AnswerCounts, RunLimits
from llavamed_trainer.evaluation.questions import AnswerFormat, ImageMode, PromptForm, Question, Unanswered

LostImages: TypeAlias = Literal["error", "skip", "ask"]
"""What becomes of a question whose image is lost: the run stops, the question is left out, or it is asked without."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Which model answers which questions, and how.

    Attributes:
        model: a checkpoint or adapter of a vision–language model, a folder or a name on the Hub; with `base_url`, the
            server's name for it.
        benchmark, split, language: the questions, as `load_questions` takes them.
        limit: ask the first so many questions alone; the answers are then marked as those of a part.
        prompt: form of the prompts, as `prompt_of` takes it.
        images: what the model is shown: the questions' own images, or others in their place, to see whether it looks.
        seed: seed of the noise, and of the order in which images are exchanged between questions.
        shuffle_choices: seed of the order in which the choices of each question are shown; None keeps theirs.
        base_url: address of an OpenAI-compatible server; None runs the model on this machine.
        batch_size: questions answered together.
        max_new_tokens: longest answer, in tokens.
        dtype: data type of the weights: `auto` (bfloat16 on a GPU, float32 elsewhere), or a name of torch's.
        lost_images: what becomes of questions whose image is lost.
        partial: write the file although some questions could not be answered, and report them.
        file_format: format of the file of answers: `ours`, or the released code's.
        replace: overwrite the answers of another run.
        work: folder of the journal of requests to a server.
        limits, timeout, prices: rate and cost limits, seconds a request, and price table of requests to a server.
    """

    model: str
    benchmark: str
    split: str = "test"
    language: str = "en"
    limit: int | None = None
    prompt: PromptForm = "plain"
    images: ImageMode = "real"
    seed: int = 0
    shuffle_choices: int | None = None
    base_url: str | None = None
    batch_size: int = 16
    max_new_tokens: int = 1024
    dtype: str = "auto"
    lost_images: LostImages = "error"
    partial: bool = False
    file_format: AnswerFormat = "ours"
    replace: bool = False
    work: Path = Path(".llavamed")
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = 600.0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """One question as it is sent to a model.

    Attributes:
        question: the question.
        text: text of the user turn.
        form: form of the text.
        images: SHA-256 of each image, which tells apart those that differ; they stand before the text.
    """

    question: Question
    text: str
    form: PromptForm
    images: tuple[str, ...]


@dataclass(slots=True)
class PredictedAnswers:
    """The answers to the prompts of a run.

    Attributes:
        answers: question id → answer.
        truncated: ids of answers that were cut off at the longest answer allowed.
        unanswered: question id → why it has no answer.
        reused: number of answers that an earlier start of the run had given.
        tally: counts and cost of the requests to a server; None if the model ran on this machine.
    """

    answers: dict[str, str] = field(default_factory=dict)
    truncated: set[str] = field(default_factory=set)
    unanswered: dict[str, Unanswered] = field(default_factory=dict)
    reused: int = 0
    tally: AnswerCounts | None = None


@dataclass(frozen=True, slots=True)
class PredictReport:
    """Counts of a run; questions = answered + unanswered, always.

    Attributes:
        questions: questions of the benchmark.
        answered: questions with an answer in the file.
        without_image: answers given without an image that is lost.
        truncated: answers that were cut off at the longest answer allowed.
        unanswered: reason → number of questions without an answer.
        reused: answers that an earlier start of the run had given.
        tally: counts and cost of the requests to a server; None if the model ran on this machine.
    """

    questions: int
    answered: int
    without_image: int = 0
    truncated: int = 0
    unanswered: Mapping[str, int] = field(default_factory=dict)
    reused: int = 0
    tally: AnswerCounts | None = None
