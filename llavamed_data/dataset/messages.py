"""The columns `messages` and `provenance` of a published row, written and read the same way everywhere."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any


def messages(rounds: Iterable[tuple[str, str]], *, images: int = 1) -> list[dict[str, Any]]:
    """Chat messages of question–answer rounds; the image parts open the first user turn.

    >>> messages([("What is shown?", "A chest X-ray.")])[0]["content"]
    [{'type': 'image', 'text': None}, {'type': 'text', 'text': 'What is shown?'}]
    """
    said = ((role, text) for pair in rounds for role, text in zip(("user", "assistant"), pair, strict=True))
    return turns(said, images=images)


def turns(said: Iterable[tuple[str, str]], *, images: int = 1) -> list[dict[str, Any]]:
    """Chat messages of (role, text) turns; the image parts open the first one."""
    made = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
    made[0]["content"][:0] = [{"type": "image", "text": None} for _ in range(images)]  # type: ignore[index]
    return made


def provenance(
    recipe: str,
    source: str,
    source_date: str | None,
    generator: str,
    *,
    model: str | None = None,
    versions: Mapping[str, str | None] | None = None,
) -> dict[str, str | None]:
    """Where a row comes from and what wrote its text.

    Args:
        recipe: name of the recipe.
        source, source_date: as the source states them.
        generator: `caption` where the caption is the answer, `released` for released rows, else the generator's name.
        model: as the server named it.
        versions: `prompt_sha256`, `few_shots_sha256` and `rules_version` of the generator, if one wrote the text.
    """
    return {
        "source": source,
        "source_date": source_date,
        "recipe": recipe,
        "generator": generator,
        "model": model,
        **dict.fromkeys(("prompt_sha256", "few_shots_sha256", "rules_version")),
        **(versions or {}),
    }


def turns_of(messages: object) -> list[tuple[str, str]]:
    """(role, text) of each turn, its text parts joined by line ends; what is no turn or no text is left out.

    >>> turns_of([{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Why?"}]}])
    [('user', 'Why?')]
    """
    turns = messages if isinstance(messages, list) else []
    return [
        (str(turn.get("role")), "\n".join(part["text"] for part in _parts(turn) if part.get("text")))
        for turn in turns
        if isinstance(turn, dict)
    ]


def rounds_of(messages: object) -> list[tuple[str, str]]:
    """(question, answer) of each round: a user turn and the assistant turn after it."""
    return [
        (question, answer)
        for (asker, question), (answerer, answer) in itertools.pairwise(turns_of(messages))
        if asker == "user" and answerer == "assistant"
    ]


def _parts(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
