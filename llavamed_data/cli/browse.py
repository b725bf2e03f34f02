"""The command `browse`, in whose place `review` stands."""

import typer

from llavamed_data.errors import UsageError


def browse(context: typer.Context) -> None:
    """Use `review`, which shows a dataset in a browser."""
    names = [word for word in context.args if not word.startswith("-")]
    raise UsageError(
        f"browse is no more: use python -m llavamed_data review {names[0] if names else 'DATASET'}"
    )
