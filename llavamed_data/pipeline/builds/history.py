"""Records in the work folder how each dataset was built, so that `update` can build it again in the same way."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError
from llavamed_data.instruct import GenerationOptions
from llavamed_data.io.atomic import write_text
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.recipes import Recipe

BUILDS = "builds.json"
_PATHS = ("out", "pmcids", "decisions", "flags", "few_shots", "prices", "cleaning_rules")
_LOGIN = re.compile(r"://[^/]*@")


def record_build(options: BuildOptions, recipes: Sequence[Recipe]) -> None:
    """Records how `recipes` were built, each by its output folder; the last build of a folder counts.

    A build whose addresses hold a login is not recorded: logins are never written to disk.
    """
    stated = _stated(options)
    if _LOGIN.search(json.dumps(stated)):
        return
    builds = _read(options.work)
    for recipe in recipes:
        stated_by = str(recipe.file.absolute()) if recipe.file else recipe.name
        builds[str((options.out / recipe.name).absolute())] = {"recipe": stated_by, "options": stated}
    write_text(options.work / BUILDS, json.dumps(builds, indent=1, sort_keys=True) + "\n")


def recorded_builds(work: Path) -> list[tuple[BuildOptions, list[str]]]:
    """The recorded builds of a work folder: options, and the recipes that were built with them.

    Raises:
        LlavaMedError: the record cannot be read.
    """
    by_options: dict[str, list[str]] = {}
    for build in _read(work).values():
        by_options.setdefault(json.dumps(build["options"], sort_keys=True), []).append(build["recipe"])
    return [(_options(json.loads(stated), work), recipes) for stated, recipes in by_options.items()]


def absolute_source(spec: str) -> str:
    """A source's name that means the same in every folder."""
    scheme, colon, path = spec.rpartition(":")
    if spec in ("sample", "pmc-cloud") or "://" in spec:
        return spec
    return f"{scheme}{colon}{Path(path).absolute()}"


def _stated(options: BuildOptions) -> dict[str, Any]:
    stated = asdict(replace(options, source=absolute_source(options.source), update=False))
    del stated["work"]
    for part in (stated, stated["writing"]):
        for name in _PATHS:
            if part.get(name) is not None:
                part[name] = str(Path(part[name]).absolute())
    return stated


def _options(stated: dict[str, Any], work: Path) -> BuildOptions:
    try:
        writing = GenerationOptions(**_with_paths(stated.pop("writing")))
        stated["licenses"] = tuple(stated["licenses"])
        return BuildOptions(**_with_paths(stated), work=work, writing=writing)
    except (KeyError, TypeError) as error:
        raise LlavaMedError(f"{work / BUILDS} is of another version: run build again") from error


def _with_paths(stated: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Path(value) if name in _PATHS and value is not None else value for name, value in stated.items()
    }


def _read(work: Path) -> dict[str, Any]:
    try:
        found = json.loads((work / BUILDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LlavaMedError(f"{work / BUILDS} cannot be read: delete it and run build again") from error
    return found if isinstance(found, dict) else {}
