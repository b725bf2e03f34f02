"""Which rows of a dataset under review are gone through: by domain, state, flag and words, and some at random."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from llavamed_data.review.flags import Flag
from llavamed_data.review.row_index import UNDECIDED, RowIndex


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which rows are gone through.

    Attributes:
        domain: of the row; "" for any.
        state: one of `STATES`.
        flag: `source` or `source: verdict` of a flag that the row has; "" for any row.
        words: all of them stand in the texts of the row.
        sample: number of rows, drawn at random; 0 for all.
        seed: of the draw: the same seed gives the same rows in the same order, and a larger sample has them first.
        reviewer: who asks, of which the state `undecided by me` is.
    """

    domain: str = ""
    state: str = "all"
    flag: str = ""
    words: str = ""
    sample: int = 0
    seed: int = 0
    reviewer: str = ""

    def numbers(self, index: RowIndex, flags: Mapping[str, Sequence[Flag]]) -> Sequence[int]:
        """The numbers of the rows that are gone through, in their order.

        Args:
            index: the rows of the dataset.
            flags: id of a row → its flags.
        """
        numbers = index.rows_with_words(tuple(self.words.split()))
        if self.domain:
            of_domain = set(pc.indices_nonzero(pc.equal(index.domains, self.domain)).to_pylist())
            numbers = [each for each in numbers if each in of_domain]
        if self.state != "all":
            states, reviewer = index.states, self.reviewer.strip()
            numbers = [each for each in numbers if self.state in states.get(each, UNDECIDED).names(reviewer)]
        if self.flag:
            flagged = _flagged(index, flags, self.flag)
            numbers = [each for each in numbers if each in flagged]
        if self.sample:
            numbers = _drawn(index, numbers, self.sample, self.seed)
        return numbers


def flag_names(index: RowIndex, flags: Mapping[str, Sequence[Flag]]) -> list[str]:
    """`source` and `source: verdict` of the flags on rows, the most frequent first in each source."""
    counts: dict[str, Counter[str]] = {}
    for name in index.known(flags):
        for flag in flags[name]:
            counts.setdefault(flag.source, Counter())[flag.verdict] += 1
    return [
        each
        for source, verdicts in sorted(counts.items())
        for each in (source, *(f"{source}: {verdict}" for verdict, _ in verdicts.most_common() if verdict))
    ]


def _flagged(index: RowIndex, flags: Mapping[str, Sequence[Flag]], flag: str) -> set[int]:
    """The numbers of the rows that have a flag."""
    source, _, verdict = flag.partition(": ")
    names = [
        name
        for name, raised in flags.items()
        if any(each.source == source and (not verdict or each.verdict == verdict) for each in raised)
    ]
    hits = pc.indices_nonzero(pc.is_in(index.ids, value_set=pa.array(names, pa.string())))
    return set(hits.to_pylist())


def _drawn(index: RowIndex, numbers: Sequence[int], count: int, seed: int) -> list[int]:
    """The `count` rows whose id has the smallest keyed hash, in that order."""

    def rank(number: int) -> tuple[int, int]:
        name = index.ids[number].as_py() or ""
        return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"), seed=seed % 2**64), number

    return sorted(numbers, key=rank)[:count]
