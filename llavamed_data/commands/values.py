"""From what a call was given to what the rooms below take."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from llavamed_data.console.options import EngineName
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.engine.engine import Engine
from llavamed_data.engine.open import open_engine
from llavamed_data.errors import UsageError


def text_of(place: str | Path | None) -> str | None:
    """A place as text; None stays None."""
    return None if place is None else str(place)


def path_of(file: str | Path | None) -> Path | None:
    """A file as a path, `~` being the home folder; None stays None."""
    return None if file is None else Path(file).expanduser()


def folder_of(place: str | Path) -> Path:
    """A folder or file to write, `~` being the home folder.

    Raises:
        UsageError: it looks like an address, such as s3://bucket, which would be made a folder here.
    """
    path = Path(place).expanduser()
    if re.match(r"[A-Za-z][\w+.-]*:", str(path)):
        raise UsageError(
            f"{place} looks like an address: only folders here are written ({path.absolute()} is one)"
        )
    return path


def licenses_of(license: str | Iterable[str] | None) -> tuple[str, ...]:  # noqa: A002  (the flag's name)
    """The licences that are wanted: `cc0,cc-by` or a list; () for all.

    Raises:
        UsageError: something is given that names none.
    """
    if license is None:
        return ()
    stated = license.split(",") if isinstance(license, str) else license
    if names := tuple(name.strip() for name in stated if name.strip()):
        return names
    raise UsageError("--license names no licence: give cc0,cc-by,… or leave it out")


def engine_of(
    engine: Engine | EngineName | str | None,
    workers: int | None,
    ray_address: str | None,
    slurm: str | Sequence[str] | None,
    on_progress: ProgressCallback | None,
) -> Engine:
    """The engine itself, or the one of that name with its options.

    Raises:
        UsageError: there is no such engine, or an option does not go with it.
    """
    if isinstance(engine, Engine):
        if workers or ray_address or slurm or on_progress:
            raise UsageError("an engine that is given whole has its own workers, addresses and progress")
        return engine
    try:
        name = EngineName(engine or EngineName.LOCAL)
    except ValueError as error:
        raise UsageError(f"no engine is called {engine!r}: choose from {', '.join(EngineName)}") from error
    if isinstance(slurm, str):
        slurm = [slurm]
    return open_engine(name, workers=workers, ray_address=ray_address, slurm=slurm, on_progress=on_progress)
