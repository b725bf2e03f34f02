"""What goes into a generator and what comes out of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llavamed_data.reasons import Drop

OFFLINE = "offline"
LLM_GENERATORS = ("openai", "openai-batch")
GENERATORS = (OFFLINE, *LLM_GENERATORS)
"""Everything that writes conversations, by name."""

Turn = tuple[str, str]
"""One round: the user's question and the assistant's answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The text of one figure, all that a generator sees of it (section 3: the LLM never sees the image).

    Attributes:
        pair_id: the id of the row.
        figure_label: as the article prints it (`Figure 2`), may be empty.
        caption: title and paragraphs of the caption.
        inline_mentions: the article's sentences that mention the figure; empty for caption-only sets.
        domain: `chest_xray`, `mri`, `histology`, `gross`, `ct_scan`, or None where it is not known.
    """

    pair_id: str
    figure_label: str
    caption: str
    inline_mentions: tuple[str, ...]
    domain: str | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a generator made of one pair, parsed and cleaned; at least one round.

    Attributes:
        pair_id: the pair it belongs to.
        turns: (question, answer) rounds in order.
        model: as the server names it; None for a generator that is no model.
        rules: cleaning rule → how many times it touched this conversation.
    """

    pair_id: str
    turns: tuple[Turn, ...]
    model: str | None = None
    rules: Mapping[str, int] = field(default_factory=dict)


class Generator(Protocol):
    """Turns pairs into conversations. The attributes go into the provenance of every row.

    Attributes:
        name: `offline`, `openai`, `openai-batch`.
        model: the model asked for; None for a generator that is no model.
        prompt_sha256: of the system prompt; None where there is none.
        few_shots_sha256: of the few-shot examples as they are sent; None where there are none.
        rules_version: of the cleaning rules; None where none apply.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str | None: ...  # noqa: D102
    @property
    def prompt_sha256(self) -> str | None: ...  # noqa: D102
    @property
    def few_shots_sha256(self) -> str | None: ...  # noqa: D102
    @property
    def rules_version(self) -> str | None: ...  # noqa: D102

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """One outcome a pair, in the order of `pairs`; a drop stands with its pair's id.

        Raises:
            LlavaMedError: the run cannot go on (wrong key, spent quota, server gone); what was answered until
                then is kept, and a rerun goes on from there.
        """
