"""Results files: JSON that states its kind first, so that `tables` finds it among other JSON in a folder of runs."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_data.errors import LlavaMedError
from llavamed_data.io.atomic import write_text

ResultKind: TypeAlias = Literal["llavamed-scores", "llavamed-judgement", "llavamed-run"]
"""What writes it: `score`, `judge`, or `sweep` for each training run."""

_HEAD_BYTES = 64
_HEAD = re.compile(rb'\s*\{\s*"kind": "llavamed-')


def write_result(path: Path, kind: ResultKind, stated: Mapping[str, Any]) -> None:
    """Writes a results file, which appears whole or not at all; missing folders are made."""
    write_text(path, json.dumps({"kind": kind, **stated}, indent=1, ensure_ascii=False) + "\n")


def find_results(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yields the results files in a folder and the folders below, in alphabetical order; other JSON is left alone.

    Raises:
        LlavaMedError: a results file is damaged.
    """
    for path in sorted(each for each in folder.rglob("*.json") if each.is_file()):
        with path.open("rb") as file:
            if not _HEAD.match(file.read(_HEAD_BYTES)):
                continue  # a model's configuration, a tokenizer of many megabytes
        try:
            yield path, json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> LlavaMedError:
    """The error for a results file that is not what it says."""
    return LlavaMedError(
        f"{path} is a damaged results file ({type(error).__name__}: {error}): make it again, or remove it"
    )
