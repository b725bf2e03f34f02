"""What a dataset holds, counted in one pass over its text columns: image bytes are never read."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tiktoken
import xxhash

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.messages import rounds_of, turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError
from llavamed_data.llm.prices import encoding
from llavamed_data.recipes import DOMAINS
from llavamed_data.stats.card_counts import StationLine, counts_of_card
from llavamed_data.stats.phrases import Phrase, first_sentence

ENCODING = "cl100k_base"
"""The tokeniser of the counts of tokens."""

COLUMNS = ("id", "images.list.element.path", "messages", "domain", "license", "pmcid", "year")

NO_DOMAIN = "no domain"

_TOLD = 500
"""Rows after which progress is told."""


@dataclass(slots=True)
class Side:
    """The instructions of a set, or its responses.

    Attributes:
        words, tokens: length → how many are that long; `tokens` is empty where there is no tokeniser.
        sentences: first sentence → how many begin with it.
        phrases: (root verb, direct noun) → how many; empty where they were not wanted.
    """

    words: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    phrases: Counter[Phrase] = field(default_factory=Counter)


@dataclass(slots=True)
class Stats:
    """What a set holds.

    Attributes:
        name: of the set.
        rows: conversations.
        images: distinct images, told apart by article and file name.
        pairs: question–answer pairs.
        images_by_domain, pairs_by_domain: domain → count, the five domains first, in the paper's order.
        rounds: question–answer pairs of a conversation → how many have so many.
        licenses, years: value → rows; `years` is empty where the set does not state them.
        read: conversations whose text was measured: all, or those of the sample.
        instructions, responses: the texts of the two sides.
        stations, rules: what the card states of the making of the set; empty where it states nothing.
        notes: what could not be counted, and why.
    """

    name: str
    rows: int = 0
    images: int = 0
    pairs: int = 0
    images_by_domain: dict[str, int] = field(default_factory=dict)
    pairs_by_domain: dict[str, int] = field(default_factory=dict)
    rounds: Counter[int] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    years: Counter[int] = field(default_factory=Counter)
    read: int = 0
    instructions: Side = field(default_factory=Side)
    responses: Side = field(default_factory=Side)
    stations: Sequence[StationLine] = ()
    rules: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def sides(self) -> dict[str, Side]:
        """The two sides by name."""
        return {"instructions": self.instructions, "responses": self.responses}

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: plain values; lengths as [least, median, mean, 99th of 100, longest]."""
        return {
            "name": self.name,
            "rows": self.rows,
            "images": self.images,
            "pairs": self.pairs,
            "images_by_domain": self.images_by_domain,
            "pairs_by_domain": self.pairs_by_domain,
            "rounds": dict(sorted(self.rounds.items())),
            "licenses": dict(self.licenses.most_common()),
            "years": dict(sorted(self.years.items())),
            "read": self.read,
            **{name: _side(side) for name, side in self.sides.items()},
            "rules": dict(self.rules),
            "notes": self.notes,
        }


def count(
    dataset: Dataset, *, sample: int | None = None, seed: int = 0, on_progress: ProgressCallback | None = None
) -> Stats:
    """Counts everything but verbs and nouns.

    Args:
        dataset: the set.
        sample: measure the text of so many conversations only, those with the smallest hash of seed and id; all
            other counts stay those of the whole set.
        seed: chooses the sample.
        on_progress: is told how many rows are read.

    Raises:
        LlavaMedError: the set has no conversations, or a shard cannot be read.
    """
    if "messages" not in dataset.schema.names:
        raise LlavaMedError(f"{dataset.name} has no column messages: is it a dataset of this toolkit?")
    stats, pass_ = Stats(dataset.name), _Pass(_tokeniser())
    chosen = _sample(dataset, sample, seed) if sample is not None and sample < len(dataset) else None
    for row in dataset.rows(COLUMNS):
        pass_.row(stats, row, measured=chosen is None or stats.rows in chosen)
        if on_progress and stats.rows % _TOLD == 0:
            on_progress(f"read {dataset.name}", stats.rows, len(dataset))
    pass_.close(stats)
    card = dataset.folder / "README.md"
    if card.is_file():
        stats.stations, stats.rules = counts_of_card(card.read_text(encoding="utf-8", errors="replace"))
    return stats


class _Pass:
    """What is held while the rows go by."""

    def __init__(self, tokeniser: tiktoken.Encoding | None) -> None:
        self._tokeniser = tokeniser
        self._names: dict[str, set[int]] = {}
        self._pairs: Counter[str] = Counter()

    def row(self, stats: Stats, row: Row, *, measured: bool) -> None:
        domain = str(row.get("domain") or NO_DOMAIN)
        seen = self._names.setdefault(domain, set())
        for image in row.get("images") or ():
            name = (image or {}).get("path") or f"{row.get('id')} {stats.rows}"
            seen.add(xxhash.xxh3_64_intdigest(f"{row.get('pmcid')}/{name}".encode()))
        rounds = rounds_of(row["messages"])
        self._pairs[domain] += len(rounds)
        stats.rows += 1
        stats.rounds[len(rounds)] += 1
        stats.licenses[str(row.get("license") or "not stated")] += 1
        if isinstance(row.get("year"), int):
            stats.years[row["year"]] += 1
        if measured:
            stats.read += 1
            self._texts(stats, turns_of(row["messages"]))

    def _texts(self, stats: Stats, turns: Sequence[tuple[str, str]]) -> None:
        for role, text in turns:
            side = stats.instructions if role == "user" else stats.responses
            side.words[len(text.split())] += 1
            side.sentences[first_sentence(text)] += 1
            if self._tokeniser:
                side.tokens[len(self._tokeniser.encode_ordinary(text))] += 1

    def close(self, stats: Stats) -> None:
        order = [*DOMAINS, *sorted(set(self._names) - {*DOMAINS, NO_DOMAIN}), NO_DOMAIN]
        stats.images_by_domain = {name: len(self._names[name]) for name in order if name in self._names}
        stats.pairs_by_domain = {name: self._pairs[name] for name in order if name in self._names}
        stats.images = len(set[int]().union(*self._names.values()))
        stats.pairs = self._pairs.total()
        if self._tokeniser is None:
            stats.notes.append(f"Tokens are not counted: the encoding {ENCODING} is not here.")


def _tokeniser() -> tiktoken.Encoding | None:
    try:
        return encoding(ENCODING)
    except LlavaMedError:
        return None  # told in the notes: words are counted all the same


def _sample(dataset: Dataset, size: int, seed: int) -> set[int]:
    """Numbers of the rows with the `size` smallest hashes; rows without an id go by their number."""
    ids = (str(row.get("id") or number) for number, row in enumerate(dataset.rows(["id"])))
    ranked = ((xxhash.xxh3_64_intdigest(name.encode(), seed=seed), number) for number, name in enumerate(ids))
    return {number for _, number in heapq.nsmallest(size, ranked)}


def quantile(lengths: Mapping[int, int], share: float) -> int:
    """The least length that `share` of all texts do not exceed; 0 where there are none.

    >>> quantile({3: 2, 8: 1, 9: 1}, 0.5)
    3
    """
    left = share * sum(lengths.values())
    for length in sorted(lengths):
        left -= lengths[length]
        if left <= 0:
            return length
    return 0


def mean(lengths: Mapping[int, int]) -> float:
    """The mean length; 0 where there are no texts."""
    total = sum(lengths.values())
    return sum(length * count for length, count in lengths.items()) / total if total else 0.0


def _side(side: Side) -> dict[str, Any]:
    pairs = [[*phrase, count] for phrase, count in side.phrases.most_common() if all(phrase)]
    return {"words": _spread(side.words), "tokens": _spread(side.tokens), "verb_noun": pairs}


def _spread(lengths: Mapping[int, int]) -> list[float]:
    if not lengths:
        return []
    return [
        min(lengths),
        quantile(lengths, 0.5),
        round(mean(lengths), 2),
        quantile(lengths, 0.99),
        max(lengths),
    ]
