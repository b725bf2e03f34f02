"""Figures with a usable image → what is said about them: rounds of question and answer.

Alignment sets take one instruction and the caption (equation 1 of the paper). Instruct sets take the rounds of a
generator (section 3). The evaluation set takes its rounds as questions, and adds one question a figure from Table 7's
list; the reference answers are those of an LLM that is given caption and mentions (section 5.1), or, without an LLM,
the generator's own and the caption.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.dataset.messages import messages
from llavamed_data.dataset.schema import RowCheck
from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.generation import Generation
from llavamed_data.instruct.judge import GroundednessScore, drop_all_but_best
from llavamed_data.instruct.prompts import caption_instruction, instructions, pick
from llavamed_data.instruct.references import ReferenceAnswer
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import read_rows, row_writer
from llavamed_data.pipeline.steps.acquire import Acquired
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint
from llavamed_data.reasons import Drop, Dropped, Tally
from llavamed_data.recipes import Recipe, Task
from llavamed_data.review.flags import score_flag, write_flags

CAPTION = "caption"
"""The generator of an answer that is the caption as the article has it."""

SCORES = "scores.jsonl"
"""The file of the judge's scores, in the step's folder."""

CONVERSED = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("rounds", pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())]))),
        pa.field("question_type", pa.string()),
        pa.field("generator", pa.string(), nullable=False),
        pa.field("model", pa.string()),
    ]
)
"""One row a conversation, in the order of the acquired figures; a figure of the eval set has one row a question."""

FIGURE_COLUMNS = ("domain", "caption", "inline_mentions", "figure_label", "pmcid", "pmid", "license")
"""The columns of a published row that are the figure's own."""

Row = dict[str, Any]
Failed = tuple[str, Drop]
"""A `pair_id` and why nothing is said about it."""


@dataclass(frozen=True)
class Conversed(StepOutput):
    """The conversations of a recipe's figures.

    Attributes:
        acquired: the figures.
    """

    acquired: Acquired

    def rows(self) -> Iterator[tuple[Row, Row]]:
        """Yields each figure (schema `ACQUIRED`) with its conversation (schema `CONVERSED`)."""
        figures = read_rows([self.acquired.file])
        figure: Mapping[str, Any] = {"pair_id": None}
        for conversation in read_rows([self.folder / "conversations.parquet"]):
            while figure["pair_id"] != conversation["pair_id"]:
                figure = next(figures)
            yield dict(figure), conversation

    @property
    def scores_file(self) -> Path:
        """The judge's scores as flags; there is none where no judge was asked."""
        return self.folder / SCORES


def converse(
    recipe: Recipe, acquired: Acquired, generation: Generation, folder: Path, *, seed: int
) -> Conversed:
    """Writes what is said about each acquired figure.

    A row that the schema of its dataset does not allow is dropped, with its reason: a literal `<image>` in a question
    or an answer would stand for an image that is not there.

    Args:
        recipe: what is wanted.
        acquired: the figures.
        generation: what generates the conversations; not asked for alignment sets.
        folder: the step's folder: `conversations.parquet` (schema `CONVERSED`), `dropped.parquet`.
        seed: chooses instructions.

    Returns:
        The conversations; their fact `rules` counts how often each cleaning rule touched one.

    Raises:
        LlavaMedError: an LLM's run cannot go on; what it answered is in the journal.
    """
    settings = _generator_settings(generation)
    step = Step(
        folder,
        fingerprint("converse", recipe.name, repr(recipe.converse), acquired.digest(), settings, seed),
    )

    def work(unfinished: Path) -> StepResult:
        tally, rules, scores = Tally(), Counter[str](), list[GroundednessScore]()
        check = RowCheck(recipe.schema, ("id", "messages", *FIGURE_COLUMNS))
        with (
            row_writer(unfinished / "conversations.parquet", CONVERSED) as add_conversation,
            row_writer(unfinished / "dropped.parquet", DROPPED) as add_dropped,
        ):
            figures = read_rows([acquired.file], ["pair_id", *FIGURE_COLUMNS])
            conversations = _conversations(recipe, acquired, generation, seed, rules, scores)
            for figure, (said, unsaid) in zip(figures, conversations, strict=True):
                rows, refused = _fitting(figure, said, check)
                failed = [*unsaid, *refused]
                for row in rows:
                    add_conversation(row)
                for pair_id, drop in failed:
                    add_dropped(asdict(Dropped.of(pair_id, drop)))
                if rows:
                    tally.keep()
                else:
                    tally.drop(failed[0][1].reason)
        if generation.judge:
            write_flags(unfinished / SCORES, map(score_flag, scores))
        return StepResult({"figures": tally}, {"rules": dict(rules.most_common())})

    return Conversed(folder, step.run(work), acquired)


def _fitting(figure: Row, rows: Sequence[Row], check: RowCheck) -> tuple[list[Row], list[Failed]]:
    """The rows of a figure that may be published, and why the others may not."""
    fitting, refused = list[Row](), list[Failed]()
    own = {name: figure[name] for name in FIGURE_COLUMNS} | {"id": figure["pair_id"]}
    for row in rows:
        said = messages((turn["question"], turn["answer"]) for turn in row["rounds"])
        try:
            check.check(own | {"messages": said})
        except Drop as drop:
            refused.append((figure["pair_id"], drop))
        else:
            fitting.append(row)
    return fitting, refused


def _generator_settings(generation: Generation) -> list[object]:
    """All settings of what generates the conversations: other settings make another output."""
    by = generation.generator
    quality = repr(getattr(by, "quality", None))
    judge = generation.judge.client.model.name if generation.judge else None
    return [by.name, by.model, dict(by.versions), quality, judge, generation.best]


def _conversations(
    recipe: Recipe,
    acquired: Acquired,
    generation: Generation,
    seed: int,
    rules: Counter[str],
    scores: list[GroundednessScore],
) -> Iterator[tuple[Sequence[Row], Sequence[Failed]]]:
    """Yields the rows of each figure in order, and what was dropped of it; the judge's scores are added to `scores`."""
    if recipe.converse.task is Task.CAPTION:
        for figure in read_rows([acquired.file], ["pair_id", "caption"]):
            question = caption_instruction(figure["pair_id"], figure["caption"], seed)
            yield [_row(figure["pair_id"], [(question, figure["caption"])], generator=CAPTION)], []
        return
    generated = _generated(recipe, acquired, generation, rules)
    if recipe.converse.task is Task.EVALUATION:
        yield from _questions(generated, generation, seed)
        return
    name = generation.generator.name
    for pair, conversation in _best(generated, generation, scores) if generation.judge else generated:
        if isinstance(conversation, tuple):
            yield [], [conversation]
        else:
            yield [_row(pair.pair_id, conversation.rounds, generator=name, model=conversation.model)], []


def _generated(
    recipe: Recipe, acquired: Acquired, generation: Generation, rules: Counter[str]
) -> Iterator[tuple[Pair, Conversation | Failed]]:
    """Yields each figure's text with the conversation that the generator makes of it, in order."""
    waiting: dict[str, Pair] = {}

    def pairs() -> Iterator[Pair]:
        for row in read_rows([acquired.file], list(Pair.__dataclass_fields__)):
            pair = pair_of(row, mentions=recipe.converse.mentions)
            waiting[pair.pair_id] = pair
            yield pair

    for conversation in generation.generator.generate(pairs()):
        if isinstance(conversation, tuple):
            yield waiting.pop(conversation[0]), conversation
        else:
            rules.update(conversation.rule_counts)
            yield waiting.pop(conversation.pair_id), conversation


def pair_of(row: Mapping[str, Any], *, mentions: bool) -> Pair:
    """What a generator sees of a row of pairs; without its mentions for caption-only sets."""
    return Pair(**{**row, "inline_mentions": tuple(row["inline_mentions"]) if mentions else ()})


def _best(
    generated: Iterable[tuple[Pair, Conversation | Failed]],
    generation: Generation,
    scores: list[GroundednessScore],
) -> Iterator[tuple[Pair, Conversation | Failed]]:
    """Drops all but the conversations that the judge scores best."""
    held = list(generated)
    conversations = [(pair, made) for pair, made in held if isinstance(made, Conversation)]
    scores.extend(generation.judge.scores(conversations) if generation.judge else ())
    dropped = drop_all_but_best(scores, generation.best or len(conversations))
    for pair, made in held:
        drop = dropped.get(pair.pair_id)
        yield pair, (pair.pair_id, drop) if drop and isinstance(made, Conversation) else made


def _questions(
    generated: Iterable[tuple[Pair, Conversation | Failed]], generation: Generation, seed: int
) -> Iterator[tuple[list[Row], list[Failed]]]:
    """Yields the rows of each figure of the evaluation set, one a question; one without an answer is left out."""
    held = [(pair, made, _asked(pair, made, generation, seed)) for pair, made in generated]
    references = generation.references
    jobs = ((pair, question) for pair, _, asked in held for (question, _), _, _ in asked)
    answers = iter(references.answers(jobs)) if references else None
    for pair, made, asked in held:
        if isinstance(made, tuple):
            yield [], [made]
            continue
        rows, failed = list[Row](), list[Failed]()
        for turn, kind, name in asked:
            if answers is None:
                rows.append(_row(pair.pair_id, [turn], generator=name, model=made.model, question_type=kind))
            elif isinstance(answer := next(answers), ReferenceAnswer):
                turn, name = (answer.question, answer.answer), generation.generator.name
                rows.append(
                    _row(pair.pair_id, [turn], generator=name, model=answer.model, question_type=kind)
                )
            else:
                failed.append(answer)
        yield rows, failed


def _asked(
    pair: Pair, made: Conversation | Failed, generation: Generation, seed: int
) -> list[tuple[tuple[str, str], str, str]]:
    """The questions about a figure, each with the generator's own answer, its type, and what wrote that answer."""
    if isinstance(made, tuple):
        return []
    description = pick(instructions("detailed"), f"description:{pair.pair_id}", seed)
    return [
        *((turn, "conversation", generation.generator.name) for turn in made.rounds),
        ((description, pair.caption), "detailed_description", CAPTION),
    ]


def _row(
    pair_id: str,
    rounds: Iterable[tuple[str, str]],
    *,
    generator: str,
    model: str | None = None,
    question_type: str | None = None,
) -> Row:
    return {
        "pair_id": pair_id,
        "rounds": [{"question": question, "answer": answer} for question, answer in rounds],
        "question_type": question_type,
        "generator": generator,
        "model": model,
    }
