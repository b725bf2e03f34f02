"""`export-task`: a question set as other evaluation kits read it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.export import ExportedTask


def export_task(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="vqa-rad | slake | path-vqa | a dataset's folder or name.",
            show_default=False,
        ),
    ],
    kit: Annotated[
        Literal["lmms-eval", "vlmevalkit"],
        typer.Option(help="What will ask the questions.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for --include_path of lmms-eval, or for LMUData of VLMEvalKit.", show_default=False
        ),
    ],
    split: Annotated[str, typer.Option(help="Dataset split.")] = "test",
    language: Annotated[
        str, typer.Option(help="Language of the questions: en | zh | all (SLAKE has both).")
    ] = "en",
    prompt: Annotated[
        str, typer.Option(help="Form of the prompts, as for predict: plain | options | …")
    ] = "plain",
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the task; it begins with llavamed_.",
            show_default="made of the set, split and prompt",
        ),
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option(
            help="Dataset on the Hub, OWNER/NAME, from which lmms-eval is to read the questions.",
            show_default="the files beside the task",
        ),
    ] = None,
    lost_images: Annotated[
        Literal["error", "skip", "ask"],
        typer.Option(
            help="Questions whose image is lost or damaged: stop, leave them out, or ask without the image."
        ),
    ] = "error",
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite an earlier export of this name.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
) -> None:
    """Write a set of questions as a task of lmms-eval, or as a TSV file of VLMEvalKit.

    Example: python -m llavamed_trainer export-task vqa-rad --kit lmms-eval --out tasks
    """
    from llavamed_data.errors import UsageError
    from llavamed_trainer.evaluation.export import ExportOptions
    from llavamed_trainer.evaluation.export import export_task as export
    from llavamed_trainer.evaluation.questions import PROMPT_FORMS, PromptForm

    forms: tuple[PromptForm, ...] = get_args(PromptForm)
    form = next((form for form in forms if form == prompt), None)
    if form is None:
        raise UsageError(
            f"there is no prompt form {prompt!r}: choose from {', '.join(PROMPT_FORMS)} with --prompt"
        )
    options = ExportOptions(
        benchmark=benchmark,
        kit=kit,
        split=split,
        language=language,
        prompt=form,
        name=name,
        repo=repo,
        lost_images=lost_images,
        replace=replace,
    )
    task = export(out, options)
    if not quiet:
        _show(task, out, options.kit, repo)


def _show(task: "ExportedTask", out: Path, kit: str, repo: str | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    left_out = sum(task.left_out.values())
    console.print(f"{task.questions} questions = {task.written} written + {left_out} left out", markup=False)
    for reason, count in task.left_out.items():
        console.print(f"  left out: {reason} {count}")
    if task.without_image:
        console.print(f"  asked without a lost or damaged image: {task.without_image}")
    types = ", ".join(f"{name} {count}" for name, count in task.types.items())
    console.print(f"  {types}; images shown: {task.images}")
    if task.changed:
        console.print(
            f"  written with a blank behind them, as VLMEvalKit takes them for missing values: {task.changed} texts"
        )
    for path in task.paths:
        console.print(str(path), markup=False)
    names = " ".join(task.names)
    if kit == "vlmevalkit":
        command = (
            f"LMUData={out.resolve()} PRED_FORMAT=tsv python run.py --data {names} --model MODEL --mode infer"
        )
    else:
        command = (
            f"lmms-eval --include_path {out} --tasks {names} --model llava_hf "
            "--model_args pretrained=MODEL,device_map=auto --batch_size 1"
        )
        if repo:
            console.print(f"upload it: hf upload {repo} {task.paths[0]} . --repo-type dataset", markup=False)
    console.print(f"run it: {command}", markup=False)
