from .cleaning import CleaningRules, clean, find_leaks, load_cleaning_rules
from .conversation import GENERATORS, Conversation, Generator, Pair, Round
from .conversation_files import clean_file
from .estimate import ConversationEstimate, estimate_conversations
from .generation import Generation, GenerationOptions, open_generation, prompt_for
from .judge import GroundednessJudge, drop_all_but_best
from .llm_generator import LlmGenerator
from .offline_generator import OfflineGenerator
from .prompts import (
    Prompt,
    caption_instruction,
    instructions,
    load_few_shots,
    pair_text,
    pick,
)
from .quality import QualityChecks
from .references import ReferenceAnswer, ReferenceWriter, reference_request

__all__ = [
    "GENERATORS",
    "CleaningRules",
    "Conversation",
    "ConversationEstimate",
    "Generation",
    "GenerationOptions",
    "Generator",
    "GroundednessJudge",
    "LlmGenerator",
    "OfflineGenerator",
    "Pair",
    "Prompt",
    "QualityChecks",
    "ReferenceAnswer",
    "ReferenceWriter",
    "Round",
    "caption_instruction",
    "clean",
    "clean_file",
    "drop_all_but_best",
    "estimate_conversations",
    "find_leaks",
    "instructions",
    "load_cleaning_rules",
    "load_few_shots",
    "open_generation",
    "pair_text",
    "pick",
    "prompt_for",
    "reference_request",
]
