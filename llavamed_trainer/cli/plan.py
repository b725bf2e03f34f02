"""`plan`: shows what a recipe will cost."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from llavamed_data.console.command_line import print_json
from llavamed_data.console.printable import counted

if TYPE_CHECKING:
    from llavamed_trainer.planning import TrainingPlan

_UTILISATION = 0.35
_GIGABYTE = 1e9


def plan(
    config: Annotated[str, typer.Option(help="Name of a recipe, or a file of settings.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="Base model for which the recipe is laid out: qwen2.5-vl-3b, … (a wrong name lists them).",
            show_default="the paper's",
        ),
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="Number of GPUs.")] = 8,
    gpu: Annotated[
        str, typer.Option(help="Kind of GPU: a100-40g, a100-80g, h100-80g, … (a wrong name lists them).")
    ] = "a100-40g",
    model: Annotated[
        str | None,
        typer.Option(
            help="Another model than the recipe's: a folder with a config.json, or a name on the Hub, of which only "
            "the config.json is read.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of the dataset.", show_default=False)] = None,
    text_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens in the text of a row.", show_default=False)
    ] = None,
    image_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens that an image takes.", show_default="the processor's, or assumed"),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Rows on a GPU at once.", show_default="the recipe's")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=1, help="Rank of LoRA adapters.", show_default=False)
    ] = None,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the GPUs' peak that training reaches.")
    ] = _UTILISATION,
    as_json: Annotated[bool, typer.Option("--json", help="Print the values as JSON.")] = False,
) -> None:
    """Show what a recipe will cost: training steps, tokens, operations, memory, and hours beside the paper's.

    Example: python -m llavamed_trainer plan --config stage2-60k-im --gpus 8 --gpu a100-40g
    Example: python -m llavamed_trainer plan --config stage2-60k-im --base qwen2.5-vl-3b --lora 16 --gpus 1
    """
    from llavamed_trainer.planning import find_gpu, make_plan
    from llavamed_trainer.recipes import find_recipe

    made = make_plan(
        find_recipe(config, base, adapters=True if lora else None),
        gpus,
        find_gpu(gpu),
        model=model,
        rows=rows,
        text_tokens=text_tokens,
        image_tokens=image_tokens,
        batch=batch,
        lora=lora,
        utilisation=utilisation,
    )
    if as_json:
        print_json(made.to_dict())
    else:
        _show(made, Console())


def _show(plan: "TrainingPlan", console: Console) -> None:
    """Shows a table of the cost, whether it fits, and what the paper took."""
    recipe = f"{plan.recipe}, {plan.base}," if plan.base else plan.recipe
    table = Table(title=f"{recipe} on {plan.gpus} × {plan.gpu.name}", show_header=False)
    for name, value in _lines(plan):
        table.add_row(name, value)
    console.print(table)
    if not plan.fits:
        fits = (
            "It does not fit: use more GPUs, a smaller per_device_train_batch_size, or LoRA (--lora 64 here, "
            "--use_peft for train)."
        )
    elif plan.gpus > 1:
        fits = "It fits, sharded over all GPUs (FSDP); without sharding each GPU holds the whole model."
    else:
        fits = "It fits."
    console.print(fits, soft_wrap=True)
    if plan.data.note:
        console.print(f"{plan.data.note}.", soft_wrap=True, markup=False)
    if plan.paper:
        console.print(
            f"{plan.paper.table}: {plan.paper.hours} h on eight A100 GPUs with a 7B model of 224 px and all rows, "
            f"{plan.paper.utilisation:.0%} of their peak by the same count; at this share the plan would take "
            f"{plan.hours * plan.utilisation / plan.paper.utilisation:.2g} h.",
            soft_wrap=True,
        )


def _lines(plan: "TrainingPlan") -> list[tuple[str, str]]:
    memory = plan.memory
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW": memory.optimizer,
        "gathered": memory.gathered,
        "activations": memory.activations,
        "reserve": memory.reserve,
    }
    rows = plan.batch * plan.gpus * plan.accumulated
    return [
        ("model", f"{plan.model}: {_count(plan.parameters)} parameters, {_count(plan.trained)} trainable"),
        ("parts", ", ".join(f"{name} {_count(count)}" for name, count in plan.parts.items())),
        (
            "rows",
            f"{plan.data.rows:,} × {plan.epochs:g} epoch{'s' * (plan.epochs != 1)} ({plan.data.source})",
        ),
        ("tokens per row", f"{plan.row_tokens:,}, {plan.image_tokens:,} of the image ({plan.image})"),
        (
            "training step",
            f"{counted(plan.batch, 'row')} × {counted(plan.gpus, 'GPU')} × {plan.accumulated} accumulated "
            f"= {counted(rows, 'row')}",
        ),
        ("training steps", f"{plan.steps:,}"),
        ("tokens", f"{plan.tokens:,}"),
        ("operations", f"{plan.operations:.3g}"),
        *(
            [("adapters", f"LoRA of rank {plan.adapters}, frozen weights in {plan.bits} bit")]
            if plan.adapters
            else []
        ),
        ("memory per GPU", f"{memory.total / _GIGABYTE:.1f} GB of {plan.gpu.gigabytes:g}"),
        ("", ", ".join(f"{name} {size / _GIGABYTE:.1f}" for name, size in parts.items())),
        ("hours", f"{plan.hours:.2f} at {plan.utilisation:.0%} of {plan.gpu.tflops:g} TFLOP/s per GPU"),
    ]


def _count(number: int) -> str:
    if number >= 1e9:
        return f"{number / 1e9:.2f} billion"
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:,}"
