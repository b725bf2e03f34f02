"""Why something was dropped, from one fixed list, and how many were: in = kept + dropped, always."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """A reason for a drop; the value is what manifests, `dropped` files and `--json` show."""

    # articles
    NOT_IN_SOURCE = "not in the source"
    NO_XML = "no XML"
    MALFORMED_XML = "malformed XML"
    XML_TOO_LARGE = "XML too large"
    SEVERAL_ARTICLES = "several articles in one document"
    XML_CHECKSUM = "XML checksum"
    METADATA_UNREADABLE = "metadata unreadable"
    RETRACTED = "retracted"
    NOT_OPEN_ACCESS = "not open access"
    HISTORICAL_OCR = "historical OCR"
    LICENSE_EXCLUDED = "licence excluded"
    ARCHIVE_UNREADABLE = "archive unreadable"
    ARCHIVE_HOSTILE = "archive hostile"
    ARTICLE_UNREACHABLE = "article unreachable"
    # figures
    NO_CAPTION = "no caption"
    SHARED_CAPTION = "one caption for several images"
    NO_IMAGE = "no image"
    NO_LICENSE = "no licence"
    COMPOUND_CAPTION = "compound by caption"
    NO_DOMAIN = "no domain"
    NO_MENTION = "no mention"
    EVAL_ARTICLE = "article of the eval set"
    RELEASED_EVAL_ARTICLE = "article of the released eval set"
    ONE_PER_ARTICLE = "one figure an article"
    NOT_NEEDED = "not needed"
    # images
    ARCHIVE_TRUNCATED = "archive truncated"
    IMAGE_MISSING = "image missing"
    IMAGE_UNREACHABLE = "image unreachable"
    IMAGE_CHECKSUM = "image checksum"
    IMAGE_EMPTY = "image empty"
    IMAGE_TRUNCATED = "image truncated"
    IMAGE_UNREADABLE = "image unreadable"
    IMAGE_NOT_ALLOWED = "image format not allowed"
    IMAGE_TOO_LARGE = "image too large"
    IMAGE_TOO_SMALL = "image too small"
    IMAGE_TOO_DEEP = "image over 8 bits a channel"
    COMPOUND_IMAGE = "compound by image"
    # rows and conversations
    MALFORMED_ROW = "malformed row"
    IMAGE_MARKER = "image marker in text"
    LANGUAGE_EXCLUDED = "language excluded"
    PHRASE_EXCLUDED = "phrase type excluded"
    SUBJECT_EXCLUDED = "subject excluded"
    TOO_FEW_CHOICES = "fewer than two choices"
    EMPTY_CHOICE = "empty choice"
    EQUAL_CHOICES = "equal choices"
    ANSWER_NO_CHOICE = "answer is no choice"
    ANSWER_WITHHELD = "answer withheld"
    MARK_WITHOUT_IMAGE = "image mark without image"
    DUPLICATE_ID = "duplicate id"
    NO_CONVERSATION = "no conversation"
    NO_ANSWER = "no answer"
    UNREADABLE_ANSWER = "unreadable answer"
    CONTENT_FILTER = "content filter"
    REQUEST_REFUSED = "request refused"
    REQUEST_FAILED = "request failed"
    LOW_SCORE = "low score"
    REJECTED = "rejected in review"


_IN_WORDS: Mapping[str, str] = {
    Reason.NOT_IN_SOURCE: "article{s} not in the source",
    Reason.NO_XML: "article{s} without XML",
    Reason.MALFORMED_XML: "article{s} with malformed XML",
    Reason.XML_TOO_LARGE: "article{s} with too large XML",
    Reason.SEVERAL_ARTICLES: "document{s} of several articles",
    Reason.XML_CHECKSUM: "article{s} with a wrong checksum",
    Reason.METADATA_UNREADABLE: "article{s} with unreadable metadata",
    Reason.RETRACTED: "retracted article{s}",
    Reason.NOT_OPEN_ACCESS: "article{s} not open access",
    Reason.HISTORICAL_OCR: "article{s} of historical OCR",
    Reason.LICENSE_EXCLUDED: "article{s} under other licences",
    Reason.ARCHIVE_UNREADABLE: "unreadable archive{s}",
    Reason.ARCHIVE_HOSTILE: "hostile archive{s}",
    Reason.ARTICLE_UNREACHABLE: "unreachable article{s}",
    Reason.NO_CAPTION: "figure{s} without caption",
    Reason.SHARED_CAPTION: "figure{s} sharing a caption",
    Reason.NO_IMAGE: "{things} without image",
    Reason.NO_LICENSE: "figure{s} without licence",
    Reason.COMPOUND_CAPTION: "multi-panel figure{s} (per caption)",
    Reason.COMPOUND_IMAGE: "multi-panel figure{s} (per image)",
    Reason.NO_DOMAIN: "figure{s} outside the recipe's domains",
    Reason.NO_MENTION: "figure{s} without mention",
    Reason.EVAL_ARTICLE: "{things} held out for evaluation",
    Reason.RELEASED_EVAL_ARTICLE: "{things} held out for the released evaluation",
    Reason.ONE_PER_ARTICLE: "more figure{s} of an article",
    Reason.NOT_NEEDED: "beyond --size",
    Reason.ARCHIVE_TRUNCATED: "truncated archive{s}",
    Reason.IMAGE_MISSING: "missing image{s}",
    Reason.IMAGE_UNREACHABLE: "unreachable image{s}",
    Reason.IMAGE_CHECKSUM: "image{s} with a wrong checksum",
    Reason.IMAGE_EMPTY: "empty image{s}",
    Reason.IMAGE_TRUNCATED: "truncated image{s}",
    Reason.IMAGE_UNREADABLE: "unreadable image{s}",
    Reason.IMAGE_NOT_ALLOWED: "image{s} in another format",
    Reason.IMAGE_TOO_LARGE: "too large image{s}",
    Reason.IMAGE_TOO_SMALL: "too small image{s}",
    Reason.IMAGE_TOO_DEEP: "image{s} over 8 bits a channel",
    Reason.MALFORMED_ROW: "malformed row{s}",
    Reason.IMAGE_MARKER: "{things} with an image marker",
    Reason.LANGUAGE_EXCLUDED: "row{s} in other languages",
    Reason.PHRASE_EXCLUDED: "row{s} of other phrase types",
    Reason.SUBJECT_EXCLUDED: "row{s} of other subjects",
    Reason.TOO_FEW_CHOICES: "{things} with fewer than two choices",
    Reason.EMPTY_CHOICE: "{things} with an empty choice",
    Reason.EQUAL_CHOICES: "{things} with equal choices",
    Reason.ANSWER_NO_CHOICE: "{things} whose answer is no choice",
    Reason.ANSWER_WITHHELD: "{things} whose answer is withheld",
    Reason.MARK_WITHOUT_IMAGE: "{things} with a mark of no image",
    Reason.DUPLICATE_ID: "row{s} with an id that is taken",
    Reason.NO_CONVERSATION: "{things} without conversation",
    Reason.NO_ANSWER: "{things} without answer",
    Reason.UNREADABLE_ANSWER: "unreadable answer{s}",
    Reason.CONTENT_FILTER: "answer{s} stopped by the content filter",
    Reason.REQUEST_REFUSED: "refused request{s}",
    Reason.REQUEST_FAILED: "failed request{s}",
    Reason.LOW_SCORE: "conversation{s} with low scores",
    Reason.REJECTED: "{things} rejected in review",
}
"""Reason → what is said after the number; a reason that is not here stands as it is."""


def in_words(reason: str, count: int, unit: str) -> str:
    """What tables, cards and messages say after the count of a reason: `figures held out for evaluation`.

    Args:
        reason: of a tally.
        count: how many were dropped.
        unit: what they are, such as `figures`.
    """
    things = unit.removesuffix("s") if count == 1 else unit
    return _IN_WORDS.get(reason, reason).format(s="" if count == 1 else "s", things=things)


class Drop(Exception):  # noqa: N818  (not an error: a counted outcome)
    """Raised where one article, figure, image or row is given up, so that the run can go on.

    Args:
        reason: which of the fixed list.
        detail: what a person needs to look into it; never a path outside the source.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Drop"], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(slots=True)
class Tally:
    """The counts of one unit (articles, figures, rows) at one step; `entered` is `kept` plus all of `dropped`.

    Attributes:
        kept: how many were kept.
        dropped: reason → how many were dropped.
    """

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def entered(self) -> int:
        """How many the step was given."""
        return self.kept + sum(self.dropped.values())

    def keep(self, count: int = 1) -> None:
        """Counts what is kept."""
        self.kept += count

    def drop(self, reason: Reason, count: int = 1) -> None:
        """Counts what is dropped for `reason`."""
        if count:
            self.dropped[reason.value] = self.dropped.get(reason.value, 0) + count

    def add(self, other: "Tally") -> None:
        """Adds the counts of another part of the same work."""
        self.kept += other.kept
        for reason, count in other.dropped.items():
            self.drop(Reason(reason), count)


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of the tallies of several parts of the same work."""
    result = Tally()
    for tally in tallies:
        result.add(tally)
    return result


@dataclass(frozen=True, slots=True)
class Dropped:
    """One row of a `dropped` file: the id of the dropped item, the reason, and a detail that helps to look into it."""

    id: str
    reason: str
    detail: str

    @classmethod
    def of(cls, identifier: str, drop: Drop) -> "Dropped":
        """The line for a drop that was raised."""
        return cls(identifier, drop.reason.value, drop.detail)
