"""`publish`: publishes datasets on the Hub."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.cli.build import AsJson
from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import option


def publish(
    folder: Annotated[
        Path, typer.Argument(help="A dataset's folder; with --all, the folder of all of them.")
    ] = Path("llava-med"),
    repo_id: Annotated[
        str | None,
        option(help="Repository on the Hub, OWNER/NAME; created if it does not exist.", show_default=False),
    ] = None,
    every: Annotated[
        bool,
        option("--all", help="Publish every dataset in FOLDER as ORG/NAME, and make a collection of them."),
    ] = False,
    org: Annotated[
        str | None, option(help="With --all: the user or organisation.", show_default=False)
    ] = None,
    private: Annotated[bool, option("--private", help="Make a new repository private.")] = False,
    branch: Annotated[
        str | None, option(help="Branch to publish on; created if it does not exist.", show_default="main")
    ] = None,
    tag: Annotated[str | None, option(help="Name of this version, such as v1.0.", show_default=False)] = None,
    replace: Annotated[
        bool,
        option("--replace", help="Replace another dataset, files of others, and what was edited on the Hub."),
    ] = False,
    dry_run: Annotated[bool, option("--dry-run", help="Show what would change and send nothing.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Publish datasets on the Hugging Face Hub; after a failure, a rerun sends only the rest.

    The login is the client's own: HF_TOKEN, or `hf auth login`.

    Example: python -m llavamed_data publish llava-med/60k-im --repo-id ORG/60k-im --tag v1.0
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.errors import UsageError
    from llavamed_data.publish import CollectionReport, PublishReport, publish_all
    from llavamed_data.publish import publish as publish_one

    if every != (org is not None) or every == (repo_id is not None):
        raise UsageError("give a dataset's folder and --repo-id OWNER/NAME, or --all and --org ORG")
    run: Callable[..., PublishReport | CollectionReport]
    run = partial(publish_all, folder, org) if org else partial(publish_one, folder, repo_id or "")
    with progress_bars(quiet=quiet or as_json) as on_progress:
        report = run(
            private=private,
            branch=branch,
            tag=tag,
            dry_run=dry_run,
            replace=replace,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        report.render(Console())
