"""Selection → images: walks each domain in rank order until enough figures are sound.

Each rejected figure is replaced by the next in rank of its domain; the domains are taken round-robin until the
recipe's size is reached (section 3; the round-robin is the released code's).
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.engine.local import Engine
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.parquet import read_rows
from llavamed_data.pipeline.steps.extract import PAIRS
from llavamed_data.pipeline.steps.image_store import TRANSIENT, Images, Shelf, Verdict
from llavamed_data.pipeline.steps.select import ALL, take_rows
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.reasons import Dropped, Reason, Tally
from llavamed_data.recipes import Recipe

IMAGE_FIELDS = (
    pa.field("image_digest", pa.string()),
    pa.field("image_bytes", pa.int64(), nullable=False),
)
ACQUIRED = pa.schema([*PAIRS, *IMAGE_FIELDS])
"""A pair whose image lies on the shelf, whole."""

WORST_RATE = 0.2
"""Share of sound images assumed at the least when the next wave is sized."""


@dataclass(slots=True)
class _Group:
    """The candidates of one domain: those looked at, and those still to come."""

    candidates: Sequence[Mapping[str, object]]
    seen: int = 0
    sound: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.candidates) - self.seen

    def next(self, needed: int) -> Sequence[Mapping[str, object]]:
        """As many candidates as should hold `needed` sound ones, at the rate seen so far."""
        rate = max(len(self.sound) / self.seen, WORST_RATE) if self.seen else 1.0
        stop = min(self.seen + math.ceil(needed / rate), len(self.candidates))
        part, self.seen = self.candidates[self.seen : stop], stop
        return part


def acquire(
    recipe: Recipe,
    ranked: Path,
    pairs: Sequence[Path],
    inputs: str,
    images: Images,
    shelf: Shelf,
    folder: Path,
    *,
    size: int,
    engine: Engine | None = None,
) -> Manifest:
    """Fetches and tests images in rank order until `size` figures are sound.

    Args:
        recipe: what is wanted.
        ranked: the file that `select` left.
        pairs: the files that `extract` left.
        inputs: fingerprint of the selection and of the images.
        images: where the bytes come from.
        shelf: where they are kept.
        folder: the station's folder: `acquired.parquet` (schema `ACQUIRED`, in the order of the dataset).
        size: figures wanted.
        engine: what runs the work; all cores by default.
    """
    station = Station(folder, fingerprint("acquire", recipe.name, inputs, size))
    walk = _Walk(recipe, ranked, images, shelf, size, engine or Engine())
    return station.run(lambda partial: walk.run(partial, pairs))


class _Walk:
    def __init__(
        self, recipe: Recipe, ranked: Path, images: Images, shelf: Shelf, size: int, engine: Engine
    ) -> None:
        self.recipe = recipe
        self.images = images
        self.shelf = shelf
        self.size = size
        self.engine = engine
        self.ranked = ranked
        self.groups: list[_Group] = []
        self.verdicts: dict[str, Verdict] = {}
        self.dropped: list[Dropped] = []
        self.tally = Tally()

    def run(self, partial: Path, pairs: Sequence[Path]) -> Outcome:
        self._line_up()
        while wave := self._next_wave():
            locators = [str(row["image"]) for part in wave for row in part[1]]
            self.verdicts.update(self.shelf.judge(self.images, locators, self.engine))
            for group, rows in wave:
                group.sound.extend(row for row in rows if self._sound(row))
        chosen = list(itertools.islice(_round_robin([group.sound for group in self.groups]), self.size))
        self._write(partial, pairs, chosen)
        unreachable = sum(self.tally.dropped.get(reason.value, 0) for reason in TRANSIENT)
        return Outcome({"figures": self.tally}, final=not unreachable)

    def _line_up(self) -> None:
        domains = self.recipe.select.domains
        candidates: dict[str, list[Mapping[str, object]]] = {name: [] for name in domains or (ALL,)}
        for row in read_rows([self.ranked], ["pair_id", "image", "domain", "row"]):
            candidates[row["domain"] if domains else ALL].append(row)
        self.groups = [_Group(rows) for rows in candidates.values()]

    def _next_wave(self) -> list[tuple[_Group, Sequence[Mapping[str, object]]]]:
        quotas = quotas_of(self.size, [len(group.sound) + group.left for group in self.groups])
        short = [(group, quota - len(group.sound)) for group, quota in zip(self.groups, quotas, strict=True)]
        return [(group, group.next(needed)) for group, needed in short if needed > 0]

    def _sound(self, row: Mapping[str, object]) -> bool:
        verdict = self.verdicts[str(row["image"])]
        reason, detail = verdict.reason, verdict.detail
        if reason is None and self.recipe.select.single_plot and verdict.panels > 1:
            reason, detail = Reason.COMPOUND_IMAGE.value, f"{verdict.panels} panels"
        if reason is None:
            return True
        self.tally.drop(Reason(reason))
        self.dropped.append(Dropped(str(row["pair_id"]), reason, detail))
        return False

    def _write(self, partial: Path, pairs: Sequence[Path], chosen: list[Mapping[str, object]]) -> None:
        self.tally.keep(len(chosen))
        spare = sum(len(group.sound) + group.left for group in self.groups) - len(chosen)
        self.tally.drop(Reason.NOT_NEEDED, spare)
        table = take_rows(pairs, np.array([row["row"] for row in chosen], dtype=np.int64))
        found = [self.verdicts[str(row["image"])] for row in chosen]
        columns = [
            pa.array([v.digest for v in found], pa.string()),
            pa.array([v.bytes for v in found], pa.int64()),
        ]
        with atomic_path(partial / "acquired.parquet") as aside:
            pq.write_table(pa.table([*table.columns, *columns], schema=ACQUIRED), aside, compression="zstd")
        write_dropped(partial / "dropped.parquet", self.dropped)


def quotas_of(size: int, capacities: Sequence[int]) -> list[int]:
    """How many each group gives when `size` are taken in turns and a group that is empty is passed over."""
    quotas = [0] * len(capacities)
    left = min(size, sum(capacities))
    while left:
        open_groups = [i for i, capacity in enumerate(capacities) if quotas[i] < capacity]
        step = max(1, min(left // len(open_groups), min(capacities[i] - quotas[i] for i in open_groups)))
        for i in open_groups[:left]:
            quotas[i] += step
            left -= step
    return quotas


def _round_robin(groups: Sequence[Sequence[Mapping[str, object]]]) -> Iterator[Mapping[str, object]]:
    for turn in itertools.zip_longest(*groups):
        yield from (row for row in turn if row is not None)
