"""Fine-tune a LLaVA on a LLaVA-Med dataset with TRL's SFTTrainer and this package's collator and frozen parts.

    pip install -e ".[train]"
    python -m llavamed_data build 60k-im

One GPU, the language model by LoRA:

    python examples/sft_llavamed.py \
        --model_name_or_path llava-hf/llava-1.5-7b-hf --template vicuna_v1 \
        --dataset_name llava-med/60k-im \
        --use_peft --lora_r 64 --lora_alpha 128 \
        --learning_rate 2e-5 --max_length 2048 --per_device_train_batch_size 8 --gradient_accumulation_steps 16 \
        --output_dir runs/sft

Eight GPUs, the whole language model, sharded:

    accelerate launch --config_file examples/accelerate/fsdp.yaml examples/sft_llavamed.py \
        --model_name_or_path llava-hf/llava-1.5-7b-hf --template vicuna_v1 \
        --dataset_name llava-med/60k-im --learning_rate 2e-5 --max_length 2048 \
        --per_device_train_batch_size 8 --gradient_accumulation_steps 2 --output_dir runs/sft

Any machine, a tiny random model, which learns next to nothing in 15 training steps:

    python -m llavamed_trainer assemble models/tiny --tiny
    python examples/sft_llavamed.py --model_name_or_path models/tiny --dataset_name llava-med/60k-im \
        --learning_rate 1e-3 --max_length 512 --logging_steps 5 --use_cpu --bf16 false --output_dir runs/sft

`python -m llavamed_trainer train` does more: the paper's recipes, logits only where labels are, no back-propagation
through the frozen vision tower, checkpoints that resume to the bit. See --help for all flags.
"""

from dataclasses import dataclass, field
from pathlib import Path

from datasets import Image, List, load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import ModelConfig, ScriptArguments, SFTConfig, SFTTrainer, TrlParser

from llavamed_data.errors import LlavaMedError
from llavamed_trainer import TEMPLATES, BadRows, LlavaMedCollator, Stage, apply_stage, lora_config
from llavamed_trainer.models import find_template


@dataclass
class DataArguments(ScriptArguments):
    """TRL's script arguments, and those of the collator."""

    template: str | None = field(default=None, metadata={"help": f"{', '.join(TEMPLATES)}, or a file."})
    max_bad_rows: int | None = field(default=None, metadata={"help": "End when more rows cannot be used."})


def main(data: DataArguments, training: SFTConfig, stated: ModelConfig) -> None:
    if training.resume_from_checkpoint:
        raise SystemExit("to resume from a checkpoint, use python -m llavamed_trainer train")
    model = AutoModelForImageTextToText.from_pretrained(
        stated.model_name_or_path,
        revision=stated.model_revision,
        dtype=stated.dtype,
        attn_implementation=stated.attn_implementation,
    )
    processor = AutoProcessor.from_pretrained(stated.model_name_or_path, revision=stated.model_revision)
    if data.template:
        processor.chat_template = find_template(data.template)

    rows = load_dataset(data.dataset_name, data.dataset_config, split=data.dataset_train_split)
    rows = rows.cast_column("images", List(Image(decode=False)))  # the collator decodes at the size it needs

    training.remove_unused_columns = False
    adapters = None
    if stated.use_peft:  # on the language model alone: "all-linear" would adapt the frozen tower too
        adapters = lora_config(
            model, r=stated.lora_r, lora_alpha=stated.lora_alpha, lora_dropout=stated.lora_dropout
        )
    else:  # before the trainer is built: it makes the optimizer
        apply_stage(model, Stage.PROJECTOR_AND_LANGUAGE_MODEL)
    trainer = SFTTrainer(
        model=model,
        args=training,
        train_dataset=rows,
        processing_class=processor,
        data_collator=LlavaMedCollator(
            processor,
            max_length=training.max_length,
            bad_rows=BadRows(data.max_bad_rows, Path(training.output_dir) / "bad_rows.jsonl"),
        ),
        peft_config=adapters,
    )
    trainer.train()  # SFTTrainer does not restore LLaVA's weights when it resumes; LlavaMedTrainer does
    trainer.save_model(training.output_dir)


if __name__ == "__main__":
    try:
        main(*TrlParser((DataArguments, SFTConfig, ModelConfig)).parse_args_and_config())
    except (
        LlavaMedError
    ) as error:  # such as a model that is no LLaVA, which this collator makes no batches for
        raise SystemExit(f"error: {error}") from None
