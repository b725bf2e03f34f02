"""`assemble`: makes a LLaVA checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from llavamed_trainer.assembly import AssembledModel


def assemble(
    out: Annotated[Path, typer.Argument(help="Folder of the checkpoint, a new or an empty one.")],
    vision_tower: Annotated[
        str | None,
        typer.Option(
            help="CLIP, SigLIP, ViT or DINOv2 (folder or Hub name), or BiomedCLIP's open_clip file.",
            show_default=False,
        ),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            help="Vicuna, Llama, Mistral or another causal language model (folder or Hub name).",
            show_default=False,
        ),
    ] = None,
    projector: Annotated[
        Literal["linear", "mlp2x_gelu"],
        typer.Option(help="linear as in the paper, or mlp2x_gelu as in LLaVA-1.5."),
    ] = "linear",
    projector_weights: Annotated[
        Path | None,
        typer.Option(help="Weights of the projector: LLaVA's mm_projector.bin.", show_default="random"),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="Chat template: vicuna_v1, mistral, own (the language model's), or the path of a Jinja file.",
            show_default="vicuna_v1; with --from-legacy that of its language model",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Data type of the saved weights.")
    ] = "bfloat16",
    from_legacy: Annotated[
        Path | None,
        typer.Option(
            help="Convert this checkpoint of the released LLaVA or LLaVA-Med v1.5 code.", show_default=False
        ),
    ] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Make a random model of 0.3M parameters, for trying things out.")
    ] = False,
    dataset: Annotated[
        str, typer.Option(help="With --tiny: dataset on whose texts the tokenizer is trained.")
    ] = "llava-med/60k-im",
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
) -> None:
    """Make a LLaVA checkpoint for stock transformers: from parts, from the released layout, or a tiny random one.

    \b
    python -m llavamed_trainer assemble models/llava-med --vision-tower openai/clip-vit-large-patch14 \\
        --language-model lmsys/vicuna-7b-v1.5
    python -m llavamed_trainer assemble models/v1.5 --from-legacy llava-med-v1.5-mistral-7b
    python -m llavamed_trainer assemble models/tiny --tiny --dataset llava-med/60k-im
    """
    from transformers.utils import logging

    from llavamed_data.errors import UsageError
    from llavamed_trainer import assembly

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    if [tiny, from_legacy is not None, language_model is not None].count(True) != 1:
        raise UsageError("give --vision-tower and --language-model, or --from-legacy, or --tiny")
    if tiny:
        folder = assembly.assemble_tiny_of(
            dataset, out, projector=projector, template=template or "vicuna_v1", seed=seed
        )
        Console().print(f"{folder}: a tiny random LLaVA, for trying things out", soft_wrap=True, markup=False)
        return
    if from_legacy is not None:
        _show(
            assembly.convert_legacy(
                from_legacy, out, vision_tower=vision_tower, template=template, dtype=dtype
            )
        )
        return
    if vision_tower is None or language_model is None:
        raise UsageError("--language-model needs --vision-tower")
    _show(
        assembly.assemble(
            out,
            vision_tower=vision_tower,
            language_model=language_model,
            projector=projector,
            template=template or "vicuna_v1",
            dtype=dtype,
            projector_weights=projector_weights,
            seed=seed,
        )
    )


def _show(made: "AssembledModel") -> None:
    table = Table("part", "parameters", title=str(made.folder))
    table.columns[1].justify = "right"
    for part, count in made.parameters.items():
        table.add_row(part, f"{count:,}")
    console = Console()
    console.print(table)
    console.print(
        f"{made.tokens_per_image} tokens per image of {made.image_side} px, weights in {made.dtype}, "
        f"chat template {made.template}",
        markup=False,
    )
    console.print(
        f'LlavaForConditionalGeneration.from_pretrained("{made.folder}")', soft_wrap=True, markup=False
    )
