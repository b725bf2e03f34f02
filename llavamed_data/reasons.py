"""Why something was dropped: the fixed list that every station draws from."""

from enum import StrEnum


class Reason(StrEnum):
    """A reason for a drop; the value is what manifests, `dropped` files, tables and cards show."""

    # articles
    NOT_IN_SOURCE = "not in the source"
    NO_XML = "no XML"
    MALFORMED_XML = "malformed XML"
    XML_TOO_LARGE = "XML too large"
    XML_CHECKSUM = "XML checksum"
    METADATA_UNREADABLE = "metadata unreadable"
    RETRACTED = "retracted"
    NOT_OPEN_ACCESS = "not open access"
    LICENSE_EXCLUDED = "licence excluded"
    ARCHIVE_UNREADABLE = "archive unreadable"
    ARCHIVE_HOSTILE = "archive hostile"
    ARTICLE_UNREACHABLE = "article unreachable"
    # figures
    NO_CAPTION = "no caption"
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
    COMPOUND_IMAGE = "compound by image"
    # rows and conversations
    MALFORMED_ROW = "malformed row"
    LANGUAGE_EXCLUDED = "language excluded"
    PHRASE_EXCLUDED = "phrase type excluded"
    DUPLICATE_ID = "duplicate id"
    NO_CONVERSATION = "no conversation"
    UNREADABLE_ANSWER = "unreadable answer"
    CONTENT_FILTER = "content filter"
    REQUEST_REFUSED = "request refused"
    REQUEST_FAILED = "request failed"
    LOW_SCORE = "low score"


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
