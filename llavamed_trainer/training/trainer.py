"""TRL's SFT trainer, changed where it would train a vision–language model wrongly without saying so."""

import copy
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers.trainer import SCHEDULER_NAME
from trl import SFTTrainer

from llavamed_data.errors import UsageError
from llavamed_trainer.collate.batches import LengthGroupedSampler, PackCollator, packed_dataset, read_lengths
from llavamed_trainer.models.saving import name_weights_as_on_hub
from llavamed_trainer.training.checkpoints import load_weights, newest_checkpoint, save_weights
from llavamed_trainer.training.forward import compute_logits_at_labels, run_frozen_tower_without_graph
from llavamed_trainer.training.sharding import (
    check_sharded,
    is_sharded,
    load_optimizer,
    save_optimizer,
    wants_sharding,
)


def _train_in_float32(model: Any) -> None:
    """Turns weights that are trained beside frozen ones of 16 bit into float32, which autocast computes with as well.

    In 16 bit AdamW's small steps are rounded away.
    """
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data = weights.data.float()


def _undo_rounding(model: Any) -> None:
    """Gives what is trained beside weights of 4 or 8 bit the precision that it was loaded in.

    TRL rounds all of it to bfloat16, the adapters of the language model and the whole projector beside them; without
    autocast the projector would then not take the float32 features of its tower either.
    """
    from peft.utils import ModulesToSaveWrapper

    for module in model.modules():
        if isinstance(module, ModulesToSaveWrapper):
            for name in module.active_adapters:
                copies = module.modules_to_save[name].parameters()
                for copy_of, own in zip(copies, module.original_module.parameters(), strict=True):
                    copy_of.data = own.data.to(copy_of.device, copy=True)
    for name, weights in model.named_parameters():
        if weights.requires_grad and ".lora_" in name:
            weights.data = weights.data.float()


def _keep_layout(model: Any) -> None:
    """Keeps bitsandbytes from turning weights of 4 bit on a CPU into its layout for inference during an evaluation.

    No gradient goes through that layout, so training could not go on after it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


class LlavaMedTrainer(SFTTrainer):
    """Trains a vision–language model on rows with `messages` and `images`.

    It differs from TRL's trainer in this: a frozen vision tower runs without a graph; logits are computed only where
    labels are; accumulated batches and processes are weighed by their labels, whatever the model; a checkpoint resumes
    to the bit, the best one is loaded strictly, and a stage that trains little saves only that; rows can be packed and
    grouped by length, in an order that a resumed run finds again; a launch that asked for FSDP and did not get it ends.

        model, processor = load_model("Qwen/Qwen2.5-VL-3B-Instruct")
        apply_stage(model, Stage.PROJECTOR)
        trainer = LlavaMedTrainer(model=model, args=SFTConfig("runs/mine"), train_dataset=rows,
                                  processing_class=processor, data_collator=ConversationCollator(processor))
        trainer.train(resume_from_checkpoint=True)    # from the newest complete checkpoint

    Args:
        model: the model, with the parts that its stage freezes frozen (`apply_stage`), or any with `peft_config`.
        args: TRL's `SFTConfig`, which is not changed: the trainer works on a copy of it.
            `train_sampling_strategy="group_by_length"` groups rows. `save_model` writes the whole model to `output_dir`
            as stock `from_pretrained` reads it.
        train_dataset: rows with `messages` and `images`, and with `length` for grouping and packing.
        data_collator: a `ConversationCollator`. One that packs gets rows that fill `args.max_length` together, and
            `per_device_train_batch_size` counts packs then.
        rest: further arguments of `SFTTrainer`; `peft_config=lora_config(model)` for LoRA.

    Raises:
        UsageError: rows are to be grouped or packed, and have no lengths.
    """

    def __init__(self, model: Any, args: Any, *, data_collator: Any, train_dataset: Any, **rest: Any) -> None:
        args, given = copy.copy(args), args
        # The batches of a stream differ in width, so one process cannot share them out.
        args.accelerator_config = copy.copy(given.accelerator_config)
        args.accelerator_config.dispatch_batches = False
        args.remove_unused_columns = False  # the collator reads images, and names bad rows by their ids
        # The stock trainer refuses to save the optimizer of a model that is sharded while it is loaded; this one can.
        sharded_at_load = bool(getattr(model, "is_distributed_loading_by_transformers", False))
        args.save_only_model = given.save_only_model or sharded_at_load
        super().__init__(
            model=model, args=args, data_collator=data_collator, train_dataset=train_dataset, **rest
        )
        self.args.save_only_model = given.save_only_model
        # The classes of Qwen2.5-VL and Qwen3-VL state that they take no number of labels, so stock gives each
        # accumulated batch, and each process, the same weight, however few labels it has. The loss here takes it.
        if self.accelerator.parallelism_config is None:
            self.model_accepts_loss_kwargs = True
        own: Any = self.model
        # adapters are parts of the model itself
        base = own.get_base_model() if hasattr(own, "peft_config") else own
        if base is not own and getattr(base, "is_quantized", False):
            _undo_rounding(own)
            _keep_layout(own)
        if base is not own and (self.args.bf16 or self.args.fp16):
            _train_in_float32(own)
        run_frozen_tower_without_graph(base)
        compute_logits_at_labels(base)
        self._sharded_at_load = sharded_at_load
        self._grouped: LengthGroupedSampler | None = None
        self._train_collator = data_collator
        if getattr(data_collator, "packing", False):
            self.train_dataset = packed_dataset(train_dataset, args.max_length, args.seed)
            self._train_collator = PackCollator(train_dataset, data_collator)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; `resume_from_checkpoint=True` continues from the newest complete checkpoint.

        Raises:
            UsageError: there is no complete checkpoint to resume from.
            LlavaMedError: the checkpoint is damaged, or of another model or stage.
        """
        if resume_from_checkpoint is True:
            folder = Path(str(self.args.output_dir))
            newest = newest_checkpoint(folder)
            if newest is None:
                raise UsageError(f"there is no complete checkpoint in {folder} to resume from")
            resume_from_checkpoint = str(newest)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of training batches; packs are resolved into their rows."""
        evaluating, self.data_collator = self.data_collator, self._train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = evaluating

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the loss as TRL does, and corrects its count of tokens for positions of shape [4, 1, tokens]."""
        positions = inputs.get("position_ids")
        if positions is not None and positions.ndim == 3 and cast("Any", self.model).training:
            # TRL takes the second dimension of the positions for the tokens.
            missing = torch.tensor(positions.shape[2] - positions.shape[1], device=positions.device)
            self._total_train_tokens += int(self.accelerator.gather_for_metrics(missing).sum())
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[no-untyped-call]

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the whole model for stock `from_pretrained`; the trainer's own calls write a checkpoint's weights."""
        if not _internal_call or output_dir is None or self._stock_checkpoints:
            own = cast("Any", self.model)
            # Adapters have names of their own, and sharding changes the classes by which names are found.
            if not hasattr(own, "peft_config") and not is_sharded(own):
                name_weights_as_on_hub(own)
            super().save_model(output_dir, _internal_call)
            return
        write = bool(self.args.should_save)
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        model = cast("Any", self.model)
        if write or is_sharded(model):
            save_weights(model, folder, write=write)
        if write:
            cast("Any", self.processing_class).save_pretrained(folder)

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_for_training(*args, **kwargs)  # type: ignore[no-untyped-call]
        if wants_sharding(self.args):
            check_sharded(prepared[0])
        return prepared

    def _run_epoch(self, model: Any, epoch: int, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # the run was killed after its last checkpoint
            self.control.should_training_stop = True
        if self.control.should_training_stop:  # also if a callback says so before training begins
            return
        if self._grouped is not None:  # accelerate does not reach the sampler when it skips batches to resume
            self._grouped.set_epoch(epoch)
        super()._run_epoch(model, epoch, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        if self.args.train_sampling_strategy == "group_by_length" and isinstance(rows, Dataset):
            size = self.get_total_train_batch_size(self.args)
            self._grouped = LengthGroupedSampler(read_lengths(rows), size, self.args.seed)
            return self._grouped
        return cast("Sampler[int] | None", super()._get_train_sampler(train_dataset))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self._sharded_at_load:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        model, optimizer, scheduler = cast("Any", (self.model, self.optimizer, self.lr_scheduler))
        save_optimizer(model, optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self._sharded_at_load:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        model, optimizer, scheduler = cast("Any", (self.model, self.optimizer, self.lr_scheduler))
        load_optimizer(model, optimizer, Path(checkpoint))
        scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if self._stock_checkpoints:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_weights(model if model is not None else self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        best = self.state.best_model_checkpoint
        if self._stock_checkpoints or best is None:
            super()._load_best_model()
        else:
            load_weights(self.model, Path(best))

    @property
    def _stock_checkpoints(self) -> bool:
        """Whether the stock way is right: weights that accelerate shards, and adapters, which have their own names."""
        return self.is_fsdp_enabled or self.is_deepspeed_enabled or hasattr(self.model, "peft_config")
