"""`predict`: a model's answers to a benchmark."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llavamed_data.console.options import (
    MaxCost,
    PricesFile,
    RequestsPerMinute,
    RequestTimeout,
    TokensPerMinute,
)

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.predict import PredictReport


def predict(
    benchmark: Annotated[
        str,
        typer.Option(
            help="vqa-rad | slake | path-vqa | eval | pmc-vqa or another benchmark of multiple choice | a dataset's "
            "folder or name",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A checkpoint or LoRA adapter of a vision–language model; with --base-url, the server's name for it.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of answers.",
            show_default="predictions/BENCHMARK-SPLIT-FORM….jsonl, named after the options",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Dataset split.")] = "test",
    language: Annotated[
        str, typer.Option(help="Language of the questions: en | zh | all (SLAKE has both).")
    ] = "en",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Ask the first so many questions alone, to try things out.", show_default="all"
        ),
    ] = None,
    prompt: Annotated[
        Literal["authors", "options", "medevalkit", "lmms-eval", "plain"],
        typer.Option(
            help="authors, or options: yes and no behind closed questions, as the authors did. medevalkit, lmms-eval: "
            "the prompts of these kits. plain: the question alone."
        ),
    ] = "plain",
    images: Annotated[
        Literal["real", "blank", "noise", "shuffled"],
        typer.Option(
            help="What the model is shown, to see whether it looks: the questions' own images, grey ones, noise, or "
            "the images of other questions."
        ),
    ] = "real",
    seed: Annotated[int, typer.Option(min=0, help="Seed of noise and shuffled images.")] = 0,
    shuffle_options: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Show the choices of multiple-choice questions in an order drawn with this seed; models prefer some "
            "positions.",
            show_default="as the benchmark has them",
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server, such as vLLM.", show_default="run on this machine"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered together.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 1024,
    dtype: Annotated[
        str, typer.Option(help="Data type of the weights: auto | float32 | bfloat16 | float16")
    ] = "auto",
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share the questions.", show_default="one for each GPU"),
    ] = None,
    lost_images: Annotated[
        Literal["error", "skip", "ask"],
        typer.Option(help="Questions whose image is lost: stop, leave them out, or ask without the image."),
    ] = "error",
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Write the file although some questions cannot be answered."),
    ] = False,
    file_format: Annotated[
        Literal["ours", "released"],
        typer.Option("--format", help="Format of the file of answers: ours, or the released code's."),
    ] = "ours",
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Run no model: check this file of answers, ours or released, and write it in --format.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the answers of another run.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of the journal (with --base-url).")] = Path(".llavamed"),
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    timeout: RequestTimeout = 600.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Answer the questions of a benchmark, greedily. After a kill, rerun the same command: it answers only the rest.

    Example: python -m llavamed_trainer predict --model llava-med-7b --benchmark vqa-rad
    """
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.errors import UsageError
    from llavamed_data.llm import RunLimits
    from llavamed_trainer.evaluation.predict import PredictOptions, convert, default_path
    from llavamed_trainer.evaluation.predict import predict as run
    from llavamed_trainer.evaluation.questions import form_named

    if bool(model) == (answers is not None):
        raise UsageError(
            "give either a --model that answers, or a file of --answers to check and write again"
        )
    if limit and answers:
        raise UsageError("--limit chooses what a --model is asked: leave it out with --answers")
    if images != "real" and answers:
        raise UsageError("--images chooses what a --model is shown: leave it out with --answers")
    if shuffle_options is not None and answers:
        raise UsageError("--shuffle-options chooses what a --model is shown: leave it out with --answers")
    if base_url is None and answers is None:
        _launch_processes(processes)
        if not quiet and Path(model).is_dir():
            _warn_of_stage(Path(model))
    options = PredictOptions(
        model=model,
        benchmark=benchmark,
        split=split,
        language=language,
        limit=limit,
        prompt=form_named(prompt),
        images=images,
        seed=seed,
        shuffle_choices=shuffle_options,
        base_url=base_url,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        dtype=dtype,
        lost_images=lost_images,
        partial=partial,
        file_format=file_format,
        replace=replace,
        work=work,
        limits=RunLimits(rpm=rpm, tpm=tpm, max_cost=max_cost),
        timeout=timeout,
        prices=prices,
    )
    path = out or default_path(options, answers)
    with progress_bars(quiet=quiet) as on_progress:
        report = convert(answers, path, options) if answers else run(path, options, on_progress)
    if report and not quiet:
        _show(report, path, options.images)


def _warn_of_stage(model: Path) -> None:
    """Says that a model comes from Stage 1, after which answers to questions are not to be expected."""
    from llavamed_trainer.running.record import trained_projector_alone

    if trained_projector_alone(model) and os.environ.get("RANK", "0") == "0":
        print(
            f"WARNING: the run in {model} trained the projector alone (Stage 1), which teaches no answers to "
            "questions. Train it on first: python -m llavamed_trainer train --config stage2-60k-im "
            f"--model_name_or_path {model}"
        )


def _launch_processes(processes: int | None) -> None:
    """Replaces this process by torch's launcher, as `accelerate launch` would, if several are to share the work."""
    if "WORLD_SIZE" in os.environ:
        return
    import torch

    count = processes or max(1, torch.cuda.device_count())
    if count == 1:
        return
    command = (
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)),
        *("-m", "llavamed_trainer", *sys.argv[1:]),
    )
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  (our own interpreter and arguments)


def _show(report: "PredictReport", out: Path, images: str) -> None:
    from rich.console import Console

    console = Console()
    unanswered = sum(report.unanswered.values())
    console.print(
        f"{report.questions} questions = {report.answered} answered + {unanswered} without an answer"
    )
    if unanswered:
        reasons = ", ".join(f"{reason} {count}" for reason, count in report.unanswered.items())
        console.print(f"  without an answer: {reasons}")
    if report.without_image:
        console.print(f"  asked without their lost image: {report.without_image}")
    if images != "real":
        console.print(f"  shown {images} images instead of the questions' own")
    if report.truncated:
        console.print(f"  cut off at the longest answer allowed: {report.truncated}")
    if report.reused:
        console.print(f"  answered by an earlier start: {report.reused}")
    if report.tally:
        tally = report.tally
        console.print(
            f"  {tally.answered} requests answered, {tally.details()}, {tally.retries} retries, "
            f"{tally.dollars:.4f} dollars"
        )
    console.print(str(out), highlight=False)
