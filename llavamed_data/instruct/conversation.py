"""What a generator of conversations is given and what it returns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llavamed_data.reasons import Drop

OFFLINE = "offline"
GENERATORS = (OFFLINE, "openai", "openai-batch")
"""The names of all generators."""

Round = tuple[str, str]
"""One round of a conversation: the user's question and the assistant's answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The text of one figure, which is all that a generator sees of it (section 3: the LLM never sees the image).

    Attributes:
        pair_id: id of the figure.
        figure_label: label as the article prints it (`Figure 2`); may be empty.
        caption: title and paragraphs of the caption.
        inline_mentions: the article's sentences that mention the figure; empty for sets made from captions alone.
        domain: `chest_xray`, `mri`, `histology`, `gross`, `ct_scan`, or None if it is not known.
    """

    pair_id: str
    figure_label: str
    caption: str
    inline_mentions: tuple[str, ...]
    domain: str | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a generator wrote about one figure, after cleaning; it has at least one round.

    Attributes:
        pair_id: id of the figure.
        rounds: the rounds, in order.
        model: the model as the server names it; None if no model wrote it.
        rule_counts: cleaning rule or check → how many times it changed this conversation.
    """

    pair_id: str
    rounds: tuple[Round, ...]
    model: str | None = None
    rule_counts: Mapping[str, int] = field(default_factory=dict)


class Generator(Protocol):
    """Writes a conversation about each figure; the properties are for the provenance of the rows."""

    @property
    def name(self) -> str:
        """One of `GENERATORS`."""

    @property
    def model(self) -> str | None:
        """The model that is asked; None if none is."""

    @property
    def versions(self) -> Mapping[str, str]:
        """What else decides the text: `prompt_sha256`, `few_shots_sha256`, `rules_version`; empty if none does."""

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """Yields, in the order of `pairs`, a conversation for each, or its id and why there is none.

        Raises:
            LlavaMedError: the run cannot go on; all answers so far are kept for the next run.
        """
