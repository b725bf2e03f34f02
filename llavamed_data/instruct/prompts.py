"""What is asked: the messages that an LLM gets (Figures 4 and 5 of the paper), and instructions (Tables 6 and 7)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from llavamed_data.errors import UsageError, one_line
from llavamed_data.instruct.conversation import Pair, Round
from llavamed_data.io.regular_files import read_settings
from llavamed_data.llm import Message
from llavamed_data.recipes import DOMAINS

BRIEF_BELOW_WORDS = 30
"""Captions with fewer words take a brief instruction (section 3)."""

_FEW_SHOTS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["caption", "turns"],
        "additionalProperties": False,
        "properties": {
            "domain": {"enum": list(DOMAINS)},
            "source": {"type": "string"},
            "label": {"type": "string"},
            "caption": {"type": "string", "minLength": 1},
            "mentions": {"type": "array", "items": {"type": "string", "minLength": 1}},
            "turns": {
                "type": "array",
                "minItems": 1,
                "contains": {"not": {"required": ["rests_on"]}},
                "items": {
                    "type": "object",
                    "required": ["user", "assistant"],
                    "additionalProperties": False,
                    "properties": {
                        "user": {"type": "string", "minLength": 1},
                        "assistant": {"type": "string", "minLength": 1},
                        "rests_on": {"const": "mentions"},
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class FewShot:
    """An example: what the model is given, and the conversation that it should write.

    Attributes:
        pair: label, caption and mentions of the example.
        rounds: its conversation.
        needing_mentions: positions of the rounds that follow from the mentions alone.
    """

    pair: Pair
    rounds: tuple[Round, ...]
    needing_mentions: frozenset[int]

    def messages(self, *, mentions: bool) -> list[Message]:
        """The user's and the assistant's message; without mentions, the rounds that need them are left out, too."""
        rounds = [
            sides
            for position, sides in enumerate(self.rounds)
            if mentions or position not in self.needing_mentions
        ]
        response = "\n".join(f"User: {question}\nAssistant: {answer}" for question, answer in rounds)
        return [
            {"role": "user", "content": pair_text(self.pair, mentions=mentions)},
            {"role": "assistant", "content": response},
        ]


def pair_text(pair: Pair, *, mentions: bool) -> str:
    r"""The text of a pair as Figure 5 lays it out.

    >>> pair = Pair("1_F2", "Figure 2", "Chest X-ray.", ("It had grown (Figure 2).",), None)
    >>> print(pair_text(pair, mentions=True).expandtabs(4))
    Figure Caption:
    Figure 2: Chest X-ray.
    <BLANKLINE>
    Figure Context:
        - It had grown (Figure 2).
    """
    label = pair.figure_label.strip().rstrip(".:")
    text = "Figure Caption:\n" + (f"{label}: {pair.caption}" if label else pair.caption)
    if mentions and pair.inline_mentions:
        text += "\n\nFigure Context:" + "".join(f"\n\t- {mention}" for mention in pair.inline_mentions)
    return text


def system_prompt() -> str:
    """The system prompt of Figure 4, with one paragraph of this project before "Below are requirements"."""
    return "\n\n".join(paragraph["text"] for paragraph in _yaml("prompts.yaml")["system"])


def prompt_text(name: str) -> str:
    """The text called `name` in `prompts.yaml`: `reminder`, `reference` or `judge`."""
    text: str = _yaml("prompts.yaml")[name]
    return text


def instructions(kind: str) -> tuple[str, ...]:
    """The instructions that ask for a description of an image: `brief` (Table 6) or `detailed` (Table 7)."""
    return tuple(_yaml("instructions.yaml")[kind])


def caption_instruction(pair_id: str, caption: str, seed: int) -> str:
    """The instruction that `caption` answers: brief or detailed by its length, the same for the same id and seed."""
    kind = "brief" if len(caption.split()) < BRIEF_BELOW_WORDS else "detailed"
    return pick(instructions(kind), f"{kind}:{pair_id}", seed)


def pick(choices: Sequence[str], key: str, seed: int) -> str:
    """One of `choices`, by a keyed hash: evenly spread over keys, and the same on every machine."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=f"pick:{seed}".encode()).digest()
    return choices[int.from_bytes(digest) % len(choices)]


@cache
def _yaml(name: str) -> Any:
    return yaml.safe_load(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def load_few_shots(path: Path | None = None) -> tuple[FewShot, ...]:
    """The few-shot examples of a file, or the project's own.

    Args:
        path: a file in the form of `few_shots.yaml`.

    Raises:
        UsageError: the file cannot be read, is no YAML, or an example lacks something; the message says which.
    """
    own = files(__package__).joinpath("few_shots.yaml")
    try:
        entries = yaml.safe_load(read_settings(path) if path else own.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"few-shot file {path} cannot be read: {one_line(error)}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"few-shot file {path} is no YAML{line}: {getattr(error, 'problem', '')}") from error
    _check(entries, path)
    return tuple(_few_shot(entry, position) for position, entry in enumerate(entries))


def _check(entries: object, path: Path | None) -> None:
    breach = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(_FEW_SHOTS_SCHEMA).iter_errors(entries)
    )
    if breach is None:
        return
    at = list(breach.absolute_path)
    place = f"example {int(at[0]) + 1}" if at else "the file"
    inside = "".join(f", {name}" if isinstance(name, str) else f" {name + 1}" for name in at[1:])
    raise UsageError(f"few-shot file {path}: {place}{inside}: {breach.message}")


def _few_shot(entry: Mapping[str, Any], position: int) -> FewShot:
    turns = entry["turns"]
    return FewShot(
        pair=Pair(
            pair_id=f"few-shot-{position + 1}",
            figure_label=entry.get("label", ""),
            caption=entry["caption"],
            inline_mentions=tuple(entry.get("mentions", ())),
            domain=entry.get("domain"),
        ),
        rounds=tuple((turn["user"], turn["assistant"]) for turn in turns),
        needing_mentions=frozenset(n for n, turn in enumerate(turns) if "rests_on" in turn),
    )


@dataclass(frozen=True, slots=True)
class Prompt:
    """The part of the messages that is the same for all pairs of a dataset.

    Attributes:
        head: system message and few-shot examples.
        mentions: whether the inline mentions of a pair are sent.
    """

    head: tuple[Message, ...]
    mentions: bool

    @classmethod
    def build(cls, few_shots: Sequence[FewShot], *, mentions: bool) -> "Prompt":
        """The `messages` of Figure 4 up to the query."""
        head: list[Message] = [{"role": "system", "content": system_prompt()}]
        for few_shot in few_shots:
            head += few_shot.messages(mentions=mentions)
        return cls(tuple(head), mentions)

    def messages(self, pair: Pair) -> list[Message]:
        """All messages of the request for `pair`."""
        return [*self.head, {"role": "user", "content": pair_text(pair, mentions=self.mentions)}]

    @property
    def system_sha256(self) -> str:
        """SHA-256 of the system message."""
        return hashlib.sha256(self.head[0]["content"].encode()).hexdigest()

    @property
    def few_shots_sha256(self) -> str:
        """SHA-256 of the few-shot messages as they are sent."""
        return hashlib.sha256(json.dumps(self.head[1:], ensure_ascii=False).encode()).hexdigest()
