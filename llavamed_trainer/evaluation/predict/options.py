"""What a prediction run is told, and what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from llavamed_data.llm import AnswerCounts, RunLimits
from llavamed_trainer.evaluation.answers import PromptForm
from llavamed_trainer.evaluation.predict.answer_file import FileForm, Unanswered
from llavamed_trainer.evaluation.predict.questions import Question

LostImages: TypeAlias = Literal["error", "skip", "ask"]
"""What becomes of a question whose image is lost: it stops the run, is skipped by name, or is asked without one."""


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What answers which questions, and how.

    Attributes:
        model: a LLaVA checkpoint or adapter, a folder or a name on the Hub; with `base_url`, the server's name.
        benchmark, split, language: the questions, as `Benchmark` takes them.
        prompt: `options` puts the choices behind closed questions, as the authors did.
        base_url: any OpenAI-compatible address; None answers here, on the devices there are.
        batch_size: prompts answered together.
        max_new_tokens: the longest answer.
        dtype: of the weights: `auto`, or torch's name.
        lost_images: what becomes of questions whose image is lost.
        partial: write what there is where a question could not be answered, and say so.
        form: of the file: `ours`, or `released`.
        replace: write over a file and parts of another run.
        work: the folder of the journal.
        limits, timeout, prices: of requests to a server.
    """

    model: str
    benchmark: str
    split: str = "test"
    language: str = "en"
    prompt: PromptForm = "plain"
    base_url: str | None = None
    batch_size: int = 16
    max_new_tokens: int = 1024
    dtype: str = "auto"
    lost_images: LostImages = "error"
    partial: bool = False
    form: FileForm = "ours"
    replace: bool = False
    work: Path = Path(".llavamed")
    limits: RunLimits = field(default_factory=RunLimits)
    timeout: float = 120.0
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What a run did; questions = answered + unanswered, always.

    Attributes:
        questions: of the benchmark.
        answered: lines of the file.
        without_image: answers given without the image, which is lost.
        cut: answers that reached the longest one allowed.
        unanswered: reason → how many questions have no answer.
        taken_over: answers that an earlier run had given.
        tally: of the requests to a server; None where the model ran here.
    """

    questions: int
    answered: int
    without_image: int
    cut: int
    unanswered: Mapping[str, int]
    taken_over: int = 0
    tally: AnswerCounts | None = None


@dataclass(slots=True)
class Found:
    """Answers by id, and what there is to say about them."""

    answers: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    unanswered: dict[str, Unanswered] = field(default_factory=dict)
    taken_over: int = 0
    tally: AnswerCounts | None = None


Prompted: TypeAlias = list[tuple[Question, str, PromptForm]]
