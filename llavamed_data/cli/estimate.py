"""`estimate`: what a set costs before a cent is spent, and what would be sent."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.cli.build import AsJson, FewShots, Limit, Size, Source, Work
from llavamed_data.console.options import PricesFile, RequestsPerMinute, TokensPerMinute, option


def estimate(
    recipe: Annotated[str, typer.Argument(help="10k | 60k | 60k-im | eval", show_default=False)],
    model: Annotated[str, option(help="The LLM, as the price table names it.")],
    source: Source = "sample",
    work: Work = Path(".llavamed"),
    size: Size = None,
    limit: Limit = None,
    few_shots: FewShots = None,
    prices: PricesFile = None,
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    dry_run: Annotated[
        bool, option("--dry-run", help="Print the first three requests as they would be sent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count tokens, dollars and hours of a recipe's conversations.

    Example: python -m llavamed_data estimate 60k-im --model gpt-4o --rpm 3000 --tpm 400000
    """
    from llavamed_data.instruct.generation import WritingOptions
    from llavamed_data.pipeline.builds.estimate import estimate_recipe, first_requests
    from llavamed_data.pipeline.builds.options import BuildOptions

    writing = WritingOptions(
        generator="openai", model=model, few_shots=few_shots, prices=prices, rpm=rpm, tpm=tpm
    )
    options = BuildOptions(source=source, work=work, size=size, limit=limit, writing=writing)
    if dry_run:
        json.dump(first_requests(recipe, options), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    made = estimate_recipe(recipe, options)
    if as_json:
        json.dump(made.to_json(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        Console().print(made.table())
