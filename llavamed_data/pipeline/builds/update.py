"""Datasets brought up to date with their sources: the call behind `python -m llavamed_data update`."""

from dataclasses import replace
from pathlib import Path

from llavamed_data.engine import Engine
from llavamed_data.errors import UsageError
from llavamed_data.pipeline.builds.build import build
from llavamed_data.pipeline.builds.history import absolute_source, recorded_builds
from llavamed_data.pipeline.builds.summary import BuildSummary


def update(work: Path, *, source: str | None = None, engine: Engine | None = None) -> list[BuildSummary]:
    """Builds the datasets of a work folder again, as they were built, from what their sources hold now.

    Only articles whose ETag has changed are read, only images that are not there yet are fetched. The datasets are
    those that a build from scratch gives, as far as the source keeps PMC's promise: whatever changes in an article
    changes its metadata JSON. Sources without ETags (`packages:`, `jats:`) are read again if anything changed.

    Args:
        work: work folder of earlier builds.
        source: only what was built from this one.
        engine: what runs the tasks; all cores of this machine by default.

    Returns:
        One summary for all datasets that were built in the same way.

    Raises:
        UsageError: nothing was built there from articles, or not from `source`.
    """
    builds = recorded_builds(work)
    if source is not None:
        builds = [known for known in builds if known[0].source == absolute_source(source)]
    if not builds:
        what = f"from {source} " if source is not None else "from articles "
        raise UsageError(
            f"nothing was built {what}in {work}: run build first, or name its folder with --work"
        )
    return [build(recipes, replace(options, update=True), engine) for options, recipes in builds]
