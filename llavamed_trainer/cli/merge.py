"""`merge`: merges a LoRA adapter into its base."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.console.command_line import print_json


def merge(
    adapter: Annotated[str, typer.Argument(help="LoRA adapter: the folder of a run, or a Hub name.")],
    out: Annotated[Path, typer.Argument(help="Folder of the merged model, a new or an empty one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Merge a LoRA adapter into the model that it was trained on: a whole checkpoint, as stock transformers writes it.

    Example: python -m llavamed_trainer merge runs/lora models/merged
    """
    from transformers.utils import logging

    from llavamed_trainer.serving import merge_adapter

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    made = merge_adapter(adapter, out)
    if as_json:
        print_json(made.to_dict())
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{' and '.join(made.adapters)} merged into {made.base}", markup=False)
    console.print(
        f"{made.folder}: {made.parameters:,} parameters in {made.dtype}, stops at {' and '.join(made.stops)}",
        markup=False,
    )
    console.print(f"check it: python -m llavamed_trainer check {made.folder}", markup=False)
