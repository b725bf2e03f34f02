"""TSV files that VLMEvalKit reads from the folder `LMUData` as custom datasets: multiple choice, and other questions.

Its loader (`build_dataset` in vlmeval/dataset/__init__.py and `ImageBaseDataset` in image_base.py of commit e8e78f0) is
met as it is:

- It reads with pandas' defaults: texts such as "None" and "NA" become missing values, which removes an option from its
  question. They get a blank behind them, and the written files are read again the same way and compared.
- `index` is evaluated as Python and becomes part of file names: it is a number here, and the id is in `question_id`.
- A row whose image is missing is dropped without a word: questions without images are refused.
- An image of 64 characters or less is the index of the row that has the image: so each image is stored once.
- Images that it has unpacked are kept under their names (`image_path`), and so is the copy that it makes of a file
  of over 1 GB: both are in the way of another set of the same name, and `--replace` removes them.
- A dataset whose name holds no "openended" is multiple choice for its models.
"""

import base64
import csv
import hashlib
import shutil
import string
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_trainer.evaluation.export.task import AskedQuestion, ExportedTask, TaskQuestions
from llavamed_trainer.evaluation.questions import StoredImage

_TEXTS = (
    "question_id",
    "question",
    "answer",
    "category",
    "answer_type",
    "prompt_form",
    "domain",
    "language",
    "split",
)
_OPEN_ENDED = "_openended"
_CIRCULAR = ("mmbench", "ccbench", "circular", "mmcr")
"""What in a name makes VLMEvalKit score multiple choice by the rules of another benchmark."""

_MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
        *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""The texts that pandas.read_csv takes for missing values."""

_SHORTEST_IMAGE = 64
"""Characters up to which VLMEvalKit takes an image for the index of another row."""


@dataclass
class _Table:
    """One TSV file that is being written.

    Attributes:
        name: what the kit calls it.
        path: where it will be.
        temporary: where it is written.
        letters: the options' columns; empty for questions without options.
        texts: what it holds, without the images: row → column → text.
        first: SHA-256 of an image → the index of the row that holds it, of rows with one image.
    """

    name: str
    path: Path
    temporary: Path
    letters: str
    texts: list[dict[str, str]] = field(default_factory=list)
    first: dict[bytes, int] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("index", *_TEXTS, *self.letters, "image_path", "image")


def write_vlmevalkit(out: Path, questions: TaskQuestions) -> ExportedTask:
    """Writes `<name>.tsv` for the multiple-choice questions and `<name>_openended.tsv` for the others.

    Raises:
        UsageError: a question has no image, or options that the kit cannot show; the name means something to the kit;
            something of that name is there already.
        LlavaMedError: pandas would not read what was written.
    """
    tables = _plan(out, questions)
    for table in tables:
        _refuse_what_is_there(out, table, replace=questions.options.replace)
    out.mkdir(parents=True, exist_ok=True)
    shown = changed = 0
    with ExitStack() as stack:
        writers = dict[bool, tuple[_Table, Any]]()
        for table in tables:
            table.temporary = stack.enter_context(atomic_path(table.path, durable=True))
            file = stack.enter_context(table.temporary.open("w", encoding="utf-8", newline=""))
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(table.columns)
            writers[bool(table.letters)] = table, (file, writer)
        for asked in questions.asked():
            table, (_, writer) = writers[bool(asked.question.choices)]
            row = _texts(asked, questions.options.split)
            changed += sum(value in _MISSING and value != "" for value in row.values())
            shown += len(asked.images)
            index = len(table.texts)
            table.texts.append({column: _kept(value) for column, value in row.items()})
            row_texts = [table.texts[-1].get(column, "") for column in table.columns[1:-2]]
            writer.writerow([index, *row_texts, *_images(asked, index, table)])
        for table, (file, _) in writers.values():
            file.close()
            _check_reading(table)
        written = sum(len(table.texts) for table in tables)
        task = questions.exported(
            tuple(table.name for table in tables),
            tuple(table.path for table in tables),
            shown,
            written,
            changed,
        )
        if questions.options.replace:
            for table in tables:
                _remove_traces(out, table.name)
    return task


def _plan(out: Path, questions: TaskQuestions) -> list[_Table]:
    """The files that the set needs, after a check that the kit can ask its questions."""
    options = questions.options
    if options.lost_images == "ask":
        raise UsageError(
            "VLMEvalKit drops questions without an image: leave them out with --lost-images skip, or export to "
            "lmms-eval"
        )
    asked = [each for each in questions.set.questions if each.id not in questions.left_out]
    if bare := [each.id for each in asked if each.image_count == 0]:
        raise UsageError(
            f"{len(bare)} questions have no image, the first is {bare[0]!r}: VLMEvalKit would drop them without a "
            "word; export to lmms-eval"
        )
    most = len(string.ascii_uppercase)
    for each in asked:
        if each.choices and not 2 <= len(each.choices) <= most:
            raise UsageError(
                f"{each.id!r} has {len(each.choices)} choices: VLMEvalKit takes 2 to {most}; export to lmms-eval"
            )
        if "" in each.choices:
            raise UsageError(
                f"{each.id!r} has an empty choice, which VLMEvalKit would drop: export to lmms-eval"
            )
    letters = string.ascii_uppercase[: max((len(each.choices) for each in asked), default=0)]
    name = questions.name
    tables = list[_Table]()
    if letters:
        if found := [part for part in (*_CIRCULAR, "openended") if part in name.lower()]:
            raise UsageError(
                f"the name {name!r} holds {found[0]!r}, by which VLMEvalKit knows sets of another kind: choose another "
                "with --name"
            )
        tables.append(_Table(name, out / f"{name}.tsv", Path(), letters))
    if not letters or any(not each.choices for each in asked):
        other = name if "openended" in name.lower() else name + _OPEN_ENDED
        tables.append(_Table(other, out / f"{other}.tsv", Path(), ""))
    return tables


def _texts(asked: AskedQuestion, split: str) -> dict[str, str]:
    question = asked.question
    return {
        "question_id": question.id,
        # the kit puts the options behind a multiple-choice question itself
        "question": question.text if question.choices else asked.prompt,
        "answer": question.reference,
        "category": question.question_type or "",
        "answer_type": question.answer_type or "",
        "prompt_form": asked.form,
        "domain": question.domain or "",
        "language": question.language,
        "split": split,
        **dict(zip(string.ascii_uppercase, question.choices, strict=False)),
    }


def _kept(text: str) -> str:
    """The text as pandas keeps it; an empty one is missing, which is what it means."""
    return f"{text} " if text in _MISSING and text else text


def _images(asked: AskedQuestion, index: int, table: _Table) -> tuple[str, str]:
    """The columns `image_path` and `image` of a row; Python's form of a list for several images."""
    if len(asked.images) > 1:
        names = [f"{index}_{number}.png" for number in range(len(asked.images))]
        return str(names), str([_encoded(image, asked) for image in asked.images])
    (image,) = asked.images
    first = table.first.setdefault(hashlib.sha256(image.data).digest(), index)
    return f"{first}.png", _encoded(image, asked) if first == index else str(first)


def _encoded(image: StoredImage, asked: AskedQuestion) -> str:
    text = base64.b64encode(image.data).decode()
    if len(text) <= _SHORTEST_IMAGE:
        raise UsageError(
            f"an image of {asked.question.id!r} has {len(image.data)} bytes, which VLMEvalKit would take for the index "
            "of another row: export to lmms-eval"
        )
    return text


def _check_reading(table: _Table) -> None:
    """Reads a file as VLMEvalKit does.

    Raises:
        LlavaMedError: a text would not be what it was.
    """
    import pandas as pd

    read = pd.read_csv(table.temporary, sep="\t")
    if len(read) != len(table.texts):
        raise LlavaMedError(
            f"pandas reads {len(read)} of the {len(table.texts)} rows of {table.path}: export to lmms-eval"
        )
    for column in table.columns[1:-2]:
        for row, found in zip(table.texts, _as_text(read[column]), strict=True):
            if found != (wanted := row.get(column, "")):
                raise LlavaMedError(
                    f"VLMEvalKit would read {found!r} for {wanted!r} in the column {column!r} of the question "
                    f"{row['question_id']!r}, as pandas takes the column for another type: export to lmms-eval"
                )


def _as_text(column: Any) -> Iterator[str]:
    for value, missing in zip(column, column.isna(), strict=True):
        yield "" if missing else str(value)


def _refuse_what_is_there(out: Path, table: _Table, *, replace: bool) -> None:
    if not replace and (
        there := next((path for path in (table.path, *_traces(out, table.name)) if path.exists()), None)
    ):
        raise UsageError(f"{there} exists already: overwrite it with --replace, or choose another --name")


def _traces(out: Path, name: str) -> tuple[Path, Path]:
    """What VLMEvalKit keeps of a dataset: its images, and its copy of a large file."""
    return out / "images" / name, out / f"{name}_local.tsv"


def _remove_traces(out: Path, name: str) -> None:
    images, copy = _traces(out, name)
    shutil.rmtree(images, ignore_errors=True)
    copy.unlink(missing_ok=True)
