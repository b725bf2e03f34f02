"""`judge`: the chat evaluation of section 5.1."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from llavamed_data.console.options import (
    MaxCost,
    PricesFile,
    RequestsPerMinute,
    RequestTimeout,
    TokensPerMinute,
)


def judge(
    answers: Annotated[Path, typer.Argument(help="JSON Lines of answers, ours or the released code's.")],
    model: Annotated[str, typer.Option(help="The judge, as its server names it.", show_default=False)],
    benchmark: Annotated[str, typer.Option(help="The eval set: its name or folder.")] = "eval",
    split: Annotated[str, typer.Option(help="Of the set.")] = "test",
    base_url: Annotated[
        str | None, typer.Option(help="Any OpenAI-compatible address.", show_default="OpenAI's own")
    ] = None,
    reference: Annotated[
        bool,
        typer.Option(
            "--reference", help="The judge writes the reference answers, from caption and mentions."
        ),
    ] = False,
    one_order: Annotated[
        bool, typer.Option("--one-order", help="Reference first alone, as the paper: half the requests.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score what is there where something is missing, and say so.")
    ] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            help="What was trained, for `tables`: instruct=60k-im,stage1=1,stage2=3", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Verdicts.", show_default="ANSWERS with .judged.jsonl")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder of the journal.")] = Path(".llavamed"),
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    timeout: RequestTimeout = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="The scores as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write the files only.")] = False,
) -> None:
    """Let an LLM score answers beside reference answers: Table 1. Run again after a failure, only the rest is asked.

    Reference answers are written from caption and mentions, which no candidate sees: an upper bound, not a competitor.

    Example: python -m llavamed_trainer judge answers.jsonl --model gpt-4o --max-cost 5
    """
    from rich.console import Console

    from llavamed_data.llm import RunLimits
    from llavamed_trainer.evaluation.judge.report import show_judgement
    from llavamed_trainer.evaluation.judge.run import JudgeOptions
    from llavamed_trainer.evaluation.judge.run import judge as run
    from llavamed_trainer.evaluation.tables import parse_variant

    options = JudgeOptions(
        model=model,
        benchmark=benchmark,
        split=split,
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
    result = run(answers, out or answers.with_suffix(".judged.jsonl"), options)
    if as_json:
        json.dump(result.to_dict(), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    elif not quiet:
        show_judgement(result, Console())
