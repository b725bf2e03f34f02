"""The message list that a model is asked with: Figures 4 and 5 of the paper."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from llavamed_data.errors import UsageError
from llavamed_data.instruct.conversation import Pair, Turn
from llavamed_data.llm.request import Message
from llavamed_data.recipes import DOMAINS

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
    """One worked example: what the model is given, and the conversation that it should write.

    Attributes:
        pair: caption, label and mentions of the example.
        turns: its rounds.
        resting_on_mentions: positions in `turns` that only the mentions bear out.
    """

    pair: Pair
    turns: tuple[Turn, ...]
    resting_on_mentions: frozenset[int]

    def messages(self, *, mentions: bool) -> list[Message]:
        """The user and the assistant message; without mentions, the rounds that rest on them go too."""
        turns = [
            turn
            for position, turn in enumerate(self.turns)
            if mentions or position not in self.resting_on_mentions
        ]
        response = "\n".join(f"User: {user}\nAssistant: {assistant}" for user, assistant in turns)
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


@cache
def _texts() -> Mapping[str, Any]:
    source = resources.files("llavamed_data.instruct").joinpath("prompts.yaml")
    texts: Mapping[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return texts


def system_prompt() -> str:
    """Figure 4's system prompt with the project's one paragraph before "Below are requirements"."""
    return "\n\n".join(paragraph["text"] for paragraph in _texts()["system"])


def instruction(name: str) -> str:
    """The text called `name` in `prompts.yaml`: `reminder`, `reference` or `judge`."""
    text: str = _texts()[name]
    return text


def load_few_shots(path: Path | None = None) -> tuple[FewShot, ...]:
    """The few-shot examples of `path`, or the project's own.

    Raises:
        UsageError: the file cannot be read, is no YAML, or an example lacks something; the message names it.
    """
    source = path or resources.files("llavamed_data.instruct").joinpath("few_shots.yaml")
    try:
        entries = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"few-shot file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f", line {where.line + 1}" if where else ""
        raise UsageError(
            f"few-shot file {path} is no YAML{place}: {getattr(error, 'problem', '')}"
        ) from error
    _check(entries, path)
    return tuple(_few_shot(entry, position) for position, entry in enumerate(entries))


def _check(entries: object, path: Path | None) -> None:
    fault = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(_FEW_SHOTS_SCHEMA).iter_errors(entries)
    )
    if fault is None:
        return
    at = list(fault.absolute_path)
    place = f"example {int(at[0]) + 1}" if at else "the file"
    inside = "".join(f", {name}" if isinstance(name, str) else f" {name + 1}" for name in at[1:])
    raise UsageError(f"few-shot file {path}: {place}{inside}: {fault.message}")


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
        turns=tuple((turn["user"], turn["assistant"]) for turn in turns),
        resting_on_mentions=frozenset(n for n, turn in enumerate(turns) if "rests_on" in turn),
    )


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything of a request's messages that is the same for all pairs of a set.

    Attributes:
        head: system message and few-shot examples.
        mentions: whether the pair's inline mentions are sent.
    """

    head: tuple[Message, ...]
    mentions: bool

    @classmethod
    def build(cls, few_shots: Sequence[FewShot], *, mentions: bool) -> "Prompt":
        """Figure 4's `messages` up to the query."""
        head: list[Message] = [{"role": "system", "content": system_prompt()}]
        for few_shot in few_shots:
            head += few_shot.messages(mentions=mentions)
        return cls(tuple(head), mentions)

    def messages(self, pair: Pair) -> list[Message]:
        """The whole message list for `pair`."""
        return [*self.head, {"role": "user", "content": pair_text(pair, mentions=self.mentions)}]

    @property
    def system_sha256(self) -> str:
        """Hash of the system message."""
        return hashlib.sha256(self.head[0]["content"].encode()).hexdigest()

    @property
    def few_shots_sha256(self) -> str:
        """Hash of the few-shot messages as they are sent."""
        return hashlib.sha256(json.dumps(self.head[1:], ensure_ascii=False).encode()).hexdigest()
