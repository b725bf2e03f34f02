"""How a dataset's text is generated: the options, and opening the generator, the reference writer and the judge."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_data.instruct.cleaning import load_cleaning_rules
from llavamed_data.instruct.conversation import GENERATORS, OFFLINE, Generator
from llavamed_data.instruct.judge import GroundednessJudge
from llavamed_data.instruct.llm_generator import LlmGenerator
from llavamed_data.instruct.offline_generator import OfflineGenerator
from llavamed_data.instruct.prompts import Prompt, load_few_shots
from llavamed_data.instruct.quality import QualityChecks
from llavamed_data.instruct.references import ReferenceWriter
from llavamed_data.llm import Budget, Endpoint, Journal, LlmClient, RunLimits, chat_model, open_client
from llavamed_data.recipes import Recipe, Task


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How conversations are generated: the generator, its model and server, rate limits, cost limit, and checks.

    Attributes:
        generator: `offline`, `openai` or `openai-batch`.
        model: the model's name on the server; needed by the LLM generators alone.
        base_url: an OpenAI-compatible address; by default `OPENAI_BASE_URL`, or OpenAI's own.
        few_shots: a file of few-shot examples in place of the project's.
        prices: a price table in place of the project's.
        rpm, tpm: requests and tokens per minute.
        timeout: seconds that one request may take.
        max_cost: US dollars that generating one dataset may cost; the run stops before passing them.
        cleaning_rules: a file of cleaning rules of the user's own, to be applied after the project's.
        drop_unseen_facts: drop rounds whose answer takes from the text what no image shows.
        judge: the model that scores how well each conversation is grounded in its text.
        best: number of conversations to keep, those with the judge's best scores; None keeps all.
    """

    generator: str = OFFLINE
    model: str | None = None
    base_url: str | None = None
    few_shots: Path | None = None
    prices: Path | None = None
    rpm: float | None = None
    tpm: float | None = None
    timeout: float = 600.0
    max_cost: float | None = None
    cleaning_rules: Path | None = None
    drop_unseen_facts: bool = False
    judge: str | None = None
    best: int | None = None

    def check(self) -> None:
        """Checks the options before any work is done.

        Raises:
            UsageError: an unknown generator, a model that is missing or not needed, a judge without a number, no key,
                or faulty cleaning rules.
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
            Endpoint(self.base_url).check()
        load_cleaning_rules(self.cleaning_rules)


@dataclass(frozen=True, slots=True)
class Generation:
    """What generates the text of one dataset.

    Attributes:
        generator: writes the conversations.
        references: writes the reference answers of the evaluation set; None keeps the generator's own answers.
        judge: scores the conversations; None if no scores are wanted.
        best: number of conversations to keep by their scores.
    """

    generator: Generator
    references: ReferenceWriter | None = None
    judge: GroundednessJudge | None = None
    best: int | None = None

    def answers_summary(self) -> str:
        """The LLMs' answers so far, the judge's too, and their cost, in words; "" if no LLM is asked."""
        if not isinstance(self.generator, LlmGenerator):
            return ""
        clients = [("", self.generator.client)]
        clients += [("the judge: ", self.judge.client)] if self.judge else []
        return "; ".join(
            f"{who}{client.counts.answered:,} answers of {client.model.name} for ${client.counts.dollars:,.2f}, "
            f"{client.counts.details()}"
            for who, client in clients
        )


@contextmanager
def open_generation(
    recipe: Recipe, options: GenerationOptions, work: Path, seed: int
) -> Iterator[Generation]:
    """Yields what generates the text of `recipe`'s dataset.

    Args:
        recipe: the recipe.
        options: generator, model and limits.
        work: the work folder; an LLM's answers are kept in its `journal.jsonl`, for all sources and recipes.
        seed: chooses between the phrasings of the offline generator.

    Raises:
        UsageError: a key, a price or a file is missing.
        LlavaMedError: another run has opened the journal.
    """
    rules = load_cleaning_rules(options.cleaning_rules)
    if options.generator == OFFLINE or recipe.converse.task is Task.CAPTION:
        cleans = options.cleaning_rules is not None and recipe.converse.task is not Task.CAPTION
        yield Generation(OfflineGenerator(seed, rules if cleans else None))
        return
    budget = Budget(options.max_cost)
    with Journal(work / "journal.jsonl") as journal:
        client = _open_client(options, options.model or "", journal, budget)
        generator = LlmGenerator(
            options.generator,
            client,
            prompt_for(recipe, options),
            QualityChecks(drop_unseen_facts=options.drop_unseen_facts),
            rules,
        )
        if recipe.converse.task is Task.EVALUATION:
            yield Generation(generator, references=ReferenceWriter(client, rules))
        elif options.judge:
            judge_client = _open_client(options, options.judge, journal, budget)
            judge = GroundednessJudge(judge_client, mentions=recipe.converse.mentions)
            yield Generation(generator, judge=judge, best=options.best)
        else:
            yield Generation(generator)


def prompt_for(recipe: Recipe, options: GenerationOptions) -> Prompt:
    """System prompt and few-shot examples for the conversations of `recipe`."""
    return Prompt.build(load_few_shots(options.few_shots), mentions=recipe.converse.mentions)


def _open_client(options: GenerationOptions, model: str, journal: Journal, budget: Budget) -> LlmClient:
    return open_client(
        options.generator,
        chat_model(model, options.prices),
        journal,
        endpoint=Endpoint(options.base_url, options.timeout),
        limits=RunLimits(rpm=options.rpm, tpm=options.tpm),
        prices=options.prices,
        budget=budget,
    )
