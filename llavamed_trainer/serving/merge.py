"""Merges a LoRA adapter into the model that it was trained on, and writes a whole checkpoint."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.io.atomic import atomic_folder
from llavamed_trainer.collate import learnt_end_ids
from llavamed_trainer.models import load_model
from llavamed_trainer.models.loading import adapter_base, has_processor, load_processor
from llavamed_trainer.models.saving import save_checkpoint
from llavamed_trainer.models.stopping import add_stop_ids, stop_ids
from llavamed_trainer.serving.files import find_folder


@dataclass(frozen=True, slots=True)
class MergedModel:
    """A checkpoint that was written.

    Attributes:
        folder: of the checkpoint.
        adapters: the adapters that were merged, the last one first; each was trained on the next.
        base: the model that the first of them was trained on.
        parameters: the number of parameters.
        dtype: of the weights, as in the base.
        stops: the tokens at which `generate` stops.
    """

    folder: Path
    adapters: tuple[str, ...]
    base: str
    parameters: int
    dtype: str
    stops: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return asdict(self) | {"folder": str(self.folder)}


def merge_adapter(adapter: str, out: Path) -> MergedModel:
    """Writes the whole model that a LoRA adapter and its base are, for stock `from_pretrained` and for servers.

        merge_adapter("runs/lora", Path("models/merged"))

    The base is what the adapter states: a path, looked up here and in the folders above the adapter, a name on the Hub,
    or an adapter itself. The chat template and the processor are those that the adapter was trained with.

    Args:
        adapter: a folder, or a name on the Hub.
        out: the folder to write, a new or an empty one; it appears complete or not at all.

    Raises:
        UsageError: it is no adapter, its base is not to be found or does not fit it, or `out` holds something.
        LlavaMedError: it does not fit into memory, or cannot be written.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError(f"{out} exists already: remove it, or name another folder")
    chain = _chain(adapter)
    model = _merged(chain)
    processor = _processor(chain)
    add_stop_ids(model, learnt_end_ids(processor))
    try:
        with atomic_folder(out) as temporary:
            save_checkpoint(model, processor, temporary)
    except (SafetensorError, ValueError) as error:
        # of the library that writes, and of transformers before it writes
        raise LlavaMedError(
            f"the merged model cannot be written to {out} ({one_line(error)}): if its disk is full, free some space "
            "and rerun the same command"
        ) from error
    return MergedModel(
        folder=out,
        adapters=tuple(chain[:-1]),
        base=chain[-1],
        parameters=sum(each.numel() for each in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        stops=tuple(
            processor.tokenizer.convert_ids_to_tokens(sorted(stop_ids(model.generation_config.eos_token_id)))
        ),
    )


def _chain(adapter: str) -> list[str]:
    """The adapter, what it was trained on, and so on down to a whole model."""
    folder = find_folder(adapter)
    base = adapter_base(str(folder))
    if base is None:
        raise UsageError(
            f"{adapter} is no LoRA adapter, it has no adapter_config.json: a whole model needs no merging (python -m "
            f"llavamed_trainer check {adapter})"
        )
    chain = [adapter, base]
    while (below := adapter_base(chain[-1])) is not None:
        if below in chain:
            raise UsageError(f"the adapter {chain[-1]} states {below} as its base, which was trained on it")
        chain.append(below)
    return chain


def _merged(chain: list[str]) -> Any:
    """The base of a chain with all its adapters merged into it; each weight keeps the data type of the base."""
    from peft import PeftModel

    model, _ = load_model(chain[-1])
    if getattr(model, "quantization_method", None) is not None:
        raise UsageError(
            f"{chain[-1]} is quantised, and an adapter cannot be merged into it without a loss: state the model that "
            "it was made of as base_model_name_or_path in adapter_config.json"
        )
    dtypes = {name: each.dtype for name, each in model.named_parameters()}
    for adapter in reversed(chain[:-1]):
        try:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise LlavaMedError(
                f"{adapter} and its base do not fit into memory ({one_line(error)}): merge them on a larger machine"
            ) from error
        except Exception as error:  # libraries raise anything on files that are damaged or of another model
            raise UsageError(
                f"the adapter {adapter} cannot be merged into {chain[-1]} ({type(error).__name__}: {one_line(error)}): "
                "it is damaged, or was trained on another model"
            ) from error
    # adapters are trained in float32, also those of a bfloat16 model
    for name, each in model.named_parameters():
        each.data = each.data.to(dtypes[name])
    return model


def _processor(chain: list[str]) -> Any:
    """The processor that the last adapter was trained with; where it has none, that of what it was trained on."""
    return load_processor(next(filter(has_processor, chain[:-1]), chain[-1]))
