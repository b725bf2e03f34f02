"""Pairs with a sound image → what is said about them: rounds of question and answer.

Alignment sets take one instruction and the caption (equation 1). Instruct sets take the rounds of a generator
(section 3). The evaluation set takes its rounds as questions, and adds one question a figure from Table 7's list;
the reference answers are those of an LLM that is given caption and mentions (section 5.1), or, without an LLM, the
generator's own and the caption.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.generation import Writer
from llavamed_data.instruct.instructions import caption_instruction, instructions, pick
from llavamed_data.instruct.judge import best
from llavamed_data.instruct.references import Reference
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.parquet import read_rows, write_rows
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.reasons import Drop, Dropped, Tally
from llavamed_data.recipes import Recipe, Task

CAPTION = "caption"
"""The writer of an answer that is the caption as the article has it."""

CONVERSED = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("rounds", pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())]))),
        pa.field("question_type", pa.string()),
        pa.field("generator", pa.string(), nullable=False),
        pa.field("model", pa.string()),
    ]
)
"""One row a conversation, in the order of the acquired pairs; an eval figure has one row a question."""

_Said = Conversation | tuple[str, Drop]
_Rows = list[dict[str, Any]]


def converse(
    recipe: Recipe, acquired: Path, inputs: str, writer: Writer, folder: Path, *, seed: int
) -> Manifest:
    """Writes what is said about each acquired figure.

    Args:
        recipe: what is wanted.
        acquired: the file that `acquire` left.
        inputs: fingerprint of the acquisition.
        writer: who writes the conversations; not asked for alignment sets.
        folder: the station's folder: `conversations.parquet` (schema `CONVERSED`), `dropped.parquet`.
        seed: chooses instructions.

    Returns:
        The manifest; its fact `rules` counts how often each cleaning rule touched a conversation.

    Raises:
        LlavaMedError: an LLM's run cannot go on; what it answered is in the journal.
    """
    station = Station(
        folder, fingerprint("converse", recipe.name, repr(recipe.converse), inputs, _who(writer), seed)
    )
    return station.run(_Talk(recipe, acquired, writer, seed).run)


def _who(writer: Writer) -> list[object]:
    by = writer.generator
    quality = repr(getattr(by, "quality", None))
    return [
        by.name,
        by.model,
        by.prompt_sha256,
        by.few_shots_sha256,
        by.rules_version,
        quality,
        writer.judge_model,
        writer.best,
    ]


class _Talk:
    """The conversations of one recipe."""

    def __init__(self, recipe: Recipe, acquired: Path, writer: Writer, seed: int) -> None:
        self.recipe = recipe
        self.acquired = acquired
        self.writer = writer
        self.seed = seed
        self.tally = Tally()
        self.dropped: list[Dropped] = []
        self.rules: Counter[str] = Counter()

    def run(self, partial: Path) -> Outcome:
        said = self._captions() if self.recipe.converse.task is Task.CAPTION else self._conversations()
        write_rows(partial / "conversations.parquet", CONVERSED, self._counted(said))
        write_dropped(partial / "dropped.parquet", self.dropped)
        return Outcome({"figures": self.tally}, facts={"rules": dict(self.rules.most_common())})

    def _counted(self, said: Iterable[_Rows | tuple[str, Drop]]) -> Iterator[dict[str, Any]]:
        for rows in said:
            if isinstance(rows, tuple):
                self.tally.drop(rows[1].reason)
                self.dropped.append(Dropped.of(*rows))
            else:
                self.tally.keep()
                yield from rows

    def _captions(self) -> Iterator[_Rows]:
        for pair in read_rows([self.acquired], ["pair_id", "caption"]):
            question = caption_instruction(pair["pair_id"], pair["caption"], self.seed)
            yield [_row(pair["pair_id"], [(question, pair["caption"])], generator=CAPTION)]

    def _conversations(self) -> Iterator[_Rows | tuple[str, Drop]]:
        made = self._made()
        if self.recipe.converse.task is Task.EVALUATION:
            yield from self._questions(made)
            return
        for _, said in self._best(made) if self.writer.judge else made:
            if isinstance(said, tuple):
                yield said
            else:
                yield [_row(said.pair_id, said.turns, generator=self.writer.generator.name, model=said.model)]

    def _made(self) -> Iterator[tuple[Pair, _Said]]:
        """Each pair with what the generator made of it, in order."""
        waiting: dict[str, Pair] = {}

        def asked() -> Iterator[Pair]:
            for row in read_rows([self.acquired], list(Pair.__dataclass_fields__)):
                pair = pair_of(row, mentions=self.recipe.converse.mentions)
                waiting[pair.pair_id] = pair
                yield pair

        for said in self.writer.generator.generate(asked()):
            if isinstance(said, tuple):
                yield waiting.pop(said[0]), said
            else:
                self.rules.update(said.rules)
                yield waiting.pop(said.pair_id), said

    def _best(self, made: Iterable[tuple[Pair, _Said]]) -> Iterator[tuple[Pair, _Said]]:
        held = list(made)
        talks = [(pair, said) for pair, said in held if isinstance(said, Conversation)]
        verdicts = self.writer.judge().verdicts(talks) if self.writer.judge else ()
        _, dropped = best(verdicts, self.writer.best or len(talks))
        for pair, said in held:
            drop = dropped.get(pair.pair_id)
            yield pair, (pair.pair_id, drop) if drop and isinstance(said, Conversation) else said

    def _questions(self, made: Iterable[tuple[Pair, _Said]]) -> Iterator[_Rows | tuple[str, Drop]]:
        for pair, said in made:
            if isinstance(said, tuple):
                yield said
                continue
            ask = pick(instructions("detailed"), f"description:{pair.pair_id}", self.seed)
            asked = [
                *((turn, "conversation") for turn in said.turns),
                ((ask, pair.caption), "detailed_description"),
            ]
            if self.writer.references is None:
                yield [self._own(pair, turn, kind, said.model) for turn, kind in asked]
            else:
                yield list(self._referenced(pair, asked))

    def _own(self, pair: Pair, turn: tuple[str, str], kind: str, model: str | None) -> dict[str, Any]:
        by = self.writer.generator.name if kind == "conversation" else CAPTION
        return _row(pair.pair_id, [turn], generator=by, model=model, question_type=kind)

    def _referenced(self, pair: Pair, asked: list[tuple[tuple[str, str], str]]) -> Iterator[dict[str, Any]]:
        """The questions with a reference's answers; a question that gets none is left out and listed."""
        references = self.writer.references
        jobs = ((pair, question) for (question, _), _ in asked)
        answers = references.answer(jobs) if references else ()
        for answer, (_, kind) in zip(answers, asked, strict=True):
            if isinstance(answer, Reference):
                turn = (answer.question, answer.answer)
                by = self.writer.generator.name
                yield _row(pair.pair_id, [turn], generator=by, model=answer.model, question_type=kind)
            else:
                self.dropped.append(Dropped.of(*answer))


def pair_of(row: Mapping[str, Any], *, mentions: bool) -> Pair:
    """What a generator sees of a row of pairs; without its mentions for caption-only sets."""
    return Pair(**{**row, "inline_mentions": tuple(row["inline_mentions"]) if mentions else ()})


def _row(
    pair_id: str,
    rounds: Iterable[tuple[str, str]],
    *,
    generator: str,
    model: str | None = None,
    question_type: str | None = None,
) -> dict[str, Any]:
    return {
        "pair_id": pair_id,
        "rounds": [{"question": question, "answer": answer} for question, answer in rounds],
        "question_type": question_type,
        "generator": generator,
        "model": model,
    }
