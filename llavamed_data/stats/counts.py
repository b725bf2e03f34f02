"""Counts what datasets hold, in one pass over their text columns: image bytes are never read."""

import heapq
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import TYPE_CHECKING, Any, NamedTuple

import tiktoken
import xxhash

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.messages import rounds_of, turns_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm.tokens import load_encoding
from llavamed_data.recipes import DOMAINS
from llavamed_data.stats.verb_noun import VerbNoun, count_verb_nouns, first_sentence, load_parser

if TYPE_CHECKING:
    from spacy.language import Language

ENCODING = "cl100k_base"
"""The tokeniser of the counts of tokens."""

_COLUMNS = ("id", "images.list.element.path", "messages", "domain", "license", "pmcid")
_NO_DOMAIN = "no domain"
_PROGRESS_ROWS = 500
"""Rows between two reports of progress."""

_ESCAPED = re.compile(r"\\([\\`*_\[\]|~#])")
_CELL_END = re.compile(r"(?<!\\)\|")


class CardStep(NamedTuple):
    """What one step of the pipeline did, as a card states it: `extract (articles)`, 28, 25, `2 retracted, 1 no XML`."""

    step: str
    entered: int
    kept: int
    dropped: str


@dataclass(slots=True)
class TextCounts:
    """The instructions of a set, or its responses.

    Attributes:
        words, tokens: length → how many texts have it; `tokens` is empty where there is no tokeniser.
        sentences: first sentence → how many texts begin with it.
        verb_nouns: (root verb, direct noun) → how many texts; empty where they were not wanted.
    """

    words: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    verb_nouns: Counter[VerbNoun] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: the spreads of the lengths, and verbs with nouns by frequency."""
        pairs = [[*pair, count] for pair, count in self.verb_nouns.most_common() if all(pair)]
        return {"words": spread(self.words, 2), "tokens": spread(self.tokens, 2), "verb_noun": pairs}


@dataclass(slots=True)
class DatasetStats:
    """What a set holds.

    Attributes:
        name: of the set.
        rows: number of conversations.
        images: number of distinct images, told apart by article and file name.
        pairs: number of question–answer pairs.
        images_by_domain, pairs_by_domain: domain → count, the five domains first, in the paper's order.
        rounds: number of question–answer pairs → how many conversations have it.
        licenses: licence → rows.
        measured: number of conversations whose text was measured: all, or those of the sample.
        instructions, responses: what was measured of the texts of users and of assistants.
        steps: what the card states of the making of the set; empty where it states nothing.
        rules: cleaning rule → rounds that it touched, as the card states it.
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
    measured: int = 0
    instructions: TextCounts = field(default_factory=TextCounts)
    responses: TextCounts = field(default_factory=TextCounts)
    steps: Sequence[CardStep] = ()
    rules: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def sides(self) -> dict[str, TextCounts]:
        """The instructions and the responses by name."""
        return {"instructions": self.instructions, "responses": self.responses}

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: plain values."""
        return {
            "name": self.name,
            "rows": self.rows,
            "images": self.images,
            "pairs": self.pairs,
            "images_by_domain": self.images_by_domain,
            "pairs_by_domain": self.pairs_by_domain,
            "rounds": dict(sorted(self.rounds.items())),
            "licenses": dict(self.licenses.most_common()),
            "read": self.measured,
            **{name: side.to_dict() for name, side in self.sides.items()},
            "rules": dict(self.rules),
            "notes": self.notes,
        }


def statistics(
    datasets: Sequence[str],
    *,
    sample: int | None = None,
    seed: int = 0,
    verbs: bool = True,
    spacy_model: str | None = None,
    processes: int | None = None,
    on_progress: ProgressCallback | None = None,
) -> list[DatasetStats]:
    """Counts what one or two sets hold.

    Args:
        datasets: folders, or repositories on the Hub; two are compared.
        sample: number of conversations of each set on which lengths, verbs and nouns are measured; all by default.
        seed: chooses the sample.
        verbs: whether to parse for root verbs and direct nouns, which takes most of the time.
        spacy_model: name or path of the parser; the small English one by default.
        processes: number of processes that parse; one for each core by default.
        on_progress: is told how many rows are read and how many sentences parsed.

    Raises:
        UsageError: not one or two sets, or one of them is no dataset, or the model is unknown.
        LlavaMedError: a set cannot be read; spaCy is wanted and missing.
    """
    if len(datasets) not in (1, 2):
        raise UsageError("give one dataset, or two to compare")
    parser = load_parser(spacy_model) if verbs else None
    opened = [Dataset(name) for name in datasets]
    counted = [count(dataset, sample=sample, seed=seed, on_progress=on_progress) for dataset in opened]
    if parser is not None:
        for stats in counted:
            _parse(stats, parser, processes or os.cpu_count() or 1, on_progress)
    return counted


def count(
    dataset: Dataset, *, sample: int | None = None, seed: int = 0, on_progress: ProgressCallback | None = None
) -> DatasetStats:
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
    stats, tokeniser = DatasetStats(dataset.name), _tokeniser()
    if tokeniser is None:
        stats.notes.append(f"Tokens are not counted: the encoding {ENCODING} is not here.")
    images: dict[str, set[int]] = {}
    pairs: Counter[str] = Counter()
    chosen = _sample(dataset, sample, seed) if sample is not None and sample < len(dataset) else None
    for number, row in enumerate(dataset.rows(_COLUMNS)):
        domain = str(row.get("domain") or _NO_DOMAIN)
        for image in row.get("images") or ():
            name = (image or {}).get("path") or f"{row.get('id')} {number}"
            digest = xxhash.xxh3_64_intdigest(f"{row.get('pmcid')}/{name}".encode())
            images.setdefault(domain, set()).add(digest)
        rounds = len(rounds_of(row["messages"]))
        pairs[domain] += rounds
        stats.rounds[rounds] += 1
        stats.licenses[str(row.get("license") or "not stated")] += 1
        if chosen is None or number in chosen:
            stats.measured += 1
            for role, text in turns_of(row["messages"]):
                side = stats.instructions if role == "user" else stats.responses
                _measure(text, side, tokeniser)
        stats.rows += 1
        if on_progress and stats.rows % _PROGRESS_ROWS == 0:
            on_progress(f"read {dataset.name}", stats.rows, len(dataset))
    order = [*DOMAINS, *sorted(pairs.keys() - {*DOMAINS, _NO_DOMAIN}), _NO_DOMAIN]
    stats.pairs_by_domain = {domain: pairs[domain] for domain in order if domain in pairs}
    stats.images_by_domain = {domain: len(images.get(domain, ())) for domain in stats.pairs_by_domain}
    stats.images, stats.pairs = len(set[int]().union(*images.values())), pairs.total()
    card = dataset.folder / "README.md"
    if card.is_file():
        stats.steps, stats.rules = counts_of_card(card.read_text(encoding="utf-8", errors="replace"))
    return stats


def counts_of_card(text: str) -> tuple[list[CardStep], dict[str, int]]:
    """Reads back what a card states of the making of its set.

    Returns:
        The counts of each step of the pipeline, and cleaning rule → rounds that it touched; empty where the card has
        no such table.
    """
    steps = [
        CardStep(name, _number(entered), _number(kept), dropped)
        for first in ("step", "station")  # cards of earlier builds say station
        for name, entered, kept, dropped in _table_rows(text, (first, "in", "kept", "dropped"))
    ]
    rules = {rule: _number(count) for rule, count in _table_rows(text, ("cleaning rule", "rounds touched"))}
    return steps, rules


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


def spread(lengths: Mapping[int, int], digits: int) -> list[float]:
    """[least, median, mean rounded to so many digits, 99th percentile, most]; [] where there are no texts."""
    if not lengths:
        return []
    median, high = quantile(lengths, 0.5), quantile(lengths, 0.99)
    return [min(lengths), median, round(mean(lengths), digits), high, max(lengths)]


def _tokeniser() -> tiktoken.Encoding | None:
    try:
        return load_encoding(ENCODING)
    except LlavaMedError:
        return None


def _sample(dataset: Dataset, size: int, seed: int) -> set[int]:
    """Numbers of the rows with the `size` smallest hashes; a row without an id is hashed by its number."""
    ids = (str(row.get("id") or number) for number, row in enumerate(dataset.rows(["id"])))
    ranked = ((xxhash.xxh3_64_intdigest(name.encode(), seed=seed), number) for number, name in enumerate(ids))
    return {number for _, number in heapq.nsmallest(size, ranked)}


def _measure(text: str, side: TextCounts, tokeniser: tiktoken.Encoding | None) -> None:
    side.words[len(text.split())] += 1
    side.sentences[first_sentence(text)] += 1
    if tokeniser:
        side.tokens[len(tokeniser.encode_ordinary(text))] += 1


def _parse(
    stats: DatasetStats, parser: "Language", processes: int, on_progress: ProgressCallback | None
) -> None:
    """Counts the verbs and nouns of the sentences that were measured."""
    total = sum(len(side.sentences) for side in stats.sides.values())
    done = 0

    def report(parsed: int) -> None:
        nonlocal done
        done += parsed
        if on_progress:
            on_progress(f"parse {stats.name}", done, total)

    for side in stats.sides.values():
        side.verb_nouns = count_verb_nouns(side.sentences, parser, processes=processes, on_progress=report)


def _table_rows(card: str, heading: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of each line of the first Markdown table of a card that has this heading."""
    lines = iter(card.splitlines())
    for line in lines:
        if _cells(line) == list(heading):
            next(lines, None)
            for row in lines:
                cells = _cells(row)
                if len(cells) != len(heading):
                    return
                yield cells


def _cells(line: str) -> list[str]:
    if not (line.startswith("|") and line.rstrip().endswith("|")):
        return []
    parts = _CELL_END.split(line.strip())[1:-1]
    return [unescape(_ESCAPED.sub(r"\1", part.strip())) for part in parts]


def _number(cell: str) -> int:
    digits = cell.replace(",", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
