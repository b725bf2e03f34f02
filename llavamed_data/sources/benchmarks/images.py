"""The images beside a benchmark's questions: files of a folder, or of ZIP archives in it, found by their names."""

import os
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")

MAX_BYTES = 100 << 20
"""A larger image is dropped unread."""

_Place = tuple[str, str | None]
"""A file relative to the root, and the member of it where it is an archive."""


class ImagePlaces:
    """Images by name in a folder, the folders below it and the ZIP archives in any of them; or in one archive.

    `synpic1.jpg` is any file of that name, `xmlab0/source.jpg` one whose path ends so, `train_0422` one of that name
    before its suffix. Of several, one of the very suffix counts before others, a file before an archive's member, and
    what lies in the fewest folders.

    Args:
        root: a folder or a ZIP archive.
        within: where links may lead; `root` itself by default.

    Raises:
        UsageError: there is no such folder or archive.
    """

    def __init__(self, root: Path, *, within: Path | None = None) -> None:
        self._root = root
        self._within = (within or root).resolve()
        if not root.is_dir() and not zipfile.is_zipfile(root):
            raise UsageError(f"{root} is neither a folder of images nor a ZIP archive")
        self._found: dict[int, dict[str, list[_Place]]] = {}
        self._archives: dict[str, zipfile.ZipFile] = {}

    def read(self, name: str) -> bytes | Drop:
        """The bytes of the image of that name, or why it cannot be had."""
        places = self._by_depth(name.count("/") + 1).get(_key(PurePosixPath(name)))
        if places is None:
            return Drop(Reason.IMAGE_MISSING, name)
        place = next((each for each in places if _named(each, name)), places[0])
        path = self._root / place[0] if place[0] else self._root
        if not path.resolve().is_relative_to(self._within):
            return Drop(Reason.IMAGE_MISSING, f"{name}: a link that leads out of the folder")
        try:
            content = self._content(path, place)
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            return Drop(Reason.IMAGE_UNREADABLE, f"{name}: {error}")
        if len(content) > MAX_BYTES:
            return Drop(Reason.IMAGE_TOO_LARGE, f"{name}: more than {MAX_BYTES:,} bytes")
        return content

    def _content(self, path: Path, place: _Place) -> bytes:
        if place[1] is None:
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        if place[0] not in self._archives:
            self._archives[place[0]] = zipfile.ZipFile(path)
        with self._archives[place[0]].open(place[1]) as member:
            return member.read(MAX_BYTES + 1)

    def _by_depth(self, parts: int) -> dict[str, list[_Place]]:
        """The last `parts` names of each path, without suffix → the places that end so, the best first."""
        if parts not in self._found:
            found = defaultdict[str, list[tuple[bool, int, str, _Place]]](list)
            for path, place in self._places():
                if len(path.parts) >= parts:
                    key = _key(PurePosixPath(*path.parts[-parts:]))
                    found[key].append((place[1] is not None, len(path.parts), str(path), place))
            self._found[parts] = {
                key: [place for *_, place in sorted(places)] for key, places in found.items()
            }
        return self._found[parts]

    def _places(self) -> Iterator[tuple[PurePosixPath, _Place]]:
        if not self._root.is_dir():
            yield from self._members("")
            return
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                inner = PurePosixPath(Path(folder, name).relative_to(self._root).as_posix())
                if inner.suffix.lower() in SUFFIXES:
                    yield inner, (str(inner), None)
                elif inner.suffix.lower() == ".zip" and zipfile.is_zipfile(Path(folder, name)):
                    yield from self._members(str(inner))

    def _members(self, archive: str) -> Iterator[tuple[PurePosixPath, _Place]]:
        with zipfile.ZipFile(self._root / archive if archive else self._root) as opened:
            for name in opened.namelist():
                path = PurePosixPath(name)
                hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
                if path.suffix.lower() in SUFFIXES and not hidden:
                    yield path, (archive, name)


def image_files(root: Path) -> Iterator[Path]:
    """Every file that `ImagePlaces(root)` may read from, so that a change of one can be seen."""
    if not root.is_dir():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith((*SUFFIXES, ".zip")):
                yield Path(folder, name)


def _named(place: _Place, name: str) -> bool:
    return (place[1] or place[0]).rpartition("/")[2] == name.rpartition("/")[2]


def _key(path: PurePosixPath) -> str:
    return str(path.with_suffix("") if path.suffix.lower() in SUFFIXES else path)
