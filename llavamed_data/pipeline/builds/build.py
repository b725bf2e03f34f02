"""From a source to datasets: the one call behind `python -m llavamed_data build`."""

from collections.abc import Sequence
from pathlib import Path

from hub_cards import BUILT_BY
from llavamed_data.engine import Engine, LocalEngine
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.pipeline.builds.articles import build_from_articles
from llavamed_data.pipeline.builds.benchmarks import build_benchmarks
from llavamed_data.pipeline.builds.checks import RELEASED, check_options
from llavamed_data.pipeline.builds.ending import Build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.released import build_from_released
from llavamed_data.pipeline.builds.shared_articles import shared_article_notes
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.recipes import ALL_BENCHMARKS, RECIPES, Benchmark, find_recipe, load_benchmark
from llavamed_data.sources.benchmarks import HUB


def build(
    recipes: str | Path | Sequence[str | Path] = (),
    options: BuildOptions | None = None,
    engine: Engine | None = None,
) -> BuildSummary:
    """Builds datasets: folders that stock `load_dataset` reads.

    Args:
        recipes: names of recipes, or YAML files of your own recipes; or names of benchmarks; the five recipes where
            empty.
        options: how to build; the bundled sample corpus by default.
        engine: what runs the tasks; all cores of this machine by default.

    Returns:
        What was done, step by step and dataset by dataset.

    Raises:
        UsageError: a recipe, source, path or combination of options is wrong.
        LlavaMedError: nothing could be built, the disk is full, or another build uses the work folder.
    """
    run = Build(options or BuildOptions(), engine or LocalEngine())
    options = run.options
    stated = [recipes] if isinstance(recipes, str | Path) else recipes
    names = tuple(dict.fromkeys(map(str, stated or RECIPES)))
    benchmarks = _benchmarks(names, options)
    chosen = [] if benchmarks else [find_recipe(name) for name in names]
    if not options.update:  # which repeats a build, and perhaps not with all of its recipes
        check_options(options, names)
    folders = [each.name for each in benchmarks or chosen]
    for name in folders:
        if folders.count(name) > 1:
            raise UsageError(
                f"two recipes are called {name!r}: build them one after another, with another --out"
            )
        refuse_foreign_folder(options.out / name)
    with lock_work_folder(options.work):
        if benchmarks:
            summary = build_benchmarks(benchmarks, run)
        elif options.source.startswith(RELEASED):
            summary = build_from_released(chosen, options.source.removeprefix(RELEASED), run)
        else:
            summary = build_from_articles(chosen, run)
    if not any(built.folder for built in summary.datasets):
        few = f"; --limit {options.limit} may be too few articles: raise it" if options.limit else ""
        raise LlavaMedError(
            f"nothing could be built from {options.source}: all was dropped ({summary.worst()}){few}"
        )
    if not benchmarks:
        summary.notes.extend(shared_article_notes(summary.datasets, options))
    return summary


def _benchmarks(names: Sequence[str], options: BuildOptions) -> list[Benchmark]:
    """The benchmarks that `names` are; none where they are recipes."""
    found = [name for name in names if name in ALL_BENCHMARKS]
    if not found:
        return []
    if len(found) < len(names):
        raise UsageError(
            f"{found[0]} has a source of its own: build benchmarks and recipes one after another"
        )
    if len(found) > 1 and options.source != HUB:
        raise UsageError(f"{' and '.join(found)} have sources of their own: build them one after another")
    if options.source == BuildOptions().source:
        raise UsageError(
            f"{found[0]} is not in the sample: give its folder with --source PATH, or --source {HUB} for its copy "
            f"{load_benchmark(found[0]).hub.repository}"
        )
    return [load_benchmark(name) for name in found]


def refuse_foreign_folder(folder: Path) -> None:
    """Makes sure that replacing `folder` loses nothing of the user's.

    Raises:
        UsageError: it holds something that `build` did not write, is a link, or cannot be a folder.
    """
    if folder.parent.exists() and not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder: choose another --out")
    if folder.is_symlink():
        raise UsageError(
            f"{folder} is a link, in whose place a build puts a folder: name the folder of the datasets with --out"
        )
    if not folder.exists():
        return
    card = folder / "README.md"
    ours = card.is_file() and BUILT_BY in card.read_text(encoding="utf-8", errors="replace")
    if not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} holds something that build did not write: move it away, or choose another --out"
        )
