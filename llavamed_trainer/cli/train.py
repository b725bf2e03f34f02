"""`train`: runs one stage of the curriculum."""

import os
from typing import Annotated

import typer

ANY_FLAG = {"ignore_unknown_options": True}
"""Settings of the command: it takes every flag of TRL and transformers too."""


def train(
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="--config RECIPE|FILE [--base BASE] [--FLAG VALUE]...", show_default=False),
    ] = None,
    help_all: Annotated[
        bool, typer.Option("--help-all", help="Show every flag, those of TRL and transformers too.")
    ] = False,
) -> None:
    """Train a model with a recipe, or with a file of settings that may build on one (recipe: NAME, base: NAME).

    Rerun the same command after a kill: it resumes from the last checkpoint.

    \b
    Recipes: stage1, stage1-full, stage1-no-instruction,
      stage2-10k, stage2-60k, stage2-60k-im,
      finetune-vqa-rad, finetune-slake, finetune-path-vqa

    \b
    Bases, for another model than the paper's and what is right for it:
      llava-1.5-7b, llava-med-v1.5, qwen2.5-vl-3b, qwen2.5-vl-7b,
      qwen3-vl-4b, qwen3-vl-8b, medgemma-4b, smolvlm-500m, smolvlm-2.2b

    \b
    --model_name_or_path  checkpoint to start from: folder or Hub name
    --dataset             what load_dataset takes: llava-med/60k-im, a folder
    --dataset_revision    branch, tag or commit of a dataset on the Hub
    --split               split that is trained on (train)
    --eval_dataset        dataset for --eval_strategy, if it is another one
    --eval_split          split that is evaluated
    --streaming           read rows while training, without a download first
    --shuffle_buffer      number of rows among which a stream is shuffled (1000)
    --max_rows            train on the first rows only
    --stage               projector | projector+language-model
    --text                all | answers (the image is the only input)
    --template            chat template: vicuna_v1 | mistral | a Jinja file
    --global_batch_size   rows in a training step; with --packing, packs
    --exact_images        decode images to the bit as the stock processor does
    --max_bad_rows        end the run if more rows cannot be trained on
    --allow_test_split    train on data for evaluation without a warning
    --evaluate            score while training: slake:validation, vqa-rad:train[10%]
    --every               training steps between two scores
    --early_stopping_patience   end after so many scores no better than the best
    --evaluate_limit      ask so many questions of each benchmark alone
    --evaluate_language   en | zh | all (SLAKE has both)
    --evaluate_max_new_tokens   longest answer in tokens (128)
    --output_dir          folder of the model (runs/RECIPE)
    --use_peft            train LoRA on the language model, and the projector
    --load_in_4bit        with --use_peft: the language model's frozen weights in 4 bit
    --push_to_hub         push the model and its card; failures are retried
    --hub_model_id        ORG/NAME of the model on the Hub
    --report_to           trackio | wandb | tensorboard | none

    Example: accelerate launch -m llavamed_trainer train --config stage1 --output_dir runs/mine
    Example: python -m llavamed_trainer train --config stage2-60k-im --base qwen2.5-vl-3b --use_peft
    """
    from llavamed_trainer.recipes import find_recipe, split_config

    config, base, _ = split_config(flags or [])
    if config is not None:
        os.environ.update(
            find_recipe(config, base).env
        )  # before the next line imports torch, which reads them

    from llavamed_trainer.running import make_parser, parse_settings, run_training

    if help_all:
        typer.echo(make_parser().format_help())
        return
    run_training(parse_settings(flags or []))
