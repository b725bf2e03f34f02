"""A LLaVA checkpoint as it is trained and asked: whole, or a LoRA adapter with the base that it names."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, LlavaForConditionalGeneration, PreTrainedConfig
from transformers.utils.peft_utils import find_adapter_config_file

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.weights import refuse_gaps

_PROCESSOR = ("processor_config.json", "preprocessor_config.json")


def load_llava(name: str, *, revision: str | None = None, **options: Any) -> tuple[Any, Any]:
    """The model and its processor; an adapter is merged into its base.

    Args:
        name: a folder, or a name on the Hub.
        revision: branch, tag or commit of a name on the Hub.
        options: of `from_pretrained`: `dtype`, `attn_implementation`, `quantization_config`.

    Raises:
        UsageError: there is no such checkpoint, it is no LLaVA of transformers, or it lacks weights (a checkpoint of
            the projector alone does), which stock loading would make up.
    """
    base = adapter_base(name)
    try:
        model = _whole(base or name, revision=None if base else revision, **options)
        if base:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, name, revision=revision).merge_and_unload()
        return model, load_processor(name, base, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"there is no LLaVA checkpoint {name!r}, neither as a folder here nor on the Hub: train the stage before, "
            f"name another, or make one with python -m llavamed_trainer assemble ({_line(error)})"
        ) from error


def load_processor(name: str, base: str | None = None, *, revision: str | None = None) -> Any:
    """The processor of a checkpoint; that of its base where an adapter has none of its own."""
    read: Any = AutoProcessor
    own = base is None or any((Path(name) / file).is_file() for file in _PROCESSOR)
    return read.from_pretrained(name, revision=revision) if own else read.from_pretrained(base)


def adapter_base(name: str) -> str | None:
    """The checkpoint that an adapter was trained on; None for what is no adapter.

    Raises:
        UsageError: the adapter does not say.
    """
    try:
        found = find_adapter_config_file(name)
    except OSError:
        return None
    if found is None:
        return None
    base = json.loads(Path(found).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise UsageError(f"the adapter {name} does not say which model it belongs to")
    return str(base)


def _whole(name: str, *, revision: str | None, **options: Any) -> Any:
    check_kind(name, revision=revision)
    stock: Any = LlavaForConditionalGeneration
    at = {"revision": revision} if revision else {}
    model, found = stock.from_pretrained(name, output_loading_info=True, **at, **options)
    refuse_gaps(found, name)
    return model


def check_kind(name: str, *, revision: str | None = None) -> None:
    """Refuses what is no LLaVA of transformers.

    A checkpoint of the released code would load with new, random weights, and but for a warning nobody would know.

    Raises:
        UsageError: it is of another kind.
    """
    config, _ = PreTrainedConfig.get_config_dict(name, **({"revision": revision} if revision else {}))
    kind = config.get("model_type")
    if "mm_vision_tower" in config or kind in ("llava_llama", "llava_mistral"):
        raise UsageError(
            f"{name} has the layout of the released LLaVA code: python -m llavamed_trainer assemble makes a "
            "transformers checkpoint of it"
        )
    if kind is not None and kind != "llava":
        raise UsageError(
            f"{name} is a {kind} model, not a LLaVA: serve others and name the server (--base-url)"
        )
    if kind is None:
        raise OSError(f"{name} has no config.json that names a kind of model")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
