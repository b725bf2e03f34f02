"""The results in a folder: scores, judgements and hours of runs, each by what was trained."""

import json
import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.scoring.results import KIND as SCORES
from llavamed_trainer.evaluation.tables.paper_tables import BENCHMARKS, Run
from llavamed_trainer.evaluation.tables.variant import Variant, make_variant

RUN = "llavamed-run"
"""Kind of the record that `sweep` leaves of a training run: recipe, epochs, hours."""

JUDGED = "llavamed-judgement"
"""Kind of the results that `judge` writes."""

_HEAD = 64
_OURS = re.compile(rb'\s*\{\s*"kind": "llavamed-')
"""How every results file of ours begins."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One file's scores in one prompt form.

    Attributes:
        path: of the results file.
        variant: what was trained; None where the file does not say.
        scores: as `scores_to_dict` gives them.
    """

    path: Path
    variant: Variant | None
    scores: Mapping[str, Any]

    @property
    def is_comparable(self) -> bool:
        """Whether the paper's tables have a place for it: a variant, on the test split of a benchmark."""
        return (
            self.variant is not None
            and self.scores["benchmark"] in BENCHMARKS
            and self.scores["split"] == "test"
        )

    def metrics(self, language: str = "en") -> Mapping[str, Any]:
        """Metric → estimate over the questions of one language; empty where there are none."""
        if self.scores["languages"] == [language]:
            return dict(self.scores["metrics"])
        return dict(self.scores["groups"].get("language", {}).get(language, {}))


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge's relative scores, the reference read first, as in the paper.

    Attributes:
        path: of the results file.
        variant: what was trained; None where the file does not say.
        relative: question type, domain or `overall` → percent of the reference's.
        judged, asked: questions.
    """

    path: Path
    variant: Variant | None
    relative: Mapping[str, float]
    judged: int
    asked: int


@dataclass(slots=True)
class Results:
    """Everything found in a folder.

    Attributes:
        scored, judged: results.
        hours: run → hours of each time it was trained.
    """

    scored: list[Scored] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    hours: dict[Run, list[float]] = field(default_factory=dict)

    def hours_of(self, run: Run) -> float | None:
        """Mean hours of a run."""
        return statistics.fmean(self.hours[run]) if run in self.hours else None

    def of(self, variant: Variant, benchmark: str, language: str = "en") -> list[Scored]:
        """Results of a configuration on a benchmark, one a seed; closed questions with options where both are."""
        wanted = variant.unseeded()
        found = dict[int, Scored]()
        for each in self.scored:
            if (
                each.is_comparable
                and each.variant is not None
                and each.variant.unseeded() == wanted
                and each.scores["benchmark"] == benchmark
                and each.metrics(language)
            ):
                held = found.get(each.variant.seed)
                if held is None or each.scores["prompt_form"] == "options":
                    found[each.variant.seed] = each
        return [found[seed] for seed in sorted(found)]


def collect(folder: Path) -> Results:
    """Reads every results file in a folder and the folders below; other JSON is left alone.

    Raises:
        UsageError: there is no such folder.
        LlavaMedError: a results file is damaged, or two state the same thing.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name the one with the results files of `score`")
    results = Results()
    seen = dict[object, Path]()
    for path, stated in _files(folder):
        try:
            for key in _take[stated["kind"]](results, path, stated):
                if (earlier := seen.setdefault(key, path)) != path:
                    raise LlavaMedError(f"{path} and {earlier} state the same result: remove one of them")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LlavaMedError(
                f"{path} is a damaged results file ({type(error).__name__}: {error}): score again"
            ) from error
    return results


def _files(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for path in sorted(folder.rglob("*.json")):
        with path.open("rb") as file:
            if not _OURS.match(file.read(_HEAD)):
                continue  # a model's configuration, a tokenizer of many megabytes
        try:
            stated = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LlavaMedError(f"{path} is a damaged results file ({error}): score again") from error
        if stated["kind"] in _take:
            yield path, stated


def _take_scores(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    variant = make_variant(stated["variant"]) if stated["variant"] else None
    for scores in stated["scores"]:
        results.scored.append(Scored(path, variant, scores))
        who = variant or scores["model"]
        names = ("benchmark", "split", "prompt_form")
        yield ("scores", who, *(scores[name] for name in names), tuple(scores["languages"]))


def _take_judged(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    variant = make_variant(stated["variant"]) if stated.get("variant") else None
    relative = {
        group: float(said["reference_first"])
        for group, said in stated["relative"].items()
        if said["reference_first"] is not None
    }
    results.judged.append(Judged(path, variant, relative, stated["judged"], stated["asked"]))
    yield ("judged", variant or stated["candidate"], stated["judge"])


def _take_run(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    model = stated.get("language_model", "7b"), stated.get("vision", "clip")
    # the tables' hours are of one model; a run that was taken up again does not know what came before
    if stated["hours"] is not None and model == ("7b", "clip"):
        run = Run(str(stated["recipe"]), int(stated["epochs"]))
        results.hours.setdefault(run, []).append(float(stated["hours"]))
    yield ("run", path)


_take: Mapping[str, Callable[[Results, Path, Mapping[str, Any]], Iterator[object]]] = {
    SCORES: _take_scores,
    JUDGED: _take_judged,
    RUN: _take_run,
}
