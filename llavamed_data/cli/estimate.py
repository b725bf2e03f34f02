"""`estimate`: what an LLM's conversations cost, and what would be sent, before anything is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from llavamed_data.cli.build import AsJson, FewShots, Limit, Size, Source, Work
from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import PricesFile, RequestsPerMinute, TokensPerMinute, option

if TYPE_CHECKING:
    from llavamed_data.instruct import ConversationEstimate


def estimate(
    recipe: Annotated[
        str, typer.Argument(help="10k | 60k | 60k-im, or a YAML file of your own.", show_default=False)
    ],
    model: Annotated[str, option(help="The LLM, by its name in the price table.")],
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
    """Count the tokens, US dollars and hours that a recipe's conversations take.

    Example: python -m llavamed_data estimate 60k-im --model gpt-4o --rpm 3000 --tpm 400000
    """
    from llavamed_data.instruct import GenerationOptions
    from llavamed_data.pipeline.builds.estimate import estimate_recipe, first_requests
    from llavamed_data.pipeline.builds.options import BuildOptions

    generation = GenerationOptions(
        generator="openai", model=model, few_shots=few_shots, prices=prices, rpm=rpm, tpm=tpm
    )
    options = BuildOptions(source=source, work=work, size=size, limit=limit, writing=generation)
    if dry_run:
        print_json(first_requests(recipe, options))
        return
    found = estimate_recipe(recipe, options)
    if as_json:
        print_json(found.to_json())
    else:
        Console().print(estimate_table(found))


def estimate_table(found: "ConversationEstimate") -> Table:
    """The table that the command prints: US dollars and time with each LLM generator."""
    table = Table(
        title=f"{found.requests:,} requests to {found.model}: {found.usage.prompt_tokens:,} prompt tokens, "
        f"about {found.usage.completion_tokens:,} completion tokens",
        caption=f"Prices of {found.as_of}: {found.source}",
    )
    table.add_column("--generator")
    table.add_column("US dollars", justify="right")
    table.add_column("time", justify="right")
    for each in found.generators:
        if each.hours is None:
            time = "as the server's limits allow"
        elif each.generator == "openai-batch":
            time = f"up to {each.hours:g} h"
        else:
            time = f"{each.hours * 60:,.1f} min" if each.hours < 2 else f"{each.hours:,.1f} h"
        table.add_row(each.generator, f"{each.dollars:,.2f}", time)
    return table
