"""`score`: the scores of a file of answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import (
    MaxCost,
    PricesFile,
    RequestsPerMinute,
    RequestTimeout,
    TokensPerMinute,
)
from llavamed_data.errors import UsageError

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.judge import JudgedShortAnswers, ShortAnswerOptions
    from llavamed_trainer.evaluation.scorers import ComparableScores
    from llavamed_trainer.evaluation.scoring import Comparison, Scores


def score(
    predictions: Annotated[
        Path, typer.Argument(help="File of answers, as predict writes it or as the authors released them.")
    ],
    benchmark: Annotated[
        str,
        typer.Option(
            help="vqa-rad | slake | path-vqa | pmc-vqa or another benchmark of multiple choice | a dataset's folder or "
            "name | an original test.json",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(help="Dataset split.")] = "test",
    language: Annotated[
        str, typer.Option(help="Questions that count: en | zh | all (SLAKE has both).")
    ] = "en",
    against: Annotated[
        Path | None,
        typer.Option(
            help="Other answers to the same questions, to compare with; such as those of predict --images blank, which "
            "show whether the model looks.",
            show_default=False,
        ),
    ] = None,
    scorers: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            help="Score as these kits do, in one table: authors | strict | medevalkit | lmms-eval | vlmevalkit, or a "
            "rule of one for any set, such as lmms-eval-slake-rule. Several: by commas, or the option again.",
            show_default="authors,strict",
        ),
    ] = None,
    explain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Show what each scorer makes of the answer to this question, and why; no results file is written. "
            "Several: the option again.",
            show_default=False,
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Score the rest if answers or verdicts are missing; the result says so."
        ),
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
    judge: Annotated[
        str | None,
        typer.Option(
            help="A model that says of each open answer whether it means the same as the reference.",
            show_default=False,
        ),
    ] = None,
    second_judge: Annotated[
        str | None,
        typer.Option(
            help="With --judge: a second judge on the same server, to see how far the two agree.",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Address of the judge's server, which speaks OpenAI's API.", show_default="OpenAI's own"
        ),
    ] = None,
    one_order: Annotated[
        bool,
        typer.Option(
            "--one-order",
            help="With --judge: the reference first only, which is half the requests and disputes nothing.",
        ),
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="With --judge: print requests, tokens and dollars, and neither ask nor score."
        ),
    ] = False,
    work: Annotated[Path, typer.Option(help="Folder of the journal, which keeps verdicts.")] = Path(
        ".llavamed"
    ),
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    timeout: RequestTimeout = 600.0,
    output: Annotated[
        Path | None,
        typer.Option(help="Results file, for tables.", show_default="PREDICTIONS with .scores.json"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write the results file and print nothing.")] = False,
) -> None:
    """Score answers: the authors' metrics to the last digit, strict ones beside them, intervals for all.

    With --as, also as other kits score them, their errors included.

    With --judge, an LLM says of each open answer whether it means the same as the reference.
    Rerun the same command after a failure: verdicts are kept.

    Example: python -m llavamed_trainer score answers.jsonl --benchmark vqa-rad --as authors,medevalkit
    """
    from dataclasses import replace

    from llavamed_data.llm import RunLimits
    from llavamed_trainer.evaluation.judge import ShortAnswerOptions, judge_short_answers
    from llavamed_trainer.evaluation.scorers import comparable_to_dict, score_as, scorer_names
    from llavamed_trainer.evaluation.scoring import (
        Resampling,
        compare_predictions,
        comparison_to_dict,
        score_predictions,
        scores_to_dict,
        with_looking,
        write_scores,
    )
    from llavamed_trainer.evaluation.tables import parse_variant

    names = scorer_names(scorers or ())
    if explain:
        _explain(predictions, benchmark, explain, names, split, language, partial=partial, as_json=as_json)
        return
    trained = parse_variant(variant).to_dict() if variant else None
    resampling = Resampling(draws=draws, seed=seed, by_image=by_image)
    results = output or predictions.with_suffix(".scores.json")
    if not judge and (second_judge or estimate):
        raise UsageError(
            "--second-judge and --estimate go with --judge: name the model that judges with --judge"
        )
    options = judge and ShortAnswerOptions(
        model=judge,
        second_model=second_judge,
        base_url=base_url,
        both_orders=not one_order,
        partial=partial,
        work=work,
        limits=RunLimits(rpm=rpm, tpm=tpm, max_cost=max_cost),
        timeout=timeout,
        prices=prices,
    )
    if options and estimate:
        _show_estimate(predictions, benchmark, options, split, language, as_json=as_json)
        return
    judged = (
        judge_short_answers(
            predictions,
            benchmark,
            options,
            results.with_name(
                f"{results.name.removesuffix('.json').removesuffix('.scores')}.short_answers.jsonl"
            ),
            split=split,
            language=language,
            resampling=resampling,
        )
        if options
        else None
    )
    scored = score_predictions(
        predictions, benchmark, split=split, language=language, partial=partial, resampling=resampling
    )
    comparable = (
        score_as(
            predictions,
            benchmark,
            names,
            split=split,
            language=language,
            partial=partial,
            resampling=resampling,
        )
        if scorers or not (quiet or as_json)
        else []
    )
    if scorers:
        scored = [
            replace(each, further={**each.further, "scorers": comparable_to_dict(by_scorers)})
            for each, by_scorers in zip(scored, comparable, strict=True)
        ]
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
    if judged:
        scored = [
            replace(each, short_answers=of_form) for each, of_form in zip(scored, judged.scores, strict=True)
        ]
    scored = with_looking(scored, compared)
    write_scores(results, scored, trained)
    if as_json:
        stated = {
            "scores": [scores_to_dict(each) for each in scored],
            "comparisons": [comparison_to_dict(each) for each in compared],
        }
        print_json(stated)
    elif not quiet:
        _show(scored, comparable, compared, judged, has_scorers=bool(scorers))


def _show(
    scored: "Sequence[Scores]",
    comparable: "Sequence[ComparableScores]",
    compared: "Sequence[Comparison]",
    judged: "JudgedShortAnswers | None",
    *,
    has_scorers: bool,
) -> None:
    """Prints the scores of each prompt form, then comparisons with other answers, then what judging took."""
    from rich.console import Console

    from llavamed_trainer.evaluation.judge.report import show_counts, show_short_answers
    from llavamed_trainer.evaluation.scorers.report import show_baselines, show_comparable
    from llavamed_trainer.evaluation.scoring.report import show_comparison, show_scores

    console = Console()
    for each, by_scorers in zip(scored, comparable, strict=True):
        if has_scorers:
            show_comparable(by_scorers, console)
        else:
            show_scores(each, console)
            show_baselines(by_scorers, console)
        if each.short_answers:
            show_short_answers(each.short_answers, console)
    for comparison in compared:
        show_comparison(comparison, console)
    if judged:
        show_counts(judged.counts, console)


def _show_estimate(
    predictions: Path,
    benchmark: str,
    options: "ShortAnswerOptions",
    split: str,
    language: str,
    *,
    as_json: bool,
) -> None:
    """Prints what judging the open answers will take."""
    from rich.console import Console

    from llavamed_trainer.evaluation.judge import estimate_short_answers
    from llavamed_trainer.evaluation.judge.report import show_estimates

    estimates = estimate_short_answers(predictions, benchmark, options, split=split, language=language)
    if as_json:
        print_json([each.to_dict() for each in estimates])
    else:
        show_estimates(estimates, Console())


def _explain(
    predictions: Path,
    benchmark: str,
    ids: Sequence[str],
    names: Sequence[str],
    split: str,
    language: str,
    *,
    partial: bool,
    as_json: bool,
) -> None:
    from rich.console import Console

    from llavamed_trainer.evaluation.scorers import explain_answers, explanation_to_dict
    from llavamed_trainer.evaluation.scorers.report import show_explanation

    explained = explain_answers(
        predictions, benchmark, ids, names, split=split, language=language, partial=partial
    )
    if as_json:
        print_json({"explanations": [explanation_to_dict(each) for each in explained]})
        return
    console = Console()
    for each in explained:
        show_explanation(each, console)
