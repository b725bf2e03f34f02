"""The questions of a benchmark: any dataset that stock `load_dataset` opens and that has one round a row."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavamed_data.dataset.messages import rounds_of
from llavamed_data.errors import LlavaMedError, UsageError

if TYPE_CHECKING:
    import datasets

BENCHMARKS = ("vqa-rad", "slake", "path-vqa", "eval")
"""Names that stand for the datasets `llava-med/NAME`, which `build NAME` leaves."""

_NEEDED = ("id", "messages", "images")
_HASHED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Question:
    """One row of a benchmark, its image apart.

    Attributes:
        id: of the row.
        place: of the row in the split, from 0.
        text: what is asked.
        reference: the right answer, or the reference's.
        image: SHA-256 of the image's bytes; None where it is lost.
        answer_type: `OPEN`, `CLOSED`, or None where the benchmark does not say.
        question_type: such as `conversation` or `MODALITY`.
        domain: the first one flagged, if any.
        caption, inline_mentions, figure_label: the text that belongs to the figure; empty in the VQA sets.
    """

    id: str
    place: int
    text: str
    reference: str
    image: str | None
    answer_type: str | None = None
    question_type: str | None = None
    domain: str | None = None
    caption: str = ""
    inline_mentions: tuple[str, ...] = ()
    figure_label: str = ""


class Benchmark:
    """The questions of one split in their order; the images stay on disk until they are asked for.

    Args:
        name: `vqa-rad`, `slake`, `path-vqa`, `eval`, a dataset's folder or its name on the Hub.
        split: of the dataset.
        language: `en`, `zh` or `all`, for sets that state it; one that does not has only English questions.

    Attributes:
        name: as results call it.
        questions: one a row.

    Raises:
        UsageError: no such dataset, split or column; a row without an id, a question or an answer, or with more
            than one round; an id that is there twice.
        LlavaMedError: the Hub cannot be reached, or a shard cannot be read.
    """

    def __init__(self, name: str, split: str = "test", language: str = "en") -> None:
        known = name in BENCHMARKS and not Path(name).is_dir()
        self._source = f"llava-med/{name}" if known else name
        self.name = name.rstrip("/").rpartition("/")[2]
        self.split = split
        rows = _open(self._source, split)
        if lost := [column for column in _NEEDED if column not in rows.column_names]:
            raise UsageError(
                f"{self._source} has no column {lost[0]!r}: build the set with `llavamed_data build`"
            )
        self._rows = _in_language(rows, language, self._source)
        self.questions = tuple(self._read())
        seen = set[str]()
        for question in self.questions:
            if question.id in seen:
                raise UsageError(f"{self._source} has the id {question.id!r} twice: run validate")
            seen.add(question.id)

    def image(self, question: Question) -> bytes:
        """The bytes of the question's image, as they lie in the set."""
        return _image_bytes(self._rows[question.place])  # type: ignore[return-value]

    def _read(self) -> Iterator[Question]:
        texts = self._rows.remove_columns("images")
        for start in range(0, len(self._rows), _HASHED_AT_ONCE):
            stop = min(start + _HASHED_AT_ONCE, len(self._rows))
            images = self._rows.select_columns("images")[start:stop]["images"]
            for place, listed in enumerate(images, start):
                data = _image_bytes({"images": listed})
                digest = hashlib.sha256(data).hexdigest() if data else None
                yield self._question(texts[place], place, digest)

    def _question(self, row: Mapping[str, Any], place: int, image: str | None) -> Question:
        rounds = rounds_of(row["messages"])
        if len(rounds) != 1 or not row["id"]:
            raise UsageError(
                f"row {row['id'] or place!r} of {self._source} is not one question and its answer: run validate"
            )
        return Question(
            id=row["id"],
            place=place,
            text=rounds[0][0],
            reference=rounds[0][1],
            image=image,
            answer_type=row.get("answer_type"),
            question_type=row.get("question_type"),
            domain=row.get("domain"),
            caption=row.get("caption") or "",
            inline_mentions=tuple(row.get("inline_mentions") or ()),
            figure_label=row.get("figure_label") or "",
        )


def _open(source: str, split: str) -> "datasets.Dataset":
    import datasets

    quiet = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        splits = datasets.load_dataset(source)
        if split not in splits:
            raise UsageError(f"{source} has no split {split!r}: choose from {', '.join(splits)}")
        rows = splits[split]
        if "images" in rows.column_names:
            rows = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    except (FileNotFoundError, datasets.exceptions.DatasetNotFoundError) as error:
        raise UsageError(
            f"there is no dataset {source}: build it with `llavamed_data build`, or name a folder"
        ) from error
    except (ConnectionError, datasets.exceptions.DatasetsError, ValueError) as error:
        raise LlavaMedError(f"{source} cannot be opened: {' '.join(str(error).split())[:300]}") from error
    finally:
        if quiet:
            datasets.enable_progress_bars()
    return rows


def _in_language(rows: "datasets.Dataset", language: str, source: str) -> "datasets.Dataset":
    stated = list(rows["language"]) if "language" in rows.column_names else ["en"] * len(rows)
    places = [place for place, each in enumerate(stated) if language in ("all", each)]
    if not places:
        there = ", ".join(sorted(set(stated))) or "none"
        raise UsageError(f"{source} has no question in the language {language!r}, only: {there}")
    return rows if len(places) == len(rows) else rows.select(places)


def _image_bytes(row: Mapping[str, Any]) -> bytes | None:
    images = row["images"] or []
    if not images:
        return None
    data = images[0].get("bytes")
    if data is None and images[0].get("path"):
        return Path(images[0]["path"]).read_bytes()
    return data or None
