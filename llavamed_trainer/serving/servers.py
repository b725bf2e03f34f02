"""What vLLM and llama.cpp can do with a model, as far as it is known, and the commands that serve it there."""

import shlex
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_trainer.serving.report import ServerSupport

_CONVERTER = "convert_hf_to_gguf.py"
_NOT_TRIED = "so its source says, it was not tried here"


def weight_beginnings(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """How the names of the weights of tower and projector begin where servers look; None if it is not known."""
    found = _facts_of(config)
    return tuple(found["weights"]) if found and "weights" in found else None


def llama_cpp_ends(config: Mapping[str, Any]) -> frozenset[str] | None:
    """The tokens at which llama.cpp stops in any model; None if it does not load this one."""
    found = _facts_of(config)
    if found is None or "llama_cpp" in found:
        return None
    return frozenset(_facts()["llama_cpp_ends"])


def find_support(model: str, folder: Path, config: Mapping[str, Any]) -> tuple[ServerSupport, ServerSupport]:
    """What vLLM and llama.cpp can do with a model.

    Args:
        model: its folder or Hub name.
        folder: where its files lie.
        config: what its config.json states.
    """
    found = _facts_of(config)
    name = Path(model).resolve().name
    return _vllm(model, name, config, found), _llama_cpp(folder, name, config, found)


def _vllm(model: str, name: str, config: Mapping[str, Any], found: Mapping[str, Any] | None) -> ServerSupport:
    serve = (f"vllm serve {shlex.quote(model)} --served-model-name {shlex.quote(name)}",)
    if found is None:
        return ServerSupport("vLLM", None, "vllm serve says whether it does", serve)
    activation = config.get("projector_hidden_act")
    if "vllm" in found:
        return ServerSupport("vLLM", False, found["vllm"])
    if activation is not None and activation not in _facts()["vllm_activations"]:
        return ServerSupport(
            "vLLM",
            False,
            f"it knows no projector with the activation {activation!r}, as the paper's linear one has",
        )
    return ServerSupport("vLLM", True, _NOT_TRIED, serve)


def _llama_cpp(
    folder: Path, name: str, config: Mapping[str, Any], found: Mapping[str, Any] | None
) -> ServerSupport:
    text, projector = shlex.quote(f"{name}.gguf"), shlex.quote(f"mmproj-{name}.gguf")
    convert = f"python {_CONVERTER} {shlex.quote(str(folder))}"
    commands = (
        f"{convert} --outfile {text}",
        f"{convert} --mmproj --outfile {projector}",
        f"llama-server -m {text} --mmproj {projector}",
    )
    if found is None:
        return ServerSupport("llama.cpp", None, "its converter says whether it does", commands)
    if "llama_cpp" in found:
        return ServerSupport("llama.cpp", False, found["llama_cpp"])
    wanted, stated = found.get("text"), config.get("text_config", {}).get("architectures")
    if wanted and not stated:
        return ServerSupport(
            "llama.cpp",
            False,
            f'its converter wants "architectures": ["{wanted}"] in text_config of config.json, as on the Hub: add it',
        )
    return ServerSupport("llama.cpp", True, f"{_NOT_TRIED}; {_CONVERTER} is in its repository", commands)


def _facts_of(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is known of the architecture of a model; None if nothing is."""
    architecture = (config.get("architectures") or [""])[0]
    tower = config.get("vision_config", {}).get("model_type")
    known: Mapping[str, Mapping[str, Any]] = _facts()["architectures"]
    return known.get(f"{architecture}/{tower}") or known.get(architecture)


@cache
def _facts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(
        files(__package__).joinpath("servers.yaml").read_text(encoding="utf-8")
    )
    return found
