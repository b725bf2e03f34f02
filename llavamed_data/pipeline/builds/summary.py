"""What a build did: for the table at its end, for cards, and as JSON."""

import glob
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.pipeline.steps.step import StepManifest, StepOutput
from llavamed_data.reasons import Reason, Tally, in_words
from llavamed_data.recipes import EVAL, Counts

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One line of the summary: what a step did to one unit.

    Attributes:
        name: the step.
        dataset: the recipe that it worked for; "" for what all recipes share.
        unit: `articles`, `figures`, `images` or `rows`.
        manifest: what the step states about its output.
    """

    name: str
    dataset: str
    unit: str
    manifest: StepManifest

    @property
    def tally(self) -> Tally:
        """In, kept and dropped by reason."""
        return self.manifest.tallies[self.unit]

    @property
    def dropped(self) -> dict[str, int]:
        """Reason → count, the most frequent first; the same order in every run."""
        return dict(sorted(self.tally.dropped.items(), key=lambda item: (-item[1], item[0])))

    @property
    def dropped_in_words(self) -> dict[str, int]:
        """The same with what tables and cards say after the count."""
        beyond = {Reason.NOT_NEEDED: f"beyond the size of {EVAL}"} if self.dataset == EVAL else {}
        return {
            beyond.get(Reason(reason)) or in_words(reason, count, self.unit): count
            for reason, count in self.dropped.items()
        }


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """A benchmark's split beside the paper's Table 8.

    Attributes:
        split: its name.
        built: what was written; `open` and `closed` are None where the source states no answer types.
        paper: what Table 8 states; None for a split or language that it does not count.
        unknown: rows whose answer type the source does not state.
    """

    split: str
    built: Counts
    paper: Counts | None
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """One dataset of a build.

    Attributes:
        name: the recipe.
        folder: where it lies; None where nothing was left to write.
        split: `train` or `test`.
        rows, images: how many.
        domains: domain → rows.
        shortage: why there are fewer figures than the recipe wants, or "".
        counts: of a benchmark, split by split.
    """

    name: str
    folder: Path | None
    split: str
    rows: int = 0
    images: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    shortage: str = ""
    counts: Sequence[SplitCounts] = ()

    @property
    def load(self) -> str:
        """The line of code that loads it."""
        if not self.folder:
            return ""
        if "[" in str(self.folder):  # load_dataset takes a folder's name for a pattern
            files = {self.split: f"{glob.escape(str(self.folder))}/data/{self.split}-*"}
            stated = f'"parquet", data_files={json.dumps(files, ensure_ascii=False)}'
        else:
            stated = json.dumps(str(self.folder), ensure_ascii=False)
        return f'load_dataset({stated}, split="{self.split}")'


@dataclass(slots=True)
class BuildSummary:
    """Every step in order, every dataset, and notes for the user."""

    steps: list[SummaryLine] = field(default_factory=list)
    datasets: list[Built] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self, name: str, output: StepOutput, *, dataset: str = "") -> None:
        """Adds the counts of a step."""
        units = output.manifest.tallies
        lines = [SummaryLine(name, dataset, unit, output.manifest) for unit in units]
        self.steps.extend(lines)
        for line in lines:
            done = "done before" if line.manifest.skipped else f"{line.manifest.seconds:.1f} s"
            counts = line.unit, line.tally.entered, line.tally.kept, line.dropped
            _LOG.info("%s %s: %s: %d in, %d kept, dropped %s (%s)", dataset or "source", name, *counts, done)

    def steps_of(self, dataset: str) -> list[SummaryLine]:
        """What led to a dataset: the steps that all datasets share, then its own."""
        return [step for step in self.steps if step.dataset in ("", dataset)]

    def worst(self) -> str:
        """The most frequent reasons for drops, in words."""
        counts: dict[str, int] = {}
        for step in self.steps:
            for words, count in step.dropped_in_words.items():
                counts[words] = max(counts.get(words, 0), count)
        most = sorted(counts.items(), key=lambda item: -item[1])[:3]
        return ", ".join(f"{count:,} {words}" for words, count in most) or "nothing was read"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "stations": [
                {
                    "station": step.name,
                    "dataset": step.dataset or None,
                    "unit": step.unit,
                    "in": step.tally.entered,
                    "kept": step.tally.kept,
                    "dropped": step.dropped,
                    "seconds": step.manifest.seconds,
                    "skipped": step.manifest.skipped,
                }
                for step in self.steps
            ],
            "datasets": [
                {
                    "name": built.name,
                    "folder": str(built.folder) if built.folder else None,
                    "rows": built.rows,
                    "images": built.images,
                    "domains": dict(built.domains),
                    "shortage": built.shortage,
                    "load": built.load,
                    **({"table_8": [asdict(split) for split in built.counts]} if built.counts else {}),
                }
                for built in self.datasets
            ],
            "notes": self.notes,
        }
