"""The results in a folder: scores, judgements and hours of training runs, each by what was trained."""

import json
import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.recipes import BENCHMARKS
from llavamed_trainer.evaluation.results import damaged, find_results
from llavamed_trainer.evaluation.tables.paper_tables import TrainingRun
from llavamed_trainer.evaluation.tables.variant import Variant, make_variant

SPEC, RECORD = "sweep.json", "run.json"
"""Where a sweep and a training run state what was run."""

_PAPERS_FORMS = ("plain", "options")
"""Prompt forms that the paper's tables have a place for; `plain` is marked there."""

_CAPS = ("max_steps", "max_rows")
_WHOLE_SPLIT = re.compile(r"train(_\w+)?")
_STAGES = 3


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """The scores of one file of answers in one prompt form.

    Attributes:
        path: the results file.
        variant: what was trained; None if the file does not say.
        scores: as `scores_to_dict` gives them.
        caps: flags with which its model was not trained in full on the training split, such as `--max_steps 2`;
            empty for a whole run.
        cut_off: number of answers that were cut off at the longest answer allowed, where that is known.
    """

    path: Path
    variant: Variant | None
    scores: Mapping[str, Any]
    caps: str = ""
    cut_off: int = 0

    @property
    def is_comparable(self) -> bool:
        """Whether the paper's tables have a place for it: trained in full, and asked all questions of a test set.

        The prompts of other kits are not the paper's; the scores of a blind model are no result of a benchmark.
        """
        return (
            self.variant is not None
            and self.is_whole
            and self.scores["benchmark"] in BENCHMARKS
            and self.scores["split"] == "test"
            and self.scores["prompt_form"] in _PAPERS_FORMS
        )

    @property
    def is_whole(self) -> bool:
        """Whether training was not ended early, all questions were asked, and with their images."""
        return not self.caps and self.scores.get("limit") is None and self.images == "real"

    @property
    def images(self) -> str:
        """What the model was shown: `real`, or what took the place of the questions' images."""
        return str(self.scores.get("images", "real"))

    def metrics(self, language: str = "en") -> Mapping[str, Any]:
        """Metric → estimate over the questions in one language; empty if there are none."""
        if self.scores["languages"] == [language]:
            return dict(self.scores["metrics"])
        return dict(self.scores["groups"].get("language", {}).get(language, {}))


@dataclass(frozen=True, slots=True)
class JudgedAnswers:
    """A judge's relative scores with the reference answer first, as in the paper.

    Attributes:
        path: the results file.
        variant: what was trained; None if the file does not say.
        relative: question type, domain or `overall` → percent of the reference's score.
        judged, asked: number of questions that have a verdict, and of all.
        model, judge: names of the models that answered and that judged.
        caps: as of `ScoredAnswers`.
        images: what the candidate was shown.
    """

    path: Path
    variant: Variant | None
    relative: Mapping[str, float]
    judged: int
    asked: int
    model: str = ""
    judge: str = ""
    caps: str = ""
    images: str = "real"


@dataclass(slots=True)
class Results:
    """All results in a folder.

    Attributes:
        scored, judged: the results of `score` and `judge`.
        hours: training run → hours of each time that it was trained.
    """

    scored: list[ScoredAnswers] = field(default_factory=list)
    judged: list[JudgedAnswers] = field(default_factory=list)
    hours: dict[TrainingRun, list[float]] = field(default_factory=dict)

    def mean_hours(self, run: TrainingRun) -> float | None:
        """Mean hours of a training run; None if it was not trained."""
        return statistics.fmean(self.hours[run]) if run in self.hours else None

    def scored_with(self, variant: Variant, benchmark: str) -> list[ScoredAnswers]:
        """Scores of a configuration on a benchmark, one for each seed; with options if there are both prompt forms."""
        found = dict[int, ScoredAnswers]()
        for each in self.scored:
            if (
                each.is_comparable
                and each.variant is not None
                and each.variant.unseeded() == variant.unseeded()
                and each.scores["benchmark"] == benchmark
                and each.metrics()
                and (each.variant.seed not in found or each.scores["prompt_form"] == "options")
            ):
                found[each.variant.seed] = each
        return [found[seed] for seed in sorted(found)]


def collect(folder: Path) -> Results:
    """Reads every results file in a folder and the folders below; other JSON is left alone.

    Raises:
        UsageError: there is no such folder.
        LlavaMedError: a results file is damaged, or two state the same result.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name the one with the results files of score")
    results = Results()
    seen = dict[object, Path]()
    for path, stated in find_results(folder):
        try:
            if add := _ADD.get(stated["kind"]):
                for key in add(results, path, stated):
                    if (earlier := seen.setdefault(key, path)) != path:
                        raise LlavaMedError(f"{path} and {earlier} state the same result: remove one of them")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, error) from error
    return results


def _add_scores(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    variant = make_variant(stated["variant"]) if stated["variant"] else None
    for scores in stated["scores"]:
        caps = _caps(path, str(scores["model"]))
        results.scored.append(ScoredAnswers(path, variant, scores, caps, _cut_off(path)))
        names = ("benchmark", "split", "prompt_form")
        yield (
            "scores",
            variant or scores["model"],
            *(scores[name] for name in names),
            tuple(scores["languages"]),
            scores.get("limit"),
            scores.get("images", "real"),
            bool(scores.get("choices", {}).get("shuffled")),
        )


def _add_judgement(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    variant = make_variant(stated["variant"]) if stated.get("variant") else None
    relative = {
        group: float(scores["reference_first"])
        for group, scores in stated["relative"].items()
        if scores["reference_first"] is not None
    }
    model, judge = str(stated["candidate"]), str(stated["judge"])
    counts = stated["judged"], stated["asked"]
    images = str(stated.get("images", "real"))
    results.judged.append(
        JudgedAnswers(path, variant, relative, *counts, model, judge, _caps(path, model), images)
    )
    yield ("judgement", variant or model, judge, images)


def _add_run(results: Results, path: Path, stated: Mapping[str, Any]) -> Iterator[object]:
    model = stated.get("language_model", "7b"), stated.get("vision", "clip")
    is_papers = model == ("7b", "clip") and stated.get("init") != "other"
    # the tables' hours are of one model; a run that was resumed does not know what came before
    if stated["hours"] is not None and is_papers and not _caps(path, ""):
        run = TrainingRun(str(stated["recipe"]), int(stated["epochs"]))
        results.hours.setdefault(run, []).append(float(stated["hours"]))
    yield ("run", path)


def _caps(path: Path, model: str) -> str:
    """The flags with which the model that a results file is about was not trained in full; empty if it was.

    A sweep states its commands in the folders above the file, in `sweep.json`; other runs their settings in `run.json`
    beside the model, and so does the model that they started from.
    """
    for folder in path.resolve().parents:
        if (spec := folder / SPEC).is_file():
            stated = json.loads(spec.read_text(encoding="utf-8"))
            for command in stated["commands"]:
                flags = {word.removeprefix("--"): value for word, value in pairwise(command)}
                epochs = stated.get("facts", {}).get("epochs")
                if caps := _stated_caps(flags, epochs) if "predict" not in command else "":
                    return caps
    for _ in range(_STAGES):
        record = _record_of(model, path)
        if record is None:
            break
        settings = json.loads(record.read_text(encoding="utf-8")).get("settings") or {}
        if caps := _stated_caps(settings):
            return caps
        model = str(settings.get("model_name_or_path") or "")
    return ""


def _record_of(model: str, results: Path) -> Path | None:
    """The record beside a model, which a relative path names from here or from a folder above the results file."""
    for folder in (Path(), *results.resolve().parents) if model else ():
        if (record := folder / model / RECORD).is_file():
            return record
    return None


def _stated_caps(settings: Mapping[str, Any], epochs: int | None = None) -> str:
    stated = {name: str(settings[name]) for name in _CAPS if settings.get(name) is not None}
    capped = {name: value for name, value in stated.items() if not value.startswith("-")}
    if not _WHOLE_SPLIT.fullmatch(split := str(settings.get("split") or "train")):
        capped["split"] = split
    if epochs is not None and float(trained := settings.get("num_train_epochs", epochs)) != epochs:
        capped["num_train_epochs"] = str(trained)
    return " ".join(f"--{name} {value}" for name, value in capped.items())


def _cut_off(path: Path) -> int:
    """The number of answers that were cut off, which `predict` states beside the file of answers."""
    report = path.with_name(f"{path.name.removesuffix('.scores.json')}.run.json")
    if not report.is_file():
        return 0
    return int(json.loads(report.read_text(encoding="utf-8"))["report"].get("truncated", 0))


_ADD: Mapping[str, Callable[[Results, Path, Mapping[str, Any]], Iterator[object]]] = {
    "llavamed-scores": _add_scores,
    "llavamed-judgement": _add_judgement,
    "llavamed-run": _add_run,
}
"""Kind of results file → adds its results, and yields what each is a result of."""
