"""Pickles of rows, read without trust: plain lists, tables, texts and numbers, and nothing else."""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from llavamed_data.errors import LlavaMedError

MAX_BYTES = 256 << 20
"""Of a file; PathVQA's largest has some megabytes."""


def read_pickle(path: Path) -> list[Any]:
    """The rows of a pickled list. A pickle that names any class or function is refused, and nothing of it is run.

    Raises:
        LlavaMedError: it holds something else than a list of plain values, is broken, or is too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise LlavaMedError(f"{path} has more than {MAX_BYTES:,} bytes: no file of questions is so large")
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
    """The one in Python: the one in C takes as much memory as a hostile file asks for."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise LlavaMedError(
            f"the pickle asks for {module_name[:80]}.{global_name[:80]}: only plain lists and tables are read, "
            "for a pickle that names more can run any code"
        )

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ARG002
        raise LlavaMedError("the pickle refers to objects outside it: only plain lists and tables are read")

    def get_extension(self, code: int) -> NoReturn:  # noqa: ARG002
        raise LlavaMedError("the pickle asks for a registered class: only plain lists and tables are read")
