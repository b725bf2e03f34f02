"""TRL's SFT trainer with what LLaVA needs to train without failing silently."""

from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers.trainer import SCHEDULER_NAME
from trl.trainer.sft_trainer import SFTTrainer

from llavamed_data.errors import UsageError
from llavamed_trainer.training.checkpoints import load_weights, newest_checkpoint, save_weights
from llavamed_trainer.training.frozen_tower import run_frozen_tower_without_graph
from llavamed_trainer.training.loss import score_labels_alone
from llavamed_trainer.training.sampling import GroupedByLength, Packs, lengths_of, packed, packs
from llavamed_trainer.training.sharding import (
    check_sharded,
    is_sharded,
    load_optimizer,
    save_optimizer,
    wants_sharding,
)


class LlavaMedTrainer(SFTTrainer):
    """Trains a LLaVA on rows with `messages` and `images`.

    Beside TRL's trainer: a frozen vision tower runs without a graph; logits are made only where there are labels; a
    checkpoint resumes to the bit, the best one is loaded strictly, and one of a stage that trains little holds only
    that; rows can be packed and grouped by length, in an order that a resumed run finds again; a launch that asked for
    FSDP and did not get it ends.

        model = LlavaForConditionalGeneration.from_pretrained("llava")
        apply_stage(model, Stage.PROJECTOR)
        trainer = LlavaMedTrainer(model=model, args=SFTConfig("runs/mine"), train_dataset=rows,
                                  processing_class=processor, data_collator=LlavaMedCollator(processor))
        trainer.train(resume_from_checkpoint=True)    # from the newest whole checkpoint

    Args:
        model: with what its stage freezes frozen already (`apply_stage`), or any with `peft_config`.
        args: TRL's `SFTConfig`; `train_sampling_strategy="group_by_length"` groups. `output_dir` is what `save_model`
            writes the whole model to, as stock `from_pretrained` reads it.
        train_dataset: rows with `messages` and `images`, and `length` for grouping and packing.
        data_collator: a `LlavaMedCollator`; one that packs gets rows that fill `args.max_length` together, and
            `per_device_train_batch_size` counts packs then.
        rest: of `SFTTrainer`; `peft_config=lora_config(model)` for LoRA.

    Raises:
        UsageError: grouping or packing without lengths.
    """

    def __init__(self, model: Any, args: Any, *, data_collator: Any, train_dataset: Any, **rest: Any) -> None:
        # whole batches of a stream are of different widths, and one process cannot share them out
        args.accelerator_config.dispatch_batches = False
        args.remove_unused_columns = False  # the collator reads images, and names bad rows by their ids
        without_optimizer = args.save_only_model
        if getattr(model, "is_distributed_loading_by_transformers", False):
            args.save_only_model = (
                True  # else the stock one ends here: it cannot save such an optimizer, this one can
            )
        super().__init__(
            model=model, args=args, data_collator=data_collator, train_dataset=train_dataset, **rest
        )
        args.save_only_model = without_optimizer
        llava = self._llava
        run_frozen_tower_without_graph(llava)
        score_labels_alone(llava)
        self._grouped: GroupedByLength | None = None
        self._train_collator = data_collator
        if packs(data_collator):
            self.train_dataset = packed(train_dataset, args.max_length, args.seed)
            self._train_collator = Packs(train_dataset, data_collator)

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; `resume_from_checkpoint=True` goes on from the newest whole checkpoint.

        Raises:
            UsageError: there is none.
            LlavaMedError: the checkpoint is damaged or of another model or stage.
        """
        if resume_from_checkpoint is True:
            folder = Path(str(self.args.output_dir))
            newest = newest_checkpoint(folder)
            if newest is None:
                raise UsageError(f"there is no whole checkpoint in {folder} to resume from")
            resume_from_checkpoint = str(newest)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The loader of training batches, packs unpacked into their rows."""
        evaluating, self.data_collator = self.data_collator, self._train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = evaluating

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the whole model for stock `from_pretrained`; the trainer's own calls write a checkpoint's weights."""
        if not _internal_call or output_dir is None or self._stock_checkpoints:
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
        made = super()._prepare_for_training(*args, **kwargs)  # type: ignore[no-untyped-call]
        if wants_sharding(self.args):
            check_sharded(made[0])
        return made

    def _run_epoch(self, model: Any, epoch: int, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # it was killed after its last checkpoint
            self.control.should_training_stop = True
            return
        if self._grouped is not None:  # which accelerate does not reach behind batches that are skipped
            self._grouped.set_epoch(epoch)
        super()._run_epoch(model, epoch, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        if self.args.train_sampling_strategy == "group_by_length" and isinstance(rows, Dataset):
            size = self.get_total_train_batch_size(self.args)
            self._grouped = GroupedByLength(lengths_of(rows), size, self.args.seed)
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
    def _llava(self) -> Any:
        """The LLaVA itself, of which adapters are part."""
        model: Any = self.model
        return model.get_base_model() if hasattr(model, "peft_config") else model

    @property
    def _sharded_at_load(self) -> bool:
        return bool(self.is_distributed_loading_by_transformers)

    @property
    def _stock_checkpoints(self) -> bool:
        """Whether the stock way is right: weights that accelerate shards, and adapters, which have their own names."""
        return self.is_fsdp_enabled or self.is_deepspeed_enabled or hasattr(self.model, "peft_config")
