"""The files of a checkpoint: where they are, whether they are whole, and under which names they hold the weights."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import constants, snapshot_download
from safetensors import SafetensorError, safe_open

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.serving.report import ServingCheck

_READ = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]
"""The files of a model on the Hub that are needed: no weights in other formats."""

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"

_PARTS = ("vision_tower", "vision_model", "visual", "multi_modal_projector", "connector")
"""What the names of the weights of tower and projector have in them."""

WHOLE_WEIGHTS = "the files of the weights are whole"
HUB_NAMES = "tower and projector have the names by which vLLM and llama.cpp find them"
PROCESSOR_FILES = "the files of the tokenizer and the processor are there"


def find_folder(name: str) -> Path:
    """The folder of a model; one on the Hub is downloaded.

    Raises:
        UsageError: there is no such model.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=_READ))
    except Exception as error:  # no network, no such name, no access: the library has an error for each
        if constants.HF_HUB_OFFLINE:
            raise UsageError(
                f"there is no model {name!r} here, and the Hub is not asked (HF_HUB_OFFLINE is set): name a folder, or "
                "rerun the same command with a connection"
            ) from error
        raise UsageError(
            f"there is no model {name!r}, neither as a folder here nor on the Hub: check the name ({one_line(error)})"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object; an empty one if the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_weight_names(folder: Path) -> tuple[set[str], ServingCheck]:
    """Reads the names of all weights from the files themselves, and compares them with what the index states.

    Returns:
        The names that were found, and the check.
    """
    index = folder / _INDEX
    listed: dict[str, str] = read_json(index).get("weight_map", {})
    if index.is_file() and not listed:
        return set(), _damaged(f"{_INDEX} is damaged")
    files = sorted(set(listed.values())) or [_WEIGHTS]
    if not listed and not (folder / _WEIGHTS).is_file():
        if any(folder.glob("*.bin")):
            finding = "there are only pickled weights (.bin)"
            way_out = (
                "load it with stock transformers and save it with save_pretrained, which writes safetensors"
            )
            return set(), ServingCheck(WHOLE_WEIGHTS, "wrong", finding, way_out)
        return set(), _damaged(f"{_WEIGHTS} is missing")
    if missing := [name for name in files if not (folder / name).is_file()]:
        return set(), _damaged(f"{_and_more(missing)} of {len(files)} files missing")
    found: dict[str, str] = {}
    for name in files:
        try:
            with safe_open(folder / name, framework="pt") as weights:
                found |= dict.fromkeys(weights.keys(), name)
        except (OSError, SafetensorError) as error:
            return set(), _damaged(f"{name} is damaged ({one_line(error, 80)})")
    if listed and found != listed:
        differ = sorted({name for name, _ in set(found.items()) ^ set(listed.items())})
        return set(found), _damaged(f"{_INDEX} and the files differ in {_and_more(differ)}")
    count = "1 file" if len(files) == 1 else f"{len(files)} files with an index"
    return set(found), ServingCheck(WHOLE_WEIGHTS, "ok", f"{len(found):,} weights in {count}")


def check_weight_names(names: set[str], beginnings: tuple[str, ...] | None) -> ServingCheck:
    """Checks that servers find the weights of the vision tower and the projector by their names.

    Args:
        names: of all weights in the files.
        beginnings: how names of the tower and the projector begin where servers look them up; None if it is not known.
    """
    if beginnings is None or not names:
        why = "what the servers look for is not known for this model" if names else "no weights could be read"
        return ServingCheck(HUB_NAMES, "not tried", why)
    parts = {name for name in names if any(part in name for part in _PARTS)}
    strange = sorted(name for name in parts if not name.startswith(beginnings))
    absent = [each for each in beginnings if not any(name.startswith(each) for name in parts)]
    if not strange and not absent:
        return ServingCheck(HUB_NAMES, "ok", f"{' and '.join(f'{each}*' for each in beginnings)}")
    finding = f"{_and_more(strange)} where {' or '.join(beginnings)} is looked for" if strange else ""
    finding = finding or f"no weight begins with {' or '.join(absent)}"
    return ServingCheck(
        HUB_NAMES,
        "wrong",
        f"{finding}; llama.cpp's converter leaves such weights out without a word",
        "serve the folder of the finished run instead of a checkpoint of it; any other is written with these names by "
        "llavamed_trainer.save_checkpoint(*llavamed_trainer.load_model(MODEL), OUT)",
    )


def check_processor_files(folder: Path) -> ServingCheck:
    """Checks that the files are there from which servers make the tokenizer and the processor of images."""
    missing = [name for name in ("tokenizer.json", "tokenizer_config.json") if not (folder / name).is_file()]
    settings = [read_json(folder / name) for name in ("preprocessor_config.json", "processor_config.json")]
    images = {**settings[0], **settings[1].get("image_processor", {})}
    if not any(settings):
        missing.append("processor_config.json (or preprocessor_config.json)")
    if missing:
        return ServingCheck(
            PROCESSOR_FILES,
            "wrong",
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "copy them from the model that it was trained from",
        )
    if not {"image_mean", "image_std"} <= set(images):
        return ServingCheck(
            PROCESSOR_FILES,
            "wrong",
            "the settings of the processor state no image_mean and image_std",
            "save the processor with stock transformers: AutoProcessor.from_pretrained(…).save_pretrained(…)",
        )
    return ServingCheck(PROCESSOR_FILES, "ok", "tokenizer.json, tokenizer_config.json, settings of images")


def _damaged(finding: str) -> ServingCheck:
    return ServingCheck(WHOLE_WEIGHTS, "wrong", finding, "copy the model anew, or train or merge it again")


def _and_more(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"
