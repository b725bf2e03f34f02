"""The commands that read a source: `build`, `extract`, `update` and `estimate`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from llavamed_data import commands
from llavamed_data.cli.commands import make_command
from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import EngineName
from llavamed_data.console.printable import counted

if TYPE_CHECKING:
    from llavamed_data.instruct import ConversationEstimate
    from llavamed_data.pipeline.builds.summary import BuildSummary

_DEFAULTS = {
    "recipes": "the first five",
    "image_urls": "the one beside the rows",
    "license": "all",
    "language": "en",
    "base_url": "OpenAI's own",
    "workers": "one a core",
    "ray_address": "RAY_ADDRESS, else this machine's, else a new one",
}
"""What an option that is not given comes to, in words."""

_PANELS = {
    "Source": (
        "source",
        "images",
        "image_urls",
        "limit",
        "pmcids",
        "query",
        "license",
        "historical_ocr",
        "original",
        "language",
    ),
    "Review": ("decisions", "flags"),
    "Selection": ("size", "seed", "keep_eval_articles", "keep_without_image", "all_phrases"),
    "LLM": (
        *(
            "generator",
            "model",
            "base_url",
            "few_shots",
            "prices",
            "rpm",
            "tpm",
            "max_cost",
            "timeout",
            "cleaning_rules",
        ),
        *("drop_unseen_facts", "judge", "best"),
    ),
    "Cluster": ("engine", "workers", "ray_address", "slurm"),
    "Output": ("out", "work", "as_json", "quiet", "verbose"),
}
"""The panels of the help of `build`."""


def _show_build(summary: "BuildSummary", console: Console, _: Mapping[str, Any]) -> None:
    from llavamed_data.cli.tables import show_build

    show_build(summary, console)


def _show_extract(summary: "BuildSummary", console: Console, flags: Mapping[str, Any]) -> None:
    from llavamed_data.cli.tables import show_steps

    show_steps(summary, console)
    for note in summary.notes:
        console.print(note, soft_wrap=True, highlight=False, markup=False)
    pairs = summary.steps[-1].tally.kept
    console.print(f"{flags['out']}: {counted(pairs, 'pair')}", soft_wrap=True, highlight=False, markup=False)


def _show_update(summaries: "list[BuildSummary]", console: Console, flags: Mapping[str, Any]) -> None:
    for summary in summaries:
        _show_build(summary, console, flags)


def _show_estimate(found: Any, console: Console, flags: Mapping[str, Any]) -> None:
    if flags["dry_run"]:
        print_json(found)
    else:
        console.print(estimate_table(found))


def estimate_table(found: "ConversationEstimate") -> Group:
    """The table that `estimate` prints: US dollars and time with each LLM generator."""
    heading = (
        f"{counted(found.requests, 'request')} to {found.model}: {found.usage.prompt_tokens:,} prompt tokens, "
        f"about {found.usage.completion_tokens:,} completion tokens"
    )
    table = Table()
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
    return Group(Text(heading), table, Text(f"Prices of {found.as_of}: {found.source}"))


build = make_command(
    commands.build,
    _show_build,
    example="python -m llavamed_data build 60k-im --source packages:/data/pmc",
    arguments=["recipes"],
    types={"recipes": list[str] | None, "engine": EngineName, "license": str | None},
    defaults=_DEFAULTS,
    panels=_PANELS,
)
extract = make_command(
    commands.extract,
    _show_extract,
    example="python -m llavamed_data extract --source jats:articles --out pairs.parquet",
    types={"engine": EngineName},
    defaults=_DEFAULTS,
)
update = make_command(
    commands.update,
    _show_update,
    example="python -m llavamed_data update --work .llavamed",
    types={"engine": EngineName},
    defaults={**_DEFAULTS, "source": "all sources"},
)
estimate = make_command(
    commands.estimate,
    _show_estimate,
    example="python -m llavamed_data estimate 60k-im --model gpt-4o --rpm 3000 --tpm 400000",
    arguments=["recipe"],
)
