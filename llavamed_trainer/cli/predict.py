"""`predict`: a model's answers to a benchmark."""

import os
import sys
from enum import StrEnum
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


class PromptForm(StrEnum):
    """How closed questions are asked."""

    PLAIN = "plain"
    OPTIONS = "options"


class LostImages(StrEnum):
    """What becomes of a question whose image is lost."""

    ERROR = "error"
    SKIP = "skip"
    ASK = "ask"


class FileForm(StrEnum):
    """Of the file of answers."""

    OURS = "ours"
    RELEASED = "released"


def predict(
    benchmark: Annotated[
        str,
        typer.Option(
            help="vqa-rad | slake | path-vqa | eval | a dataset's folder or name", show_default=False
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A LLaVA checkpoint or LoRA adapter; with --base-url, the server's name.", show_default=False
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="The file of answers.", show_default="predictions/BENCHMARK-SPLIT-PROMPT.jsonl"),
    ] = None,
    split: Annotated[str, typer.Option(help="Of the dataset.")] = "test",
    language: Annotated[str, typer.Option(help="en | zh | all")] = "en",
    prompt: Annotated[
        PromptForm, typer.Option(help="options: closed questions end in the choices, as the authors asked.")
    ] = PromptForm.PLAIN,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Any OpenAI-compatible address (vLLM and the like).", show_default="the devices here"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered together.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 1024,
    dtype: Annotated[str, typer.Option(help="auto | float32 | bfloat16 | float16")] = "auto",
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share the questions.", show_default="one a GPU"),
    ] = None,
    lost_images: Annotated[
        LostImages, typer.Option(help="Questions whose image is lost: stop, leave out by name, ask without.")
    ] = LostImages.ERROR,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write what there is where an answer cannot be had, and say so.")
    ] = False,
    form: Annotated[
        FileForm, typer.Option("--format", help="Of the file: ours, or the released code's.")
    ] = FileForm.OURS,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="No model: check this file of answers, ours or released, and write it in --format.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over answers of another run.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of the journal (--base-url).")] = Path(".llavamed"),
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    prices: PricesFile = None,
    timeout: RequestTimeout = 120.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Answer a benchmark, greedily; run again after a kill, only the rest is answered.

    Example: python -m llavamed_trainer predict --model llava-med-7b --benchmark vqa-rad
    """
    from rich.console import Console

    from llavamed_data.console.progress import progress_bars
    from llavamed_data.errors import UsageError
    from llavamed_data.llm import RunLimits
    from llavamed_trainer.evaluation.predict.options import PredictOptions
    from llavamed_trainer.evaluation.predict.report import show_predictions
    from llavamed_trainer.evaluation.predict.run import convert
    from llavamed_trainer.evaluation.predict.run import predict as run

    if bool(model) == (answers is not None):
        raise UsageError("give a --model that answers, or a file of --answers to check and write again")
    if base_url is None and answers is None:
        _launch(processes)
    options = PredictOptions(
        model=model,
        benchmark=benchmark,
        split=split,
        language=language,
        prompt=prompt.value,
        base_url=base_url,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        dtype=dtype,
        lost_images=lost_images.value,
        partial=partial,
        form=form.value,
        replace=replace,
        work=work,
        limits=RunLimits(rpm=rpm, tpm=tpm, max_cost=max_cost),
        timeout=timeout,
        prices=prices,
    )
    name = benchmark.rstrip("/").rpartition("/")[2]
    path = out or Path("predictions") / f"{name}-{split}-{prompt.value}.jsonl"
    with progress_bars(quiet=quiet) as on_progress:
        report = convert(answers, path, options) if answers else run(path, options, on_progress)
    if report and not quiet:
        show_predictions(report, str(path), Console())


def _launch(processes: int | None) -> None:
    """Becomes what `accelerate launch` starts, too, where several processes share the work."""
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
    os.execv(command[0], command)  # noqa: S606
