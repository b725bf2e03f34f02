"""What people keep in a dataset's folder: a rebuild replaces what the toolkit wrote there, and nothing else.

The names and digests of what was written lie in the folder, in a hidden file. What is not listed, or is no longer what
was written, is somebody's: it stays in its place, or is moved aside where the new dataset has a file of that name.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from llavamed_data.dataset.digests import METADATA, file_digest
from llavamed_data.dataset.layout import CARD, REPORT_FOLDER, WRITTEN, is_shard
from llavamed_data.io.regular_files import open_file

KEPT = "kept"
"""The folder beside the datasets into which what no longer fits is moved."""


def list_written(folder: Path, shards: Mapping[str, str]) -> None:
    """Writes down which files of a new dataset the toolkit wrote.

    Args:
        folder: the dataset's folder.
        shards: name → SHA-256 of the shards; the digests of the other files are taken here.
    """
    others = {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    text = json.dumps({"files": {**others, **shards}}, indent=1)
    (folder / WRITTEN).write_text(f"{text}\n", encoding="utf-8")


def keep_what_people_made(old: Path, new: Path, shards: Mapping[str, str]) -> list[str]:
    """Takes into the new folder, or moves aside, what the toolkit did not write into the old one.

    Args:
        old: the dataset's folder as it is; it need not exist.
        new: the folder that takes its place.
        shards: name → SHA-256 of the new shards.

    Returns:
        Sentences about what was moved aside, for people.
    """
    if not old.is_dir():
        return []
    written = _written(old)
    same_rows = written is not None and shards == {
        name: digest for name, digest in written.items() if name.startswith("data/")
    }
    aside: list[str] = []
    for name in _files(old):
        if _is_written(old / name, name, written):
            continue
        report = name.startswith(f"{REPORT_FOLDER}/")
        if (report and not same_rows) or (new / name).exists() or is_shard(name):
            aside.append(name)
        else:
            _take(old / name, new / name)
    if not aside:
        return []
    place = _free_place(old)
    for name in aside:
        _take(old / name, place / name)
    (place.parent / WRITTEN).write_text(
        '{"files": {}}\n', encoding="utf-8"
    )  # no source of other builds: `is_built`
    return list(_sentences(aside, place))


def _written(folder: Path) -> dict[str, str] | None:
    """Name → SHA-256 of what the toolkit wrote; None for a dataset of an earlier version, which has no list."""
    with (
        suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError),
        open_file(folder / WRITTEN) as file,
    ):
        stated = json.load(file)["files"]
        return {str(name): str(digest) for name, digest in stated.items()}
    return None


def _files(folder: Path) -> Iterator[str]:
    """All files and links in a folder but the list, by their names relative to it."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*names, *links]):
            inner = Path(place, name).relative_to(folder).as_posix()
            if inner != WRITTEN:
                yield inner


def _is_written(path: Path, name: str, written: Mapping[str, str] | None) -> bool:
    if path.is_symlink() or not path.is_file():  # a pipe is never read: that may never end
        return False
    if written is None:  # the card of an earlier version may have been edited: nobody can tell
        return name == METADATA or is_shard(name)
    return name in written and file_digest(path) == written[name]


def _take(old: Path, new: Path) -> None:
    """Puts a file into another folder; the old one keeps it until it is replaced as a whole."""
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(old, new, follow_symlinks=False)


def _free_place(folder: Path) -> Path:
    number = 1
    while (place := folder.parent / KEPT / f"{folder.name}-{number}").exists():
        number += 1
    return place


def _sentences(aside: Iterable[str], place: Path) -> Iterator[str]:
    names = list(aside)
    reports = [name for name in names if name.startswith(f"{REPORT_FOLDER}/")]
    if reports:
        yield f"{REPORT_FOLDER}/ describes the earlier rows: kept in {place}; run stats again for these"
    if CARD in names:
        yield f"{CARD} may have been edited by hand: kept in {place}, beside it stands a new card"
    if others := [name for name in names if name not in (CARD, *reports)]:
        yield f"{', '.join(others[:5])}{' …' if len(others) > 5 else ''} was not written by build: kept in {place}"
