"""Finds rows of a dataset by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import UsageError
from llavamed_data.show.image_files import ImageFileNames, write_image


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row of a dataset.

    Attributes:
        row: all columns; `images` is a list of `{"bytes", "path"}`.
        files: the files that its images were written to; empty if no folder was given for them.
    """

    row: Row
    files: Sequence[Path] = ()

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values for `--json`: of images the name, the number of bytes and the file."""
        files: list[Path | None] = list(self.files)
        images = []
        for image in self.row.get("images") or ():
            data = image.get("bytes") if image else None
            file = files.pop(0) if isinstance(data, bytes) and files else None
            images.append(
                {
                    "path": image.get("path") if image else None,
                    "bytes": len(data) if isinstance(data, bytes) else None,
                    "file": str(file) if file else None,
                }
            )
        return {**self.row, "images": images}


def find_rows(dataset: Dataset, ids: Sequence[str], *, files: Path | None = None) -> list[ShownRow]:
    """The rows with these ids, in this order.

    Args:
        dataset: the dataset.
        ids: of rows.
        files: folder to which the images are written; None writes none.

    Raises:
        UsageError: there is no id, or no row that has one of them.
    """
    if not ids:
        raise UsageError(f"name the ids of rows: review {dataset.given} shows those that it has")
    found = dataset.find(ids)
    if missing := [name for name in ids if name not in found]:
        raise UsageError(
            f"{dataset.name} has no row {', '.join(missing)}: review {dataset.given} shows the ids that it has"
        )
    names, shown = ImageFileNames(), []
    for name in ids:
        row = dataset.row(found[name])
        images = [
            image for image in row.get("images") or () if image and isinstance(image.get("bytes"), bytes)
        ]
        written = [write_image(image, row, files, names) for image in images] if files else []
        shown.append(ShownRow(row, written))
    return shown
