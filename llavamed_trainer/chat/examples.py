"""One image of each domain of a built dataset, with the questions and answers that the dataset has about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llavamed_data.dataset.messages import rounds_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import UsageError
from llavamed_trainer.chat.conversation import ChatImage

MOST_EXAMPLES = 8
"""Images that are offered at most; of a set without domains, such as VQA-RAD, the first ones."""

_MOST_ROWS = 50
"""Rows about one image that are read at most."""


@dataclass(frozen=True, slots=True)
class ChatExample:
    """An image of a dataset.

    Attributes:
        title: its domain, or the id of its first row where the dataset has no domains.
        image: the image.
        rounds: (question, answer) of each round that the dataset has about the image.
    """

    title: str
    image: ChatImage
    rounds: Sequence[tuple[str, str]]

    def answer(self, question: str) -> str:
        """What the dataset answers to a question, " / " between answers that differ; "" where it does not ask it."""
        asked = _compared(question)
        answers = (answer for each, answer in self.rounds if _compared(each) == asked)
        return " / ".join(dict.fromkeys(answers))


def examples_of(path_or_repo: str) -> list[ChatExample]:
    """The examples of a dataset: of each domain the first image that can be read, in the order of the rows.

    Args:
        path_or_repo: the dataset's folder, or the name of its repository on the Hub (`OWNER/NAME`).

    Raises:
        UsageError: it is no dataset, or no image in it can be read.
        LlavaMedError: a shard cannot be read.
    """
    dataset = Dataset(path_or_repo)
    examples: dict[str, ChatExample] = {}
    for title, numbers in _images(dataset):
        if title in examples:
            continue
        rows = [dataset.row(number, ["images", "messages"]) for number in numbers[:_MOST_ROWS]]
        image = _image(rows[0])
        if image is not None:
            about = [row for row in rows if _stored(row) == image.data]
            rounds = [each for row in about for each in rounds_of(row.get("messages"))]
            examples[title] = ChatExample(title, image, rounds)
        if len(examples) == MOST_EXAMPLES:
            break
    if not examples:
        raise UsageError(f"{path_or_repo} has no image that can be shown: run validate on it")
    return list(examples.values())


def _images(dataset: Dataset) -> Iterator[tuple[str, list[int]]]:
    """The title of each image and the numbers of the rows that seem to share it, in the order of the dataset."""
    rows_of: dict[tuple[object, ...], list[int]] = {}
    titles: dict[tuple[object, ...], str] = {}
    for number, row in enumerate(dataset.rows(["id", "domain", "pmcid", "images.list.element.path"])):
        paths = [image.get("path") for image in row.get("images") or () if image]
        if not paths:
            continue
        image: tuple[object, ...] = (row.get("domain"), row.get("pmcid"), paths[0] or number)
        rows_of.setdefault(image, []).append(number)
        titles.setdefault(image, str(row.get("domain") or row.get("id")).replace("_", " "))
    for same, numbers in rows_of.items():
        yield titles[same], numbers


def _image(row: Row) -> ChatImage | None:
    try:
        return ChatImage.of(str((row["images"][0] or {}).get("path") or "image"), _stored(row))
    except UsageError:
        return None


def _stored(row: Row) -> bytes:
    image = next(iter(row.get("images") or ()), None) or {}
    data = image.get("bytes")
    return data if isinstance(data, bytes) else b""


def _compared(question: str) -> str:
    return " ".join(question.split()).casefold()
