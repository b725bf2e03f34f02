"""The manifest of an export: what an import needs to give the dataset back as it was."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from llavamed_data.dataset.digests import METADATA
from llavamed_data.dataset.layout import CARD
from llavamed_data.errors import LlavaMedError

MANIFEST = "llavamed-export.json"

KEPT_FILES = (CARD, METADATA)
"""Files of the dataset's folder that the manifest holds."""

_KEPT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """What an export states of the dataset that it was made of.

    Attributes:
        form: name of the format.
        rows: split → number of rows.
        schema: the columns, as Arrow serialises them, in base64.
        files: name → text of the dataset's `KEPT_FILES`.
    """

    form: str
    rows: dict[str, int]
    schema: str
    files: dict[str, str]

    @classmethod
    def of(cls, form: str, rows: dict[str, int], schema: pa.Schema, dataset: Path) -> "ExportManifest":
        """The manifest of an export of the dataset in the folder `dataset`, which has the columns `schema`."""
        files = {}
        for name in KEPT_FILES:
            path = dataset / name
            if path.is_file() and path.stat().st_size <= _KEPT_BYTES:
                files[name] = path.read_bytes().decode("utf-8", "replace")
        return cls(form, rows, base64.b64encode(schema.serialize()).decode("ascii"), files)

    def arrow_schema(self) -> pa.Schema:
        """The columns.

        Raises:
            LlavaMedError: they cannot be read.
        """
        try:
            return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(self.schema, validate=True)))
        except (ValueError, OSError, pa.ArrowException) as error:
            raise LlavaMedError(
                f"{MANIFEST} holds no columns that can be read: export the set again"
            ) from error

    def write(self, folder: Path) -> None:
        """Writes the manifest into an export's folder."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def read_manifest(folder: Path) -> ExportManifest | None:
    """The manifest in `folder`; None if there is none.

    Raises:
        LlavaMedError: it is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = ExportManifest(**json.loads(path.read_text(encoding="utf-8")))
        texts = (manifest.form, manifest.schema, *manifest.files, *manifest.files.values(), *manifest.rows)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is something else")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LlavaMedError(
            f"{path} is damaged: export the set again, or remove it to import without it"
        ) from error
    return manifest
