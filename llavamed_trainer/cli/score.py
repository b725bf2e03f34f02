"""`score`: the scores of a file of answers."""

from pathlib import Path
from typing import Annotated

import typer

from llavamed_data.console.command_line import print_json


def score(
    predictions: Annotated[
        Path, typer.Argument(help="File of answers, as predict writes it or as the authors released them.")
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            help="vqa-rad | slake | path-vqa | a dataset's folder or name | an original test.json",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(help="Dataset split.")] = "test",
    language: Annotated[
        str, typer.Option(help="Questions that count: en | zh | all (SLAKE has both).")
    ] = "en",
    against: Annotated[
        Path | None,
        typer.Option(help="Other answers to the same questions, to compare with.", show_default=False),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Score the rest if some answers are missing; the result says so."),
    ] = False,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap samples of the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap samples.")] = 0,
    by_image: Annotated[
        bool,
        typer.Option(
            "--by-image",
            help="Draw whole images with their questions, which depend on each other: wider intervals.",
        ),
    ] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            help="What was trained, for tables: instruct=60k-im,stage1=1,stage2=3,ft=9", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Results file, for tables.", show_default="PREDICTIONS with .scores.json"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write the results file and print nothing.")] = False,
) -> None:
    """Score answers: the authors' metrics to the last digit, strict ones beside them, intervals for all.

    Example: python -m llavamed_trainer score answers.jsonl --benchmark vqa-rad
    """
    from rich.console import Console

    from llavamed_trainer.evaluation.scoring import (
        Resampling,
        compare_predictions,
        comparison_to_dict,
        score_predictions,
        scores_to_dict,
        write_scores,
    )
    from llavamed_trainer.evaluation.scoring.report import show_comparison, show_scores
    from llavamed_trainer.evaluation.tables import parse_variant

    trained = parse_variant(variant).to_dict() if variant else None
    resampling = Resampling(draws=draws, seed=seed, by_image=by_image)
    scored = score_predictions(
        predictions, benchmark, split=split, language=language, partial=partial, resampling=resampling
    )
    compared = (
        compare_predictions(
            predictions,
            against,
            benchmark,
            split=split,
            language=language,
            partial=partial,
            resampling=resampling,
        )
        if against
        else []
    )
    write_scores(output or predictions.with_suffix(".scores.json"), scored, trained)
    if as_json:
        stated = {
            "scores": [scores_to_dict(each) for each in scored],
            "comparisons": [comparison_to_dict(each) for each in compared],
        }
        print_json(stated)
    elif not quiet:
        console = Console()
        for each in scored:
            show_scores(each, console)
        for comparison in compared:
            show_comparison(comparison, console)
