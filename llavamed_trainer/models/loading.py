"""Loads a vision–language model from a folder or the Hub: a whole model, or a LoRA adapter merged into its base."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedConfig,
    ProcessorMixin,
)
from transformers.utils.peft_utils import find_adapter_config_file

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.models.registry import check_model_type, family_of, find_family

TRAINED = "trained.safetensors"
"""The file of a training checkpoint that holds the trained parameters alone, without the rest of the model."""

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def load_model(
    name: str, *, revision: str | None = None, check: Callable[[Any], None] | None = None, **options: Any
) -> tuple[Any, Any]:
    """Loads a vision–language model by its stock class, and its processor.

    An adapter is merged into the model that it was trained on. Weights are downloaded last, after it is known from the
    configuration that the model can be trained and from the processor that it can be used.

    Args:
        name: a folder, or a name on the Hub.
        revision: branch, tag or commit of a name on the Hub.
        check: is called with the processor before weights are downloaded, and raises what ends the loading.
        options: further arguments of `from_pretrained`: `dtype`, `attn_implementation`, `quantization_config`.

    Raises:
        UsageError: there is no such checkpoint, it is of a model that is not supported, its files are damaged, or
            it lacks weights, which `from_pretrained` would fill with random ones (a checkpoint of the projector alone
            lacks most).
        LlavaMedError: it does not fit into memory.
    """
    if (Path(name) / TRAINED).is_file():
        run = Path(name).resolve().parent
        raise UsageError(
            f"{name} is a checkpoint of the projector alone, or of whatever else its run trained, and no whole model: "
            f"name the folder of the run, {run}, where the model is once the run has ended; if it has not, rerun its "
            "train command, which goes on from the last checkpoint"
        )
    try:
        base = adapter_base(name)
        if base is None:
            read_config(name, revision=revision)
            processor = load_processor(name, revision=revision)
            if check:
                check(processor)
            model = _load_weights(name, revision=revision, **options)
        else:
            from peft import PeftModel

            try:
                model, _ = load_model(base, check=check, **options)  # the base may be an adapter itself
            except UsageError as error:
                raise UsageError(
                    f"the base of the adapter {name} cannot be loaded ({error}): base_model_name_or_path in its "
                    "adapter_config.json states where it is"
                ) from error
            model = PeftModel.from_pretrained(model, name, revision=revision).merge_and_unload()
            processor = load_processor(name, base, revision=revision)
        return model, processor
    except UsageError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise LlavaMedError(
            f"{name} does not fit into memory ({one_line(error)}): use a smaller model, or --dtype bfloat16"
        ) from error
    except Exception as error:  # libraries raise anything on files that are damaged or of another model
        if any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise UsageError(
                f"the checkpoint {name} cannot be loaded ({type(error).__name__}: {one_line(error)}): its files are "
                "damaged or do not belong together; copy it anew, or make one with python -m llavamed_trainer assemble"
            ) from error
        if "couldn't connect to" in str(error):
            why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "no connection"
            raise UsageError(
                f"there is no checkpoint {name!r} here, and the Hub, where it may be, cannot be reached ({why}): "
                "train the stage before, name the folder of a model, or rerun the same command with a connection"
            ) from error
        raise UsageError(
            f"there is no checkpoint {name!r}, neither as a folder here nor on the Hub: train the stage before, "
            f"name another, or make one with python -m llavamed_trainer assemble ({one_line(error)})"
        ) from error


def read_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """Reads the configuration of a checkpoint of a model that can be trained; no weights are downloaded.

    Raises:
        UsageError: the model is not supported.
        OSError: there is no such checkpoint.
    """
    at = {"revision": revision} if revision else {}
    stated, _ = PreTrainedConfig.get_config_dict(name, **at)
    kind = stated.get("model_type")
    # A checkpoint of the released code would load, with new random weights for the projector and the tower.
    if "mm_vision_tower" in stated or kind in ("llava_llama", "llava_mistral"):
        raise UsageError(
            f"{name} has the layout of the released LLaVA code: convert it with python -m llavamed_trainer assemble "
            f"OUT --from-legacy {name}"
        )
    if kind is None:
        raise OSError(f"{name} has no config.json that states a model_type")
    auto: Any = AutoConfig
    try:
        check_model_type(kind)
        config: PreTrainedConfig = auto.from_pretrained(name, **at)
        find_family(config)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    return config


def load_processor(name: str, base: str | None = None, *, revision: str | None = None) -> Any:
    """Loads the processor of a checkpoint; that of the base where an adapter has none of its own.

    Raises:
        UsageError: a package that it needs is missing.
    """
    own = base is None or has_processor(name, revision=revision)
    auto: Any = AutoProcessor
    try:
        processor = auto.from_pretrained(name, revision=revision) if own else auto.from_pretrained(base)
    except ImportError as error:
        package = "torchvision" if "torchvision" in str(error).lower() else "what it names"
        raise UsageError(
            f"the processor of {name} cannot be loaded ({one_line(error, 120)}): pip install {package}"
        ) from error
    if not isinstance(processor, ProcessorMixin):
        raise UsageError(
            f"{name} has no processor (processor_config.json or preprocessor_config.json), which turns images into "
            "pixel values: copy these files from the model that it was made of"
        )
    return processor


def has_processor(name: str, *, revision: str | None = None) -> bool:
    """Whether a checkpoint, in its folder or on the Hub, has a processor of its own, as adapters need not."""
    if Path(name).is_dir():
        return any((Path(name) / file).is_file() for file in _PROCESSOR_FILES)
    for file in _PROCESSOR_FILES:
        try:
            hf_hub_download(name, file, revision=revision)
        except EntryNotFoundError:
            continue
        return True
    return False


def adapter_base(name: str) -> str | None:
    """The checkpoint that an adapter was trained on; None if `name` is no adapter.

    A relative path is looked up here, then in the folders above the adapter: it may have been trained elsewhere. So is
    the end of an absolute path that is gone: both may have been moved together.

    Raises:
        UsageError: the adapter does not state it, or states itself.
    """
    try:
        found = find_adapter_config_file(name)
    except OSError:
        return None
    if found is None:
        return None
    base = json.loads(Path(found).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise UsageError(f"the adapter {name} does not state which model it was trained on")
    parts = Path(base).parts
    ends = [Path(*parts[start:]) for start in range(1, len(parts) - 1)] if Path(base).is_absolute() else []
    above = Path(name).resolve().parents
    for path in (Path(base), *(folder / end for folder in above for end in (Path(base), *ends))):
        if path.is_dir():
            if path.resolve() == Path(name).resolve():
                raise UsageError(f"the adapter {name} states itself as the model that it was trained on")
            return str(path)
    return base


def refuse_missing_weights(loaded: dict[str, Any], name: str) -> None:
    """Checks that a checkpoint had every weight of its model.

    `from_pretrained` fills missing weights with random ones and only warns.

    Args:
        loaded: what `from_pretrained(..., output_loading_info=True)` returns beside the model.
        name: of the checkpoint, for the error.

    Raises:
        UsageError: weights are missing.
    """
    if missing := sorted(loaded["missing_keys"]):
        count = "1 weight" if len(missing) == 1 else f"{len(missing)} weights"
        raise UsageError(f"{name} lacks {count} ({', '.join(missing[:3])}): the copy is incomplete")


def _load_weights(name: str, *, revision: str | None, **options: Any) -> Any:
    at = {"revision": revision} if revision else {}
    auto: Any = AutoModelForImageTextToText
    model, loaded = auto.from_pretrained(name, output_loading_info=True, **at, **options)
    there = model.state_dict().keys() - loaded["missing_keys"]
    if there and all(key.startswith(family_of(model).projector) for key in there):
        raise UsageError(
            f"{name} holds the projector alone and lacks {len(loaded['missing_keys'])} weights, those of the vision "
            "tower and the language model: name the whole model that its run wrote"
        )
    refuse_missing_weights(loaded, name)
    return model
