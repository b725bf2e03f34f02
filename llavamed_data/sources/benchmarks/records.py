"""The records of a benchmark's files, which are not trusted: JSON, CSV, Parquet with images, pickled lists."""

import codecs
import csv
import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq

from llavamed_data.errors import LlavaMedError, one_line
from llavamed_data.io.regular_files import require_file
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.json_stream import read_records

KeepImage = Callable[[bytes, str | None], str]
"""Called with the bytes and the name, if any, of an image inside a row; returns the name by which to ask for it."""

MAX_NESTED_BYTES = 512 << 20
"""Of a file that is one JSON object; PathMMU's has some tens of megabytes."""

MAX_PICKLE_BYTES = 256 << 20
"""Of a file; PathVQA's largest has some megabytes."""

_BATCH_ROWS = 64


def file_records(path: Path, keep_image: KeepImage) -> Iterator[Any]:
    """Yields the records of one file, told apart by its suffix.

    Raises:
        LlavaMedError: it cannot be read or is not what its suffix says.
    """
    require_file(path)
    if path.suffix == ".parquet":
        yield from _parquet_records(path, keep_image)
    elif path.suffix == ".pkl":
        yield from read_pickle(path)
    elif ".csv" in path.suffixes:
        yield from _csv_records(path)
    else:
        with open_content(str(path)) as content:
            yield from read_records(content)


def _parquet_records(path: Path, keep_image: KeepImage) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    kept = {
                        column: _with_names(value, keep_image)
                        for column, value in row.items()
                        if column.startswith("image")
                    }
                    yield row | {"image": None} | kept
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        if getattr(error, "errno", None):
            raise
        raise LlavaMedError(f"{path} is no sound Parquet file ({one_line(error)}); fetch it again") from error


def _with_names(value: Any, keep_image: KeepImage) -> Any:
    """An image, or each image of a list, as the name under which it is kept; None for an image without bytes."""
    if isinstance(value, list):
        return [_with_names(each, keep_image) for each in value]
    if not isinstance(value, dict):
        return value
    data, stated = value.get("bytes"), value.get("path")
    return keep_image(data, stated if isinstance(stated, str) else None) if isinstance(data, bytes) else None


def _csv_records(path: Path) -> Iterator[Any]:
    """The lines of a table by the names in its first line; cells beyond those stand under None."""
    with open_content(str(path)) as content:
        decoder = codecs.getincrementaldecoder("utf-8")()
        text = io.StringIO(newline="")
        try:
            for chunk in content.chunks():
                text.write(decoder.decode(chunk))
            text.write(decoder.decode(b"", final=True))
            text.seek(0)
            for row in csv.DictReader(text):
                if any(row.values()):
                    yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise LlavaMedError(f"{path} is no sound table ({one_line(error)}); fetch it again") from error


def read_object(path: Path) -> Any:
    """Returns the value of a file that is one JSON object.

    Raises:
        LlavaMedError: it is too large, or no JSON.
    """
    require_file(path)
    if path.stat().st_size > MAX_NESTED_BYTES:
        raise LlavaMedError(
            f"{path} has more than {MAX_NESTED_BYTES:,} bytes: no file of questions is so large"
        )
    try:
        with open_content(str(path)) as content:
            return json.loads(b"".join(content.chunks()))
    except (ValueError, RecursionError) as error:
        raise LlavaMedError(f"{path} is no sound JSON ({one_line(error)}); fetch it again") from error


def read_pickle(path: Path) -> list[Any]:
    """Returns the rows of a pickled list. A pickle that names a class or function is refused; no code of it runs.

    Raises:
        LlavaMedError: it holds something other than a list of plain values, is broken, or is too large.
    """
    if path.stat().st_size > MAX_PICKLE_BYTES:
        raise LlavaMedError(
            f"{path} has more than {MAX_PICKLE_BYTES:,} bytes: no file of questions is so large"
        )
    try:
        rows = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8").load()
    except LlavaMedError:
        raise
    except Exception as error:  # a broken pickle can raise anything
        raise LlavaMedError(
            f"{path} is no sound pickle ({type(error).__name__}: {error}); fetch the file again"
        ) from error
    if not isinstance(rows, list):
        raise LlavaMedError(f"{path} holds a {type(rows).__name__}, not a list of questions")
    return rows


class _PlainUnpickler(pickle._Unpickler):
    """Reads plain lists, dictionaries, texts and numbers, and nothing else.

    This is the unpickler in Python: the one in C takes as much memory as a hostile file asks for.
    """

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise LlavaMedError(
            f"the pickle asks for {module_name[:80]}.{global_name[:80]}: only plain lists and tables are read, "
            "for a pickle that names more can run any code"
        )

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ARG002  (the signature is pickle's)
        raise LlavaMedError("the pickle refers to objects outside it: only plain lists and tables are read")

    def get_extension(self, code: int) -> NoReturn:  # noqa: ARG002  (the signature is pickle's)
        raise LlavaMedError("the pickle asks for a registered class: only plain lists and tables are read")
