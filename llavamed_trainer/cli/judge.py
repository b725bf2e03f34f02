"""`judge`: the chat evaluation of section 5.1."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import (
    MaxCost,
    PricesFile,
    RequestsPerMinute,
    RequestTimeout,
    TokensPerMinute,
)

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.judge import Judgement


def judge(
    answers: Annotated[
        Path, typer.Argument(help="File of answers, as predict writes it or as the authors released them.")
    ],
    model: Annotated[
        str, typer.Option(help="The model that judges, by the server's name for it.", show_default=False)
    ],
    benchmark: Annotated[str, typer.Option(help="The eval set: its name or folder.")] = "eval",
    split: Annotated[str, typer.Option(help="Dataset split.")] = "test",
    prompt: Annotated[
        Literal["authors", "options", "medevalkit", "lmms-eval", "plain"] | None,
        typer.Option(
            help="Answers to judge, if the file has several prompt forms; authors is another name of options.",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="Address of an OpenAI-compatible server.", show_default="OpenAI's own"),
    ] = None,
    reference: Annotated[
        bool,
        typer.Option(
            "--reference", help="Let the judge write the reference answers, from caption and mentions."
        ),
    ] = False,
    one_order: Annotated[
        bool,
        typer.Option(
            "--one-order", help="Judge with the reference first only, as the paper: half the requests."
        ),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Score the rest if answers or verdicts are missing; the result says so."
        ),
    ] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            help="What was trained, for tables: instruct=60k-im,stage1=1,stage2=3", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File of verdicts.", show_default="ANSWERS with .judged.jsonl")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder of the journal.")] = Path(".llavamed"),
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    timeout: RequestTimeout = 600.0,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print requests, tokens and dollars, and ask nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write the files and print nothing.")] = False,
) -> None:
    """Let an LLM score answers beside reference answers, for Table 1. Rerun the same command after a failure.

    Reference answers are written from caption and mentions, which no candidate sees: an upper bound, not a competitor.

    Example: python -m llavamed_trainer judge answers.jsonl --model gpt-4o --max-cost 5
    """
    from rich.console import Console

    from llavamed_data.llm import RunLimits
    from llavamed_trainer.evaluation.judge import JudgeOptions, estimate_judgement
    from llavamed_trainer.evaluation.judge import judge as run
    from llavamed_trainer.evaluation.judge.report import show_estimates
    from llavamed_trainer.evaluation.questions import form_named
    from llavamed_trainer.evaluation.tables import parse_variant

    options = JudgeOptions(
        model=model,
        benchmark=benchmark,
        split=split,
        prompt=form_named(prompt) if prompt else None,
        base_url=base_url,
        reference=reference,
        both_orders=not one_order,
        partial=partial,
        variant=parse_variant(variant).to_dict() if variant else {},
        work=work,
        limits=RunLimits(rpm=rpm, tpm=tpm, max_cost=max_cost),
        timeout=timeout,
        prices=prices,
    )
    if estimate:
        estimated = estimate_judgement(answers, options)
        if as_json:
            print_json(estimated.to_dict())
        else:
            show_estimates([estimated], Console())
        return
    result = run(answers, out or answers.with_suffix(".judged.jsonl"), options)
    if as_json:
        print_json(result.to_dict())
    elif not quiet:
        _show(result)


def _show(result: "Judgement") -> None:
    """Prints the relative scores, the position bias and the cost."""
    from rich.console import Console
    from rich.table import Table

    from llavamed_trainer.evaluation.judge.relative_scores import GROUPS

    console = Console()
    blind = f"BLIND, {result.images} images: " if result.images != "real" else ""
    console.print(f"{blind}{result.candidate or 'the candidate'}, judged by {result.judge}", highlight=False)
    table = Table(caption=f"percent of the score of the reference answers ({result.reference})")
    for title in ("group", "questions", "reference first (Table 1)", "candidate first", "both"):
        table.add_column(title, justify="left" if title == "group" else "right")
    for name, group in result.groups.items():
        values = (group.reference_first, group.swapped, group.both)
        shown = ("-" if value is None else f"{value:.1f}" for value in values)
        table.add_row(GROUPS[name], str(group.questions), *shown)
    console.print(table)
    if result.bias:
        console.print(
            f"position bias: an answer gains {result.bias.points:+.2f} points by standing first; the winner "
            f"changes with the order in {result.bias.flipped:.0%} of the questions"
        )
    tally = result.tally
    console.print(
        f"{result.groups['overall'].questions} of {result.asked} questions judged; {tally.answered} requests answered, "
        f"{tally.details()}, {tally.retries} retries, {tally.dollars:.4f} dollars"
    )
