"""The conversations of the released training and evaluation files, checked and in the project's own terms."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.fields import (
    first_flagged,
    malformed,
    mentions_of,
    optional_text,
    plain_name,
    pmid_of,
    record_fields,
    record_label,
    text_of,
)
from llavamed_data.sources.released.files import Identity, identity_of
from llavamed_data.sources.released.json_stream import read_records

_MARKER = "<image>"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_QUESTION_TYPES = ("conversation", "detailed_description")


@dataclass(frozen=True, slots=True)
class ReleasedRow:
    """One conversation about one figure.

    Attributes:
        id: unique in its file. A question of the evaluation set is `<pair_id>-q<question_id>`; any other row
            keeps its own id, to which a digest of its text is added if an earlier row has the same id.
        pair_id: `<PMID>_<graphic or figure id>`.
        image: file name, `<pair_id>.jpg`; a plain name, never a path.
        turns: (role, text), from `user` to a last `assistant` in turn; without the `<image>` marker.
        domain: the first flagged of `DOMAINS`.
        caption: empty if the file holds none.
        inline_mentions: sentences, empty if the file holds none.
        figure_label: `Fig. 3`, empty if the file holds none.
        pmid: digits that the pair's id begins with.
        question_id: of the evaluation set.
        question_type: of the evaluation set: `conversation` or `detailed_description`.
    """

    id: str
    pair_id: str
    image: str
    turns: tuple[tuple[str, str], ...]
    domain: str | None
    caption: str
    inline_mentions: tuple[str, ...]
    figure_label: str
    pmid: str | None
    question_id: int | None
    question_type: str | None


class RowFile:
    """The rows of one released file in order, or for a bad row its name and the drop; identified in the same pass.

    Args:
        path: a local path, `https://…` or `hf://datasets/ORG/NAME/…`.

    Attributes:
        identity: which released file it is; None until an iteration has reached the end.

    Raises (while iterated):
        UsageError: no such file.
        LlavaMedError: it cannot be read, breaks off, or is not what it should be.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.identity: Identity | None = None

    def __iter__(self) -> Iterator[ReleasedRow | tuple[str, Drop]]:
        """Reads the file from its start."""
        seen: dict[int, int] = {}
        with open_content(self.path) as content:
            for position, record in enumerate(read_records(content), start=1):
                try:
                    yield _with_new_id(_row(record_fields(record)), seen)
                except Drop as drop:
                    yield record_label(record, position, "id", "pair_id"), drop
            self.identity = identity_of(content)


def _row(fields: dict[str, Any]) -> ReleasedRow:
    if "question_id" in fields:
        return _evaluation_row(fields)
    turns = fields.get("conversations", fields.get("conversatons"))
    if turns is None:
        raise malformed("neither a conversation nor a question")
    image = plain_name(fields.get("image"), "image")
    return ReleasedRow(
        id=plain_name(fields.get("id"), "id"),
        pair_id=_stem(image),
        turns=_turns(turns),
        question_id=None,
        question_type=None,
        **_figure(fields, image),
    )


def _evaluation_row(fields: dict[str, Any]) -> ReleasedRow:
    number, kind = fields["question_id"], fields.get("type")
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise malformed("question_id is not a whole number")
    if kind not in _QUESTION_TYPES:
        raise malformed(f"type is none of {', '.join(_QUESTION_TYPES)}")
    image = plain_name(fields.get("image"), "image")
    pair_id = plain_name(fields.get("pair_id"), "pair_id")
    if _stem(image) != pair_id:
        raise malformed(f"image {image} is not of pair {pair_id}")
    question = {"from": "human", "value": fields.get("text")}
    answer = {"from": "gpt", "value": fields.get("gpt4_answer")}
    return ReleasedRow(
        id=f"{pair_id}-q{number}",
        pair_id=pair_id,
        turns=_turns([question, answer]),
        question_id=number,
        question_type=kind,
        **_figure(fields, image),
    )


def _figure(fields: dict[str, Any], image: str) -> dict[str, Any]:
    return {
        "image": image,
        "domain": first_flagged(fields.get("domain")),
        "caption": optional_text(fields.get("fig_caption"), "fig_caption"),
        "inline_mentions": mentions_of(fields.get("in_text_mention")),
        "figure_label": optional_text(fields.get("fig_label"), "fig_label"),
        "pmid": pmid_of(image),
    }


def _stem(image: str) -> str:
    name = PurePosixPath(image)
    return name.stem if name.suffix.lower() in (".jpg", ".jpeg", ".png", ".gif") else image


def _turns(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise malformed("the conversation is empty" if value == [] else "the conversation is not a list")
    turns = [_turn(turn, number) for number, turn in enumerate(value, start=1)]
    if [role for role, _ in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise malformed("roles do not alternate from human to gpt")
    markers = sum(text.count(_MARKER) for _, text in turns)
    if markers != 1 or _MARKER not in turns[0][1]:
        raise malformed(f"{markers} times <image>, or not in the first turn: it belongs there once")
    turns[0] = "user", _without_marker(turns[0][1])
    if empty := next((number for number, (_, text) in enumerate(turns, start=1) if not text.strip()), None):
        raise malformed(f"turn {empty} is empty")
    return tuple(turns)


def _turn(turn: Any, number: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise malformed(f"turn {number} is a {type(turn).__name__}")
    role = turn.get("from")
    if not isinstance(role, str) or role not in _ROLES:
        raise malformed(f"turn {number} is from neither human nor gpt")
    return _ROLES[role], text_of(turn.get("value"), f"turn {number}")


def _without_marker(text: str) -> str:
    before, _, after = text.partition(_MARKER)
    between = "\n" if before.endswith("\n") or after.startswith("\n") else " "
    return between.join(part for part in (before.strip(), after.strip()) if part)


def _with_new_id(row: ReleasedRow, seen: dict[int, int]) -> ReleasedRow:
    """The row with an id that no row before it has; raises Drop if an earlier row has the same text or number.

    Args:
        row: with its own id.
        seen: digest of each id so far → digest of its row's text; some hundred bytes a row.
    """
    text, key = _digest(row.image, *(text for _, text in row.turns)), _digest(row.id)
    if key not in seen:
        seen[key] = text
        return row
    if seen[key] == text or row.question_id is not None:
        raise Drop(Reason.DUPLICATE_ID, row.id)
    return _with_new_id(replace(row, id=f"{row.id}-{text:016x}"), seen)


def _digest(*texts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(texts).encode(), digest_size=8).digest(), "big")
