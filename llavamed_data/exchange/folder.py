"""A folder that appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pipeline.station import explain, replace_folder


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A folder to write to that becomes `folder` when the block ends well.

    Raises:
        UsageError: `folder` is there already and holds something.
        LlavaMedError: it cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"{folder} is there already: remove it, or choose another folder with --out")
    aside = folder.parent / f".{folder.name}.part"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        replace_folder(aside, folder)
    except OSError as error:
        raise LlavaMedError(explain(error, folder)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
