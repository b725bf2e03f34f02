"""Selection → images: walks each domain in rank order until enough figures have a usable image.

Section 3 of the paper: single-plot figures of five domains. Each figure whose image is rejected is replaced by the next
in rank of its domain; the domains take turns until the recipe's size is reached (the turns are the released code's).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.engine import Engine
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.dropped import write_dropped
from llavamed_data.pipeline.steps.extract import PAIRS
from llavamed_data.pipeline.steps.image_store import TRANSIENT, ImageStore
from llavamed_data.pipeline.steps.select import ALL, Numbers, Selected
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint
from llavamed_data.reasons import Dropped, Reason, Tally
from llavamed_data.recipes import Recipe

ACQUIRED = pa.schema(
    [
        *PAIRS,
        pa.field("image_digest", pa.string()),
        pa.field("image_bytes", pa.int64(), nullable=False),
    ]
)
"""A pair whose image is in the image store."""

LEAST_RATE = 0.2
"""Share of usable images assumed at the least when the number of images to fetch next is chosen."""

AHEAD = 1.5
"""Candidates looked up at a time, as a multiple of the figures that are missing: one pass over the pairs finds them."""


@dataclass(frozen=True)
class Acquired(StepOutput):
    """The figures of a recipe with their images, in the order of the dataset.

    Attributes:
        store: where the images are.
    """

    store: ImageStore

    @property
    def file(self) -> Path:
        """The Parquet file of figures (schema `ACQUIRED`)."""
        return self.folder / "acquired.parquet"


def acquire(
    recipe: Recipe, selected: Selected, store: ImageStore, folder: Path, *, engine: Engine
) -> Acquired:
    """Fetches and checks images in rank order until the selection's size is reached.

    Args:
        recipe: what is wanted.
        selected: the ranked candidates.
        store: where images are fetched to.
        folder: the step's folder.
        engine: what runs the tasks.

    Raises:
        LlavaMedError: the work cannot be done; fetched images are kept.
    """
    step = Step(folder, fingerprint("acquire", recipe.name, selected.digest(), store.folder.name))

    def work(unfinished: Path) -> StepResult:
        tally, dropped = Tally(), list[Dropped]()
        candidates = selected.candidates()
        domains = [_Domain(candidates.get(name, _NONE)) for name in recipe.select.domains or (ALL,)]
        while wanted := _next(domains, selected):
            checks = store.check((image for _, _, image in wanted), engine)
            for domain, (pair_id, row), image in wanted:
                check = checks[image]
                reason, detail = check.reason, check.detail
                if reason is None and recipe.select.single_plot and check.panels > 1:
                    reason, detail = Reason.COMPOUND_IMAGE.value, f"{check.panels} panels"
                if reason is None:
                    domain.usable.append((row, str(check.digest), check.bytes))
                else:
                    tally.drop(Reason(reason))
                    dropped.append(Dropped(pair_id, reason, detail))
        chosen = list(itertools.islice(_in_turns([domain.usable for domain in domains]), selected.size))
        tally.keep(len(chosen))
        tally.drop(
            Reason.NOT_NEEDED, sum(len(domain.usable) + domain.left for domain in domains) - len(chosen)
        )
        _write(unfinished / "acquired.parquet", selected, chosen)
        write_dropped(unfinished / "dropped.parquet", dropped)
        unreachable = any(tally.dropped.get(reason.value) for reason in TRANSIENT)
        return StepResult({"figures": tally}, final=not unreachable)

    return Acquired(folder, step.run(work), store)


_NONE: Numbers = np.empty(0, np.int64)

_Usable = tuple[int, str, int]
"""A figure with a usable image: its number over all pairs, the digest and the size of its image."""


@dataclass(slots=True)
class _Domain:
    """The walk through the candidates of one domain.

    Attributes:
        rows: their numbers over all pairs, in rank order.
        seen: how many of them have been checked.
        usable: those that have a usable image, in rank order.
        ahead: `pair_id`, `row` and `image` of the candidates that come next, as far as they have been looked up.
    """

    rows: Numbers
    seen: int = 0
    usable: list[_Usable] = field(default_factory=list)
    ahead: pa.Table = field(default_factory=lambda: pa.table({"pair_id": [], "row": [], "image": []}))

    @property
    def left(self) -> int:
        """How many candidates have not been checked."""
        return len(self.rows) - self.seen

    def needed(self, missing: int) -> int:
        """How many candidates probably hold `missing` usable ones, at the rate seen so far."""
        rate = max(len(self.usable) / self.seen, LEAST_RATE) if self.seen else 1.0
        return min(math.ceil(missing / rate), self.left)


def _next(domains: Sequence[_Domain], selected: Selected) -> list[tuple[_Domain, tuple[str, int], str]]:
    """The candidates to check next: as many as probably complete the figures wanted of each domain.

    Returns:
        For each candidate its domain, its `pair_id` and number, and the locator of its image; nothing if there are
        enough usable figures, or no more candidates.
    """
    quotas = quotas_of(selected.size, [len(domain.usable) + domain.left for domain in domains])
    missing = [max(0, quota - len(domain.usable)) for quota, domain in zip(quotas, domains, strict=True)]
    needed = [domain.needed(count) for domain, count in zip(domains, missing, strict=True)]
    if any(domain.ahead.num_rows < count for domain, count in zip(domains, needed, strict=True)):
        _look_ahead(
            domains,
            [max(count, math.ceil(AHEAD * few)) for count, few in zip(needed, missing, strict=True)],
            selected,
        )
    wanted: list[tuple[_Domain, tuple[str, int], str]] = []
    for domain, count in zip(domains, needed, strict=True):
        batch, domain.ahead = domain.ahead.slice(0, count), domain.ahead.slice(count)
        domain.seen += count
        pairs = zip(batch["pair_id"].to_pylist(), batch["row"].to_pylist(), strict=True)
        wanted += zip(itertools.repeat(domain), pairs, batch["image"].to_pylist())
    return wanted


def _look_ahead(domains: Sequence[_Domain], counts: Sequence[int], selected: Selected) -> None:
    """Looks up the next candidates of all domains in one pass over the pairs."""
    rows = [
        domain.rows[domain.seen : domain.seen + count] for domain, count in zip(domains, counts, strict=True)
    ]
    numbers = np.concatenate(rows)
    found = selected.extracted.take(numbers, ["pair_id", "image"]).append_column("row", pa.array(numbers))
    start = 0
    for domain, part in zip(domains, rows, strict=True):
        domain.ahead = found.slice(start, len(part))
        start += len(part)


def quotas_of(size: int, capacities: Sequence[int]) -> list[int]:
    """How many each domain gives when `size` are taken in turns and a domain that has no more is passed over.

    >>> quotas_of(10, [2, 8, 8])
    [2, 4, 4]
    """
    quotas = [0] * len(capacities)
    left = min(size, sum(capacities))
    while left:
        open_domains = [i for i, capacity in enumerate(capacities) if quotas[i] < capacity]
        step = max(1, min(left // len(open_domains), min(capacities[i] - quotas[i] for i in open_domains)))
        for i in open_domains[:left]:
            quotas[i] += step
            left -= step
    return quotas


def _in_turns(domains: Sequence[Sequence[_Usable]]) -> Iterator[_Usable]:
    """One figure of each domain after the other, until all are taken."""
    for turn in itertools.zip_longest(*domains):
        yield from (figure for figure in turn if figure is not None)


def _write(path: Path, selected: Selected, chosen: Sequence[_Usable]) -> None:
    """Writes the chosen figures with all columns of their pairs."""
    pairs = selected.extracted.take(np.array([row for row, _, _ in chosen], np.int64))
    digests = pa.array([digest for _, digest, _ in chosen], pa.string())
    sizes = pa.array([size for _, _, size in chosen], pa.int64())
    with atomic_path(path) as temporary:
        pq.write_table(
            pa.table([*pairs.columns, digests, sizes], schema=ACQUIRED), temporary, compression="zstd"
        )
