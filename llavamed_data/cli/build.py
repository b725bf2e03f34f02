"""`build`: from a source to datasets."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

option = partial(typer.Option, show_envvar=False)
"""An option whose help does not repeat the rule for environment variables."""

Quiet = Annotated[bool, option("--quiet", help="No progress and no tables.")]
AsJson = Annotated[bool, option("--json", help="The summary as JSON on standard output.")]
Work = Annotated[Path, option(help="Stations' outputs; a rerun uses what is whole.")]
Source = Annotated[
    str,
    option(
        help="sample | a folder or URL in PMC's bucket layout | jats:PATH | packages:PATH | released:PATH"
    ),
]
Limit = Annotated[int | None, option(min=1, help="Read at most this many articles.", show_default=False)]
Workers = Annotated[int | None, option(min=1, help="Processes at a time.", show_default="one a core")]


def build(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(help="alignment-600k | 10k | 60k | 60k-im | eval", show_default="all five"),
    ] = None,
    source: Source = "sample",
    images: Annotated[
        str | None, option(help="Folder of images, for released:PATH.", show_default=False)
    ] = None,
    out: Annotated[Path, option(help="Datasets go to OUT/RECIPE.")] = Path("llava-med"),
    work: Work = Path(".llavamed"),
    seed: Annotated[int, option(help="Chooses the sample and the phrasings.")] = 0,
    size: Annotated[
        int | None, option(min=1, help="Figures wanted, in place of the recipe's.", show_default=False)
    ] = None,
    limit: Limit = None,
    license: Annotated[  # noqa: A002  (the flag's name)
        str, option(help="Only articles under these licences: cc0,cc-by,…", show_default="all")
    ] = "",
    keep_eval_articles: Annotated[
        bool,
        option("--keep-eval-articles", help="Let training sets draw from the eval set's articles."),
    ] = False,
    keep_without_image: Annotated[
        bool, option("--keep-without-image", help="Keep eval questions whose image is lost.")
    ] = False,
    workers: Workers = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build datasets that stock load_dataset reads.

    Example: python -m llavamed_data build 60k-im --source packages:/data/pmc
    """
    from llavamed_data.cli.progress import watched
    from llavamed_data.cli.tables import show_build
    from llavamed_data.pipeline.build import build as run
    from llavamed_data.pipeline.engine import Engine
    from llavamed_data.pipeline.options import BuildOptions

    options = BuildOptions(
        source=source,
        images=images,
        out=out,
        work=work,
        seed=seed,
        size=size,
        limit=limit,
        licenses=tuple(name for name in license.split(",") if name.strip()),
        keep_eval_articles=keep_eval_articles,
        keep_without_image=keep_without_image,
    )
    with watched(quiet=quiet or as_json) as watch:
        summary = run(recipes or (), options, Engine(workers=workers, watch=watch))
    if as_json:
        json.dump(summary.to_dict(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    elif not quiet:
        show_build(summary, Console())
