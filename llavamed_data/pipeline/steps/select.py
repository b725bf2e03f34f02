"""Pairs → selection: the candidates of a recipe in the order in which they are taken.

A candidate's rank is a keyed hash of its `pair_id`. It needs no shuffle, is the same on every machine, stays when
articles are added, and makes sets of the same ranking nest: the first 10K of a ranking are in its first 60K.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.parquet import read_batches, read_rows
from llavamed_data.pipeline.steps.extract import PAIRS
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.reasons import Dropped, Reason, Tally
from llavamed_data.recipes import Recipe

Exclusion = Callable[[str | None, str | None], Reason | None]
"""(pmcid, pmid) of an article → why nothing may be drawn from it, or None."""

RANKED = pa.schema(
    [PAIRS.field(name) for name in ("pair_id", "pmcid", "pmid", "image", "domain")]
    + [pa.field("rank_key", pa.string(), nullable=False), pa.field("row", pa.int64(), nullable=False)]
)
"""A candidate: its pair, the hash it is ranked by (32 hex digits), its row over all files of pairs."""

OVERDRAW = 1.5
"""Candidates kept, as a multiple of the recipe's size, so that unsound images can be replaced."""

ALL = ""
"""The one group of a recipe that does not go by domain."""

_KEY = np.dtype([("key", "S32"), ("row", "i8"), ("article", "u8")])
_Keys = npt.NDArray[np.void]


def rank_key(pair_id: str, ranking: str, seed: int) -> str:
    """The hash by which a pair is ranked: 32 hex digits, uniform, the same everywhere."""
    return blake2b(pair_id.encode(), digest_size=16, key=f"{ranking}:{seed}".encode()).hexdigest()


def select(
    recipe: Recipe,
    pairs: Sequence[Path],
    inputs: str,
    folder: Path,
    *,
    seed: int,
    excluded: Exclusion,
    excluded_digest: str,
    overdraw: float = OVERDRAW,
) -> Manifest:
    """Ranks the pairs that pass the recipe's text tests.

    Args:
        recipe: what is wanted.
        pairs: the files that `extract` left.
        inputs: fingerprint of the extraction.
        folder: the station's folder: `ranked.parquet` (schema `RANKED`, by domain and rank), `dropped.parquet`.
        seed: a different seed gives a different, equally good sample.
        excluded: which articles may not be drawn from.
        excluded_digest: fingerprint of what `excluded` knows.
        overdraw: candidates kept, as a multiple of the recipe's size.

    Returns:
        The manifest; its facts are `size` (figures wanted of this source) and `cut` (more candidates exist).
    """
    parts = ("select", recipe.name, repr(recipe.select), recipe.size, inputs, seed, excluded_digest, overdraw)
    station = Station(folder, fingerprint(*parts))
    return station.run(lambda partial: _Selection(recipe, pairs, seed, excluded, overdraw).run(partial))


class _Selection:
    """Two passes over the pairs: one finds the best keys of each group, the other writes their rows."""

    def __init__(
        self, recipe: Recipe, pairs: Sequence[Path], seed: int, excluded: Exclusion, overdraw: float
    ) -> None:
        self.recipe = recipe
        self.pairs = pairs
        self.seed = seed
        self.excluded = excluded
        groups = recipe.select.domains or (ALL,)
        bound = math.ceil(recipe.size * overdraw / len(groups))
        self.groups = {group: _Best(bound) for group in groups}
        self.eligible_articles: set[int] = set()
        self.tally = Tally()

    def run(self, partial: Path) -> Outcome:
        write_dropped(partial / "dropped.parquet", self._drops())
        kept = np.concatenate([best.sorted() for best in self.groups.values()])
        self.tally.keep(len(kept))
        self.tally.drop(Reason.NOT_NEEDED, sum(best.cut for best in self.groups.values()))
        with atomic_path(partial / "ranked.parquet") as aside:
            pq.write_table(self._ranked(kept), aside, compression="zstd")
        return Outcome({"figures": self.tally}, facts=self._facts())

    def _facts(self) -> dict[str, Any]:
        share = self.recipe.select.article_share
        articles = len(self.eligible_articles)
        size = min(self.recipe.size, max(1, articles // share)) if share else self.recipe.size
        return {"size": size, "cut": any(best.cut for best in self.groups.values())}

    def _drops(self) -> Iterator[Dropped]:
        columns = ["pair_id", "pmcid", "pmid", "inline_mentions", "image", "license", "single_plot", "domain"]
        for row, pair in enumerate(read_rows(self.pairs, columns)):
            reason = self._refused(pair)
            if reason is None:
                self._enter(pair, row)
            else:
                self.tally.drop(reason)
                yield Dropped(pair["pair_id"], reason.value, pair["pmcid"] or "")
        within = {row for best in self.groups.values() for row in best.repeated()}
        yield from self._fallen(within | _repeats(self.groups.values(), "key"), Reason.DUPLICATE_ID)
        if self.recipe.select.one_per_article:
            yield from self._fallen(_repeats(self.groups.values(), "article"), Reason.ONE_PER_ARTICLE)

    def _refused(self, pair: Mapping[str, Any]) -> Reason | None:
        wants = self.recipe.select
        tests = (
            (Reason.NO_IMAGE, not pair["image"]),
            (Reason.NO_LICENSE, not pair["license"]),
            (Reason.COMPOUND_CAPTION, wants.single_plot and not pair["single_plot"]),
            (Reason.NO_DOMAIN, bool(wants.domains) and pair["domain"] not in wants.domains),
            (Reason.NO_MENTION, wants.mentioned and not pair["inline_mentions"]),
        )
        failed = next((reason for reason, fails in tests if fails), None)
        return failed or self.excluded(pair["pmcid"], pair["pmid"])

    def _enter(self, pair: Mapping[str, Any], row: int) -> None:
        wants = self.recipe.select
        named = pair["pmcid"] or pair["pmid"] or pair["pair_id"]
        article = int.from_bytes(blake2b(named.encode(), digest_size=8).digest())
        if len(self.eligible_articles) < self.recipe.size * (wants.article_share or 0):
            self.eligible_articles.add(article)
        key = rank_key(pair["pair_id"], wants.ranking, self.seed)
        self.groups[pair["domain"] if wants.domains else ALL].add(key, row, article)

    def _fallen(self, rows: Iterable[int], reason: Reason) -> Iterator[Dropped]:
        wanted = set(rows)
        self.tally.drop(reason, len(wanted))
        if wanted:
            for row, pair in enumerate(read_rows(self.pairs, ["pair_id", "pmcid"])):
                if row in wanted:
                    yield Dropped(pair["pair_id"], reason.value, pair["pmcid"] or "")

    def _ranked(self, kept: _Keys) -> pa.Table:
        table = take_rows(self.pairs, kept["row"], RANKED.names[:5])
        keys = pa.array([key.decode() for key in kept["key"]], pa.string())
        return pa.table([*table.columns, keys, pa.array(kept["row"])], schema=RANKED)


def take_rows(
    pairs: Sequence[Path], rows: npt.NDArray[np.int64], columns: Sequence[str] | None = None
) -> pa.Table:
    """The numbered rows of many files as one table, in the order of `rows`; the files are read once, in batches."""
    order = np.argsort(rows, kind="stable")
    ascending = np.asarray(rows)[order]
    found: list[pa.RecordBatch] = []
    first = 0
    for batch in read_batches(pairs, columns):
        start, stop = np.searchsorted(ascending, [first, first + batch.num_rows])
        if stop > start:
            found.append(batch.take(pa.array(ascending[start:stop] - first)))
        first += batch.num_rows
    schema = PAIRS if columns is None else pa.schema([PAIRS.field(name) for name in columns])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return (
        pa.Table.from_batches(found, schema=schema if not found else None).cast(schema).take(pa.array(back))
    )


class _Best:
    """The `bound` smallest keys seen so far, in bounded memory."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.cut = 0
        self._repeated: list[int] = []
        self._held: _Keys = np.empty(0, dtype=_KEY)
        self._new: list[tuple[bytes, int, int]] = []

    def add(self, key: str, row: int, article: int) -> None:
        self._new.append((key.encode(), row, article))
        if len(self._new) > max(self.bound, 10_000):
            self._settle()

    def sorted(self) -> _Keys:
        self._settle()
        return self._held

    def repeated(self) -> list[int]:
        self._settle()
        return self._repeated

    def remove(self, rows: set[int]) -> None:
        self._held = self._held[[row not in rows for row in self._held["row"].tolist()]]

    def _settle(self) -> None:
        held = np.concatenate([self._held, np.array(self._new, dtype=_KEY)])
        held = np.sort(held, order=["key", "row"])
        again = np.zeros(len(held), dtype=bool)
        again[1:] = held["key"][1:] == held["key"][:-1]
        self._repeated += held[again]["row"].tolist()
        held = held[~again]
        self._new = []
        self.cut += max(0, len(held) - self.bound)
        self._held = held[: self.bound]


def _repeats(groups: Iterable[_Best], field: str) -> set[int]:
    """Takes out the entries that repeat an earlier rank's `field` in any group; returns their rows."""
    groups = list(groups)
    held = np.sort(np.concatenate([best.sorted() for best in groups]), order=["key", "row"])
    first = np.zeros(len(held), dtype=bool)
    first[np.unique(held[field], return_index=True)[1]] = True
    rows = set(held[~first]["row"].tolist())
    for best in groups:
        best.remove(rows)
    return rows
