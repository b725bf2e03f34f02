"""Pairs → selection: the candidates of a recipe in the order in which they are taken.

Section 3 of the paper: single-plot figures of five domains, for 60K-IM those that a sentence of the article mentions.
A candidate's rank is a keyed hash of its `pair_id`. It needs no shuffle, is the same on every machine, stays when
articles are added, and makes sets of the same ranking nest: the first 10K of a ranking are in its first 60K. All
candidates are ranked, so that any number of them may turn out to have no usable image.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import read_batches
from llavamed_data.pipeline.steps.extract import PAIRS, Extracted
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint, run_together
from llavamed_data.reasons import Reason, Tally
from llavamed_data.recipes import DOMAINS, Recipe

ALL = ""
"""The one group of a recipe that does not draw by domain."""

RANKED = pa.schema(
    [pa.field("group", pa.dictionary(pa.int8(), pa.string())), pa.field("row", pa.int64(), nullable=False)]
)
"""One row a candidate, by group and rank: its domain, or `ALL`, and its number over all files of pairs."""

_COLUMNS = ("pair_id", "pmcid", "pmid", "inline_mentions", "image", "license", "single_plot", "domain")
_BATCH_ROWS = 50_000

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ExcludedArticles:
    """Articles that a training set must not draw from.

    Attributes:
        eval_articles: PMCIDs and PMIDs of the articles of the evaluation set that is built from the same source.
        released_pmids: PMIDs of the articles of the released evaluation set.
    """

    eval_articles: AbstractSet[str] = frozenset()
    released_pmids: AbstractSet[str] = frozenset()


@dataclass(frozen=True)
class Selected(StepOutput):
    """The ranked candidates of a recipe.

    Attributes:
        extracted: the pairs that the candidates are among.
    """

    extracted: Extracted

    @property
    def size(self) -> int:
        """How many figures are wanted from this source."""
        return int(self.facts["size"])

    def candidates(self) -> dict[str, Numbers]:
        """Domain, or `ALL` → the numbers of its candidates over all files of pairs, in rank order."""
        table = pq.read_table(self.folder / "ranked.parquet")
        groups, rows = table["group"].combine_chunks(), table["row"].to_numpy()
        codes = groups.indices.to_numpy()
        return {name: rows[codes == code] for code, name in enumerate(groups.dictionary.to_pylist())}


def rank_hash(ranking: str, seed: int) -> Callable[[bytes], bytes]:
    """The function that ranks candidates: `pair_id` as UTF-8 → 16 bytes, uniform, the same everywhere."""
    keyed = blake2b(digest_size=16, key=f"{ranking}:{seed}".encode())

    def rank(pair_id: bytes) -> bytes:
        copy = keyed.copy()
        copy.update(pair_id)
        return copy.digest()

    return rank


def select(
    recipes: Mapping[Path, Recipe], extracted: Extracted, *, seed: int, excluded: ExcludedArticles | None
) -> dict[str, Selected]:
    """Ranks the pairs that pass the text tests of each recipe, in one pass over the pairs for all recipes.

    Args:
        recipes: folder of the step → recipe. The step leaves `ranked.parquet` (schema `RANKED`) and `dropped.parquet`.
        extracted: the pairs.
        seed: a different seed gives a different, equally good sample.
        excluded: articles that must not be drawn from; None if every article may be.

    Returns:
        The candidates of each recipe, by its name.
    """
    exclusion = [sorted(excluded.eval_articles), sorted(excluded.released_pmids)] if excluded else None
    inputs = [extracted.digest(), seed, exclusion]
    steps = {
        recipe.name: Step(
            folder, fingerprint("select", recipe.name, repr(recipe.select), recipe.size, *inputs)
        )
        for folder, recipe in recipes.items()
    }

    def work(folders: Mapping[str, Path]) -> Mapping[str, StepResult]:
        with ExitStack() as files:
            tests = [
                _TextTests(recipe, excluded, folders[recipe.name], files)
                for recipe in recipes.values()
                if recipe.name in folders
            ]
            by_ranking: dict[str, list[_TextTests]] = {}
            for test in tests:
                by_ranking.setdefault(test.recipe.select.ranking, []).append(test)
            rankings = [_Ranking(name, seed, members) for name, members in by_ranking.items()]
            first = 0
            for batch in _batches(extracted):
                for ranking in rankings:
                    ranking.enter(batch, first)
                first += batch.num_rows
            return {name: result for ranking in rankings for name, result in ranking.results(extracted)}

    manifests = run_together(steps, work)
    return {name: Selected(steps[name].folder, manifest, extracted) for name, manifest in manifests.items()}


def _batches(extracted: Extracted) -> Iterator[pa.RecordBatch]:
    """The columns of the pairs that the tests read; at least one batch, which may be empty."""
    yield pa.RecordBatch.from_pylist([], schema=pa.schema([PAIRS.field(name) for name in _COLUMNS]))
    yield from read_batches(extracted.pair_files, _COLUMNS, rows=_BATCH_ROWS)


class _TextTests:
    """The tests of one recipe on the text of pairs; writes down those that fail and why."""

    def __init__(
        self, recipe: Recipe, excluded: ExcludedArticles | None, folder: Path, files: ExitStack
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.tally = Tally()
        self._excluded = excluded
        dropped = files.enter_context(atomic_path(folder / "dropped.parquet"))
        self._dropped = files.enter_context(pq.ParquetWriter(dropped, DROPPED, compression="zstd"))

    def passed(self, pairs: pa.RecordBatch) -> Mask:
        """Which of the pairs pass all tests; each of the others is dropped with the first test that it fails."""
        wants = self.recipe.select
        failed = {
            Reason.NO_IMAGE: _is_empty(pairs["image"]),
            Reason.NO_LICENSE: _is_empty(pairs["license"]),
        }
        if wants.single_plot:
            failed[Reason.COMPOUND_CAPTION] = pc.invert(pairs["single_plot"])
        if wants.domains:
            failed[Reason.NO_DOMAIN] = pc.invert(_is_one_of(pairs["domain"], wants.domains))
        if wants.mentioned:
            failed[Reason.NO_MENTION] = pc.equal(pc.list_value_length(pairs["inline_mentions"]), 0)
        if self._excluded is not None:
            names = self._excluded.eval_articles
            failed[Reason.EVAL_ARTICLE] = pc.or_(
                _is_one_of(pairs["pmcid"], names), _is_one_of(pairs["pmid"], names)
            )
            failed[Reason.RELEASED_EVAL_ARTICLE] = _is_one_of(pairs["pmid"], self._excluded.released_pmids)
        left = np.ones(pairs.num_rows, dtype=bool)
        for reason, fails in failed.items():
            hits = left & fails.to_numpy(zero_copy_only=False)
            self.drop(reason, pairs["pair_id"].filter(pa.array(hits)), pairs["pmcid"].filter(pa.array(hits)))
            left &= ~hits
        return left

    def drop(self, reason: Reason, pair_ids: pa.Array, pmcids: pa.Array) -> None:
        """Counts pairs that are dropped for `reason` and writes them down."""
        self.tally.drop(reason, len(pair_ids))
        if len(pair_ids):
            reasons = pa.array([reason.value]).take(pa.array(np.zeros(len(pair_ids), np.int8)))
            self._dropped.write_table(pa.table([pair_ids, reasons, pmcids.fill_null("")], schema=DROPPED))


def _is_empty(column: pa.Array) -> pa.Array:
    return pc.fill_null(pc.equal(column, ""), True)


def _is_one_of(column: pa.Array, values: Collection[str]) -> pa.Array:
    return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))


class _Ranking:
    """The candidates of all recipes that share a ranking, in columns of numbers: some 30 bytes a candidate."""

    def __init__(self, name: str, seed: int, tests: Sequence[_TextTests]) -> None:
        self._hash = rank_hash(name, seed)
        self._tests = tests
        self._by_article = any(
            test.recipe.select.one_per_article or test.recipe.select.article_share for test in tests
        )
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}

    def enter(self, pairs: pa.RecordBatch, first: int) -> None:
        """Adds the pairs that any recipe takes; `first` is the number of the first one over all files of pairs."""
        passed = [test.passed(pairs) for test in self._tests]
        places = np.flatnonzero(np.logical_or.reduce(passed))
        taken = pairs.select(["pair_id", "pmcid", "pmid", "domain"]).take(pa.array(places))
        hashes = _hashes(self._hash, taken["pair_id"], 2)
        columns = {
            "high": hashes[:, 0],
            "low": hashes[:, 1],
            "row": (places + first).astype(np.uint32),
            "group": pc.fill_null(pc.index_in(taken["domain"], value_set=_GROUPS), 0)
            .to_numpy()
            .astype(np.uint8),
            "recipes": sum(mask[places].astype(np.uint8) << bit for bit, mask in enumerate(passed)),
        }
        if self._by_article:
            articles = pc.coalesce(taken["pmcid"], taken["pmid"], taken["pair_id"])
            columns["article"] = _hashes(_article_hash, articles, 1)[:, 0]
        for name, column in columns.items():
            self._parts.setdefault(name, []).append(column)

    def results(self, extracted: Extracted) -> Iterator[tuple[str, StepResult]]:
        """Writes what each recipe takes by group and rank, and yields the name of the recipe and its result."""
        columns = {name: _joined(parts) for name, parts in self._parts.items()}
        order = np.lexsort((columns["low"], columns["high"]))  # equal hashes stay in the order of their rows
        for bit, test in enumerate(self._tests):
            mine = order[(columns["recipes"][order] >> bit & 1).astype(bool)]
            yield test.recipe.name, _rank(test, columns, mine, extracted)


_GROUPS = pa.array([ALL, *DOMAINS])


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The parts as one array; their memory is given back."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined


def _hashes(function: Callable[[bytes], bytes], texts: pa.Array, numbers: int) -> Hashes:
    """The hash of each text as so many 64-bit numbers."""
    digests = b"".join(map(function, texts.cast(pa.binary()).to_pylist()))
    return np.frombuffer(digests, ">u8").reshape(-1, numbers).astype(np.uint64)


def _article_hash(name: bytes) -> bytes:
    return blake2b(name, digest_size=8).digest()


def _rank(
    test: _TextTests, columns: Mapping[str, npt.NDArray[Any]], order: Numbers, extracted: Extracted
) -> StepResult:
    """Writes the candidates of one recipe by group and rank.

    Args:
        test: the recipe's tests.
        columns: of the candidates of its ranking.
        order: places in the columns of the recipe's own candidates, in rank order.
        extracted: the pairs.
    """
    wants, size = test.recipe.select, test.recipe.size
    if wants.article_share:
        articles = len(np.unique(columns["article"][order]))
        size = min(size, max(1, articles // wants.article_share))
    repeats = np.zeros(len(order), bool)
    repeats[1:] = np.logical_and.reduce([np.diff(columns[half][order]) == 0 for half in ("high", "low")])
    order = _drop(test, Reason.DUPLICATE_ID, columns["row"], order, repeats, extracted)
    if wants.one_per_article:
        later = np.ones(len(order), bool)
        later[np.unique(columns["article"][order], return_index=True)[1]] = False
        order = _drop(test, Reason.ONE_PER_ARTICLE, columns["row"], order, later, extracted)
    test.tally.keep(len(order))
    groups = columns["group"][order] if wants.domains else np.zeros(len(order), np.uint8)
    by_group = np.argsort(groups, kind="stable")
    group = pa.DictionaryArray.from_arrays(pa.array(groups[by_group].astype(np.int8)), _GROUPS)
    rows = pa.array(columns["row"][order[by_group]].astype(np.int64))
    with atomic_path(test.folder / "ranked.parquet") as temporary:
        pq.write_table(pa.table([group, rows], schema=RANKED), temporary, compression="zstd")
    return StepResult({"figures": test.tally}, {"size": size})


def _drop(
    test: _TextTests,
    reason: Reason,
    rows: npt.NDArray[Any],
    order: Numbers,
    dropped: Mask,
    extracted: Extracted,
) -> Numbers:
    """Drops the marked candidates and returns the places of the others."""
    if dropped.any():
        pairs = extracted.take(
            np.sort(rows[order[dropped]]).astype(np.int64), ["pair_id", "pmcid"]
        ).combine_chunks()
        test.drop(reason, *(column.combine_chunks() for column in pairs.columns))
    return order[~dropped]
