"""Pairs with a sound image → what is said about them: rounds of question and answer.

Alignment sets take one instruction and the caption (equation 1). Instruct sets take the rounds of a generator
(section 3). The evaluation set takes its rounds as questions with reference answers, and adds one question a figure
from Table 7's list, answered by the caption (section 5.1).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from llavamed_data.instruct.conversation import Conversation, Generator, Pair
from llavamed_data.instruct.instructions import caption_instruction, instructions, pick
from llavamed_data.pipeline.files import read_rows, write_dropped, write_rows
from llavamed_data.pipeline.station import Manifest, Outcome, Station, fingerprint
from llavamed_data.pipeline.tally import Dropped, Tally
from llavamed_data.reasons import Drop
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


def converse(
    recipe: Recipe, acquired: Path, inputs: str, generator: Generator, folder: Path, *, seed: int
) -> Manifest:
    """Writes what is said about each acquired figure.

    Args:
        recipe: what is wanted.
        acquired: the file that `acquire` left.
        inputs: fingerprint of the acquisition.
        generator: who writes the conversations; not asked for alignment sets.
        folder: the station's folder: `conversations.parquet` (schema `CONVERSED`), `dropped.parquet`.
        seed: chooses instructions.
    """
    writer = (
        generator.name,
        generator.model,
        generator.prompt_sha256,
        generator.few_shots_sha256,
        generator.rules_version,
    )
    station = Station(
        folder, fingerprint("converse", recipe.name, repr(recipe.converse), inputs, writer, seed)
    )

    def work(partial: Path) -> Outcome:
        tally = Tally()
        dropped: list[Dropped] = []
        said = (
            _captions(acquired, seed)
            if recipe.converse.task is Task.CAPTION
            else _conversations(recipe, acquired, generator, seed)
        )
        write_rows(partial / "conversations.parquet", CONVERSED, _counted(said, tally, dropped))
        write_dropped(partial / "dropped.parquet", dropped)
        return Outcome({"figures": tally})

    return station.run(work)


def _counted(
    said: Iterable[list[dict[str, Any]] | tuple[str, Drop]], tally: Tally, dropped: list[Dropped]
) -> Iterator[dict[str, Any]]:
    for rows in said:
        if isinstance(rows, tuple):
            pair_id, drop = rows
            tally.drop(drop.reason)
            dropped.append(Dropped.of(pair_id, drop))
        else:
            tally.keep()
            yield from rows


def _captions(acquired: Path, seed: int) -> Iterator[list[dict[str, Any]]]:
    for pair in read_rows([acquired], ["pair_id", "caption"]):
        question = caption_instruction(pair["pair_id"], pair["caption"], seed)
        yield [_row(pair["pair_id"], [(question, pair["caption"])], generator=CAPTION)]


def _conversations(
    recipe: Recipe, acquired: Path, generator: Generator, seed: int
) -> Iterator[list[dict[str, Any]] | tuple[str, Drop]]:
    pairs = {}

    def asked() -> Iterator[Pair]:
        for row in read_rows([acquired], ["pair_id", "figure_label", "caption", "inline_mentions", "domain"]):
            pairs[row["pair_id"]] = row
            yield _pair(row, mentions=recipe.converse.mentions)

    for said in generator.generate(asked()):
        pair = pairs.pop(said[0] if isinstance(said, tuple) else said.pair_id)
        if isinstance(said, tuple):
            yield said
        elif recipe.converse.task is Task.EVALUATION:
            yield list(_questions(said, pair, generator.name, seed))
        else:
            yield [_row(said.pair_id, said.turns, generator=generator.name, model=said.model)]


def _questions(
    said: Conversation, pair: Mapping[str, Any], generator: str, seed: int
) -> Iterator[dict[str, Any]]:
    for turn in said.turns:
        yield _row(said.pair_id, [turn], generator=generator, model=said.model, question_type="conversation")
    ask = pick(instructions("detailed"), f"description:{said.pair_id}", seed)
    yield _row(
        said.pair_id, [(ask, pair["caption"])], generator=CAPTION, question_type="detailed_description"
    )


def _pair(row: Mapping[str, Any], *, mentions: bool) -> Pair:
    return Pair(
        pair_id=row["pair_id"],
        figure_label=row["figure_label"],
        caption=row["caption"],
        inline_mentions=tuple(row["inline_mentions"]) if mentions else (),
        domain=row["domain"],
    )


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
