"""Conversations from the text of figures: prompts, LLM back ends, parsing, cleaning, cost (section 3).

The names are imported when they are first used: the LLM client is not loaded where no LLM is asked.
"""

import importlib
from typing import Any

_PUBLIC = {
    "conversation": ("GENERATORS", "LLM_GENERATORS", "Conversation", "Generator", "Pair", "Turn"),
    "back_ends": ("model_settings", "open_completer", "open_generator"),
    "server": ("Model", "Server"),
    "chat": ("ChatClient", "Limits"),
    "batch": ("BatchClient", "BatchLimits"),
    "journal": ("Journal",),
    "generate": ("LlmGenerator", "dry_run"),
    "prompts": ("Prompt", "load_few_shots", "system_prompt"),
    "rounds": ("parse_rounds",),
    "cleaning": ("Cleaned", "Touch", "clean", "leaks", "rules_version"),
    "conversation_files": ("CleanSummary", "clean_file", "explain"),
    "quality": ("Quality", "summarize"),
    "judge": ("Judge", "Verdict", "best"),
    "references": ("Reference", "References"),
    "cost": ("Estimate", "estimate", "tariff"),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
