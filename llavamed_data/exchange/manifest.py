"""What an export says of itself, so that an import gives back the set as it was."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from llavamed_data.errors import LlavaMedError

NAME = "llavamed-export.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The frame of an exported set.

    Attributes:
        form: the format.
        rows: split → rows.
        schema: the columns, as Arrow serialises them, in base64.
        files: further files of the set's folder that are text (card, Croissant metadata): name → text.
    """

    form: str
    rows: dict[str, int]
    schema: str
    files: dict[str, str]

    @classmethod
    def of(cls, form: str, rows: dict[str, int], schema: pa.Schema, files: dict[str, str]) -> "Manifest":
        """The manifest of a set with these columns."""
        return cls(form, rows, base64.b64encode(schema.serialize()).decode("ascii"), files)

    def arrow_schema(self) -> pa.Schema:
        """The columns.

        Raises:
            LlavaMedError: they cannot be read.
        """
        try:
            return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(self.schema, validate=True)))
        except (ValueError, OSError, pa.ArrowException) as error:
            raise LlavaMedError(f"{NAME} holds no columns that can be read: export the set again") from error

    def write(self, folder: Path) -> None:
        """Writes it into an export's folder."""
        (folder / NAME).write_text(
            json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None where there is none.

    Raises:
        LlavaMedError: it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**stated)
        texts = (manifest.form, manifest.schema, *manifest.files, *manifest.files.values(), *manifest.rows)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("not the texts that belong there")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LlavaMedError(
            f"{path} is damaged: export the set again, or remove it to import without it"
        ) from error
    return manifest
