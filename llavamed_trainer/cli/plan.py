"""`plan`: what a recipe will cost."""

from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.console.command_line import print_json

_UTILISATION = 0.35


def plan(
    config: Annotated[str, typer.Option(help="A recipe's name, or a file of settings.")],
    gpus: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    gpu: Annotated[
        str, typer.Option(help="Which: a100-40g, a100-80g, h100-80g, … (a wrong name lists them).")
    ] = "a100-40g",
    model: Annotated[
        str | None,
        typer.Option(
            help="Another than the recipe's: a known name, or a folder with config.json.", show_default=False
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of the dataset.", show_default=False)] = None,
    text_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a row's text.", show_default=False)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Rows on a GPU at once.", show_default="the recipe's")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=1, help="Rank of LoRA adapters.", show_default=False)
    ] = None,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the peak that is reached.")
    ] = _UTILISATION,
    as_json: Annotated[bool, typer.Option("--json", help="The numbers as JSON.")] = False,
) -> None:
    """Say what a recipe will cost: steps, tokens, operations, memory a GPU, hours beside the paper's.

    Example: python -m llavamed_trainer plan --config stage2-60k-im --gpus 8 --gpu a100-40g
    """
    from llavamed_trainer.planning import find_gpu, make_plan, render
    from llavamed_trainer.recipes import find_recipe

    made = make_plan(
        find_recipe(config),
        gpus,
        find_gpu(gpu),
        model=model,
        rows=rows,
        text_tokens=text_tokens,
        batch=batch,
        lora=lora,
        utilisation=utilisation,
    )
    if as_json:
        print_json(made.to_dict())
    else:
        render(made, Console())
