"""Who writes the text of a dataset: the embedded back end, or an LLM with its journal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_data.instruct.conversation import GENERATORS, OFFLINE, Generator
from llavamed_data.instruct.generate import LlmGenerator, open_generator
from llavamed_data.instruct.judge import Judge
from llavamed_data.instruct.offline import Offline
from llavamed_data.instruct.prompts import Prompt, load_few_shots
from llavamed_data.instruct.quality import Quality
from llavamed_data.instruct.references import References
from llavamed_data.llm.chat import Limits
from llavamed_data.llm.completer import model_settings, open_completer
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.server import Server
from llavamed_data.recipes import Recipe, Task


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """Who writes, how fast and how dear.

    Attributes:
        generator: `offline`, `openai` or `openai-batch`.
        model: as the server knows it; the LLM back ends need one.
        base_url: any OpenAI-compatible address; OpenAI's own, or `OPENAI_BASE_URL`, by default.
        few_shots: a file of few-shot examples in place of the project's.
        prices: a price table in place of the project's.
        rpm, tpm: requests and tokens a minute.
        max_cost: dollars that the run may cost; it stops before passing them.
        drop_unseen_facts: drop rounds that quote from the text what no image shows.
        judge: a model that scores how well each conversation is grounded in its text.
        best: how many conversations to keep, the best by the judge; all where None.
    """

    generator: str = OFFLINE
    model: str | None = None
    base_url: str | None = None
    few_shots: Path | None = None
    prices: Path | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_cost: float | None = None
    drop_unseen_facts: bool = False
    judge: str | None = None
    best: int | None = None

    def check(self) -> None:
        """Tells what is wrong before any work is done.

        Raises:
            UsageError: an unknown generator, a model that is missing or not needed, a judge without a number.
        """
        if self.generator not in GENERATORS:
            raise UsageError(
                f"no generator is called {self.generator!r}: choose from {', '.join(GENERATORS)}"
            )
        if self.generator == OFFLINE and (self.model or self.judge):
            raise UsageError("the offline generator asks no model: choose --generator openai or openai-batch")
        if self.generator != OFFLINE and not self.model:
            raise UsageError(f"--generator {self.generator} needs --model, such as --model gpt-4o")
        if (self.judge is None) != (self.best is None):
            raise UsageError(
                "--judge MODEL and --best N go together: the judge's best N conversations are kept"
            )
        if self.generator != OFFLINE:
            Server(self.base_url).check()


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes one dataset.

    Attributes:
        generator: writes the conversations.
        references: answers the evaluation set's questions; None where the generator's own answers stand.
        judge_model: who scores the conversations, where wanted.
        best: how many of them to keep.
        judge: opens the judge once all conversations are written: it may spend what they left of the cost limit.
    """

    generator: Generator
    references: References | None = None
    judge_model: str | None = None
    best: int | None = None
    judge: Callable[[], Judge] | None = None

    def account(self) -> str:
        """What an LLM's answers took so far, in words; "" where none was asked."""
        if not isinstance(self.generator, LlmGenerator):
            return ""
        tally = self.generator.completer.tally
        bought = f"{tally.answered:,} answers of {self.generator.model} for ${tally.dollars:,.2f}"
        return f"{bought}, {tally.from_journal:,} from the journal"


def prompt_of(recipe: Recipe, options: WritingOptions) -> Prompt:
    """System prompt and few-shot examples for a recipe's conversations."""
    return Prompt.build(load_few_shots(options.few_shots), mentions=recipe.converse.mentions)


def llm_generator(recipe: Recipe, options: WritingOptions, journal: Journal) -> LlmGenerator:
    """The LLM back end for a recipe, its answers kept in `journal`."""
    return open_generator(
        options.generator,
        options.model or "",
        journal,
        mentions=recipe.converse.mentions,
        few_shots=options.few_shots,
        server=Server(options.base_url),
        limits=_limits(options),
        prices=options.prices,
        quality=Quality(drop_unseen_facts=options.drop_unseen_facts),
    )


@contextmanager
def open_writer(recipe: Recipe, options: WritingOptions, work: Path, seed: int) -> Iterator[Writer]:
    """Who writes `recipe`'s text; an LLM's answers are kept in `<work>/journal.jsonl`, whatever the source.

    Raises:
        UsageError: a key, price or file is missing.
        LlavaMedError: another run holds the journal.
    """
    if options.generator == OFFLINE or recipe.converse.task is Task.CAPTION:
        yield Writer(Offline(seed))
        return
    with Journal(work / "journal.jsonl") as journal:
        generator = llm_generator(recipe, options, journal)
        if recipe.converse.task is Task.EVALUATION:
            yield Writer(generator, References(generator.completer, generator.chat_model))
        elif options.judge:
            judge = partial(_judge, recipe, options, journal, generator)
            yield Writer(generator, judge_model=options.judge, best=options.best, judge=judge)
        else:
            yield Writer(generator)


def _judge(recipe: Recipe, options: WritingOptions, journal: Journal, generator: LlmGenerator) -> Judge:
    model = model_settings(options.judge or "", options.prices)
    asked = open_completer(
        options.generator,
        model,
        journal,
        server=Server(options.base_url),
        limits=_limits(options, spent=generator.completer.tally.dollars),
        prices=options.prices,
    )
    return Judge(asked, model, mentions=recipe.converse.mentions)


def _limits(options: WritingOptions, *, spent: float = 0.0) -> Limits:
    left = None if options.max_cost is None else max(0.0, options.max_cost - spent)
    return Limits(rpm=options.rpm, tpm=options.tpm, max_cost=left)
