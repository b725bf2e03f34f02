"""`train`: one stage of the curriculum."""

from typing import Annotated

import typer

FLAGS_OF_OTHERS = {"ignore_unknown_options": True}
"""For the command line: every flag of TRL's is one of ours."""


def train(
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="--config RECIPE|FILE [--FLAG VALUE]...", show_default=False),
    ] = None,
    help_all: Annotated[
        bool, typer.Option("--help-all", help="Show every flag, those of TRL and transformers too.")
    ] = False,
) -> None:
    """Train a stage by a recipe, or by a file of settings that may say recipe: NAME.

    A run that was killed goes on when the same command is run again.

    \b
    Recipes: stage1, stage1-full, stage1-no-instruction,
      stage2-10k, stage2-60k, stage2-60k-im,
      finetune-vqa-rad, finetune-slake, finetune-path-vqa

    \b
    --model_name_or_path  checkpoint to start from: folder, or Hub name
    --dataset             what load_dataset takes: llava-med/60k-im, a folder
    --dataset_revision    branch, tag or commit of a dataset on the Hub
    --split               rows to train on (train)
    --eval_dataset        rows for --eval_strategy, if not the same dataset's
    --eval_split          their split
    --streaming           read rows as they come
    --shuffle_buffer      rows among which a stream is shuffled (1000)
    --max_rows            train on the first rows only
    --stage               projector | projector+language-model
    --text                all | answers (the image as the only input)
    --template            chat template: vicuna_v1 | mistral
    --global_batch_size   rows a step over all processes
    --exact_images        decode images bit for bit as the stock processor
    --max_bad_rows        end the run when more rows cannot be used
    --output_dir          where the model goes (runs/RECIPE)
    --use_peft            LoRA on the language model; the projector is trained
    --load_in_4bit        with --use_peft, on a GPU
    --push_to_hub         model and card; tried again where the Hub fails
    --hub_model_id        ORG/NAME of it
    --report_to           trackio | wandb | tensorboard | none

    Example: accelerate launch -m llavamed_trainer train --config stage1 --output_dir runs/mine
    """
    from llavamed_trainer.running import make_parser, parse_call, run_training

    if help_all:
        typer.echo(make_parser().format_help())
        return
    run_training(parse_call(flags or []))
