"""Checks that a model is whole and ready for servers: stock transformers, vLLM, llama.cpp."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.models.loading import adapter_base, load_processor
from llavamed_trainer.serving.answers import LOADS, SAME_ANSWERS, check_answers, check_loading
from llavamed_trainer.serving.conversations import (
    END,
    STOP,
    TEMPLATE,
    TEMPLATE_FILE,
    check_stops,
    check_template,
    check_template_file,
)
from llavamed_trainer.serving.files import (
    check_processor_files,
    check_weight_names,
    find_folder,
    read_json,
    read_weight_names,
)
from llavamed_trainer.serving.report import ServerSupport, ServingCheck, ServingReport
from llavamed_trainer.serving.servers import find_support, llama_cpp_ends, weight_beginnings

WHOLE_MODEL = "it is a whole model"
ARCHITECTURE = "config.json states the architecture"
PROCESSOR = "stock transformers loads the processor"


def check_model(
    model: str, *, files_only: bool = False, on_step: Callable[[str], None] | None = None
) -> ServingReport:
    """Checks a model and says what servers can do with it; nothing of it is changed.

        report = check_model("runs/stage2-60k-im")
        print(report.faults)

    Args:
        model: a folder, or a name on the Hub, which is downloaded.
        files_only: load no weights; what needs them is reported as not tried.
        on_step: called with a few words before what takes long.

    Raises:
        UsageError: there is no such model.
    """
    folder = find_folder(model)
    if (folder / "adapter_config.json").is_file():
        return ServingReport(model, folder, (_check_adapter(model, folder),))
    config, config_check = _check_config(folder)
    names, weights_check = read_weight_names(folder)
    processor, processor_check = _check_processor(folder)
    checks = [
        config_check,
        weights_check,
        check_weight_names(names, weight_beginnings(config)),
        check_processor_files(folder),
        processor_check,
        *_check_conversations(folder, processor, config),
    ]
    if files_only:
        checks += [ServingCheck(each, "not tried", "--files-only") for each in (LOADS, SAME_ANSWERS)]
    else:
        prompts = not any(each.check == TEMPLATE and each.result != "ok" for each in checks)
        checks += _check_model_itself(folder, processor if prompts else None, on_step or (lambda _: None))
    servers: tuple[ServerSupport, ...] = find_support(model, folder, config) if config else ()
    return ServingReport(model, folder, tuple(checks), servers)


def _check_conversations(folder: Path, processor: Any, config: Mapping[str, Any]) -> list[ServingCheck]:
    if processor is None:
        why = "the processor could not be loaded"
        return [ServingCheck(each, "not tried", why) for each in (TEMPLATE, TEMPLATE_FILE, END, STOP)]
    return [
        check_template(processor),
        check_template_file(folder, processor),
        *check_stops(processor, read_json(folder / "generation_config.json"), llama_cpp_ends(config)),
    ]


def _check_model_itself(folder: Path, processor: Any, say: Callable[[str], None]) -> list[ServingCheck]:
    """Loads the model and lets it answer, if there is a processor that makes prompts for it."""
    say("loading the model")
    model, loading = check_loading(folder)
    if model is None or loading.result == "wrong":
        return [loading, ServingCheck(SAME_ANSWERS, "not tried", "it could not be loaded whole")]
    if processor is None:
        return [loading, ServingCheck(SAME_ANSWERS, "not tried", "there are no prompts for it")]
    say("answering, saving and loading it again")
    return [loading, check_answers(model, processor)]


def _check_adapter(model: str, folder: Path) -> ServingCheck:
    """An adapter is no whole model; says whether the model that it was trained on is there to merge it into."""
    merge = f"python -m llavamed_trainer merge {model} OUT"
    try:
        base = adapter_base(str(folder))
    except UsageError as error:
        return ServingCheck(
            WHOLE_MODEL, "wrong", str(error), "state it as base_model_name_or_path in adapter_config.json"
        )
    if base is not None and not Path(base).is_dir() and (Path(base).is_absolute() or base.count("/") != 1):
        finding = f"it is a LoRA adapter, and the model that it was trained on is not at {base}"
        return ServingCheck(
            WHOLE_MODEL,
            "wrong",
            finding,
            f"correct base_model_name_or_path in its adapter_config.json, then {merge}",
        )
    place = "" if base is None or Path(base).is_dir() else ", which is taken for a name on the Hub"
    finding = f"it is a LoRA adapter of {base}{place}; vLLM takes none that has trained the projector"
    return ServingCheck(WHOLE_MODEL, "wrong", finding, merge)


def _check_config(folder: Path) -> tuple[dict[str, Any], ServingCheck]:
    config = read_json(folder / "config.json")
    if not config:
        found = "damaged" if (folder / "config.json").is_file() else "missing"
        return {}, ServingCheck(
            ARCHITECTURE,
            "wrong",
            f"config.json is {found}",
            "copy the model anew, or train or merge it again",
        )
    stated = config.get("architectures") or []
    if not stated:
        return config, ServingCheck(
            ARCHITECTURE,
            "wrong",
            "it states no architectures, from which vLLM and llama.cpp choose",
            "load it with stock transformers and save it with save_pretrained, which writes them",
        )
    return config, ServingCheck(ARCHITECTURE, "ok", stated[0])


def _check_processor(folder: Path) -> tuple[Any, ServingCheck]:
    try:
        processor = load_processor(str(folder))
    except Exception as error:  # a UsageError, or what libraries raise on files that are missing or damaged
        way_out = "copy the files of the tokenizer and the processor from the model that it was trained from"
        return None, ServingCheck(PROCESSOR, "wrong", one_line(error, 160), way_out)
    return processor, ServingCheck(PROCESSOR, "ok", type(processor).__name__)
