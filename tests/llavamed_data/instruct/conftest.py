"""Pairs, a generator that asks the local server, and the fixtures of the LLM client."""

from llavamed_data.instruct import LlmGenerator, Pair, Prompt, load_few_shots
from llavamed_data.llm.chat import ChatClient
from tests.llavamed_data.llm.conftest import _key, journal, make_client, server  # noqa: F401  (fixtures)


def make_pairs(count: int) -> list[Pair]:
    words = ("liver", "kidney", "nodule", "effusion", "oedema", "fracture", "cortex", "artery")
    return [
        Pair(
            f"{number}_F1",
            "Figure 1",
            f"Axial view {number} with {words[number % 8]} and {words[number // 8 % 8]} change.",
            (f"There was a {words[number // 3 % 8]} (Figure 1).",),
            "ct_scan",
        )
        for number in range(count)
    ]


def make_generator(client: ChatClient, *, mentions: bool = False) -> LlmGenerator:
    return LlmGenerator("openai", client, Prompt.build(load_few_shots(), mentions=mentions))
