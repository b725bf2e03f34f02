"""The two columns that every published row builds the same way."""

from collections.abc import Iterable
from typing import Any

from llavamed_data.instruct.conversation import Generator


def messages(rounds: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Chat messages of question–answer rounds; the image part opens the first user turn.

    >>> messages([("What is shown?", "A chest X-ray.")])[0]["content"]
    [{'type': 'image', 'text': None}, {'type': 'text', 'text': 'What is shown?'}]
    """
    return turns(
        (role, text) for pair in rounds for role, text in zip(("user", "assistant"), pair, strict=True)
    )


def turns(said: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Chat messages of (role, text) turns; the image part opens the first one."""
    made = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
    made[0]["content"].insert(0, {"type": "image", "text": None})  # type: ignore[attr-defined]
    return made


def provenance(
    recipe: str,
    source: str,
    source_date: str | None,
    writer: str,
    *,
    model: str | None = None,
    generator: Generator | None = None,
) -> dict[str, str | None]:
    """Where a row comes from and who wrote its text.

    Args:
        recipe: name of the recipe.
        source, source_date: as the source states them.
        writer: `caption` where the caption is the answer, `released` for released rows, else the generator's name.
        model: as the server named it.
        generator: whose prompts and rules made the text, where one did.
    """
    return {
        "source": source,
        "source_date": source_date,
        "recipe": recipe,
        "generator": writer,
        "model": model,
        "prompt_sha256": generator.prompt_sha256 if generator else None,
        "few_shots_sha256": generator.few_shots_sha256 if generator else None,
        "rules_version": generator.rules_version if generator else None,
    }
