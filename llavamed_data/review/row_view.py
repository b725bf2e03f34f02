"""A row of a dataset as it is shown to a reviewer: its columns, its flags, and what was decided about it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Row
from llavamed_data.review.decisions import DecisionKind
from llavamed_data.review.flags import Flag
from llavamed_data.review.following import Reviewed


@dataclass(frozen=True, slots=True)
class RowView:
    """A row as it is shown.

    Attributes:
        number: of the row.
        row: its columns, as the dataset has them.
        digest: what its decisions are about.
        images: the half of the digest that is of the images.
        reviewed: what was decided about it.
        flags: what rules, checks and judges say of it.
        again: whether decisions were made about an earlier form of it alone.
        other: the row of the other dataset that it is compared with, or None.
    """

    number: int
    row: Row
    digest: str
    images: str
    reviewed: Reviewed
    flags: Sequence[Flag] = ()
    again: bool = False
    other: "RowView | None" = None

    @property
    def mark(self) -> str:
        """What tells this row, with its texts as they are shown, from other rows and from other forms of it."""
        review = self.reviewed.review
        changes = [sorted(review.texts.items()), sorted(review.deleted), review.domain]
        seen = [self.digest, *([self.other.digest] if self.other else changes)]
        return xxhash.xxh3_128_hexdigest(json.dumps(seen).encode())

    def without_images(self) -> "RowView":
        """The same without the bytes of its images."""
        other = self.other and self.other.without_images()
        return replace(self, row={**self.row, "images": []}, other=other)

    def is_swapped(self, reviewer: str) -> bool:
        """Whether the other dataset's conversation comes first: by chance, and the same each time for a reviewer."""
        digest = hashlib.sha256(f"{self.digest} {reviewer.strip()}".encode("utf-8", "replace")).digest()
        return bool(digest[0] & 1)

    def holds_already(self, kind: DecisionKind, reviewer: str, fields: Mapping[str, Any]) -> bool:
        """Whether a decision about the row would change nothing.

        Args:
            kind: what the decision does.
            reviewer: who decides.
            fields: the fields of its kind.
        """
        review = self.reviewed.review
        match kind:
            case DecisionKind.ACCEPT | DecisionKind.REJECT:
                same = review.verdict == kind and review.verdicts.get(reviewer) == kind
                return bool(same and review.reason == fields.get("reason", ""))
            case DecisionKind.EDIT:
                turns = turns_of(self.row.get("messages"))
                turn = fields["turn"]
                if not 0 <= turn < len(turns) or turn // 2 in review.deleted_rounds:
                    return False
                return _plain(review.texts.get(turn, turns[turn][1])) == _plain(str(fields["text"]))
            case DecisionKind.DELETE:
                return fields["turn"] // 2 in review.deleted_rounds
            case DecisionKind.DOMAIN:
                return bool((review.domain or self.row.get("domain")) == fields["domain"])
        return False


def _plain(text: str) -> str:
    """The text with the line ends that a browser makes of it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
