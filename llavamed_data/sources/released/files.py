"""Which released file is which: names, folders, checksums."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml

from llavamed_data.errors import UsageError
from llavamed_data.sources.released.content import (
    Content,
    below,
    exists,
    folder_of,
    is_remote,
    open_content,
    shown,
)

Holds = Literal["rows", "captions", "image_urls", "answers"]


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """One file of the release, as `files.yaml` lists it."""

    name: str
    folder: str
    holds: Holds
    recipes: tuple[str, ...]
    also: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The released name first, then the others in use."""
        return self.name, *self.also

    @property
    def places(self) -> Iterator[str]:
        """Relative paths at which it may lie, gzipped or not: bare, or under its folder or an end of that."""
        parts = self.folder.split("/")
        folders = ["", *("/".join(parts[skip:]) + "/" for skip in range(len(parts)))]
        return (
            f"{folder}{name}{suffix}" for suffix in ("", ".gz") for name in self.names for folder in folders
        )


@cache
def released_files() -> tuple[ReleasedFile, ...]:
    """The table `files.yaml`."""
    table = yaml.safe_load((files(__package__) / "files.yaml").read_text("utf-8"))
    return tuple(
        ReleasedFile(**entry | {"recipes": tuple(entry["recipes"]), "also": tuple(entry.get("also", ()))})
        for entry in table["files"]
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file is, by its bytes.

    Attributes:
        released: the released file that it is byte for byte, else none.
        meant: the released file that it is, or would be by its name or its size, else none.
        sha256: hex digest of the file, gzip undone.
        size: bytes, gzip undone.
    """

    released: str | None
    meant: ReleasedFile | None
    sha256: str
    size: int

    def __str__(self) -> str:
        if self.released:
            return f"the released {self.released}"
        if self.meant is None:
            return "not a released file"
        if self.meant.sha256 is None or self.meant.size is None:
            return f"named like the released {self.meant.name}, whose checksum is not known"
        if self.size == self.meant.size:
            return f"not the released {self.meant.name}: same size, other bytes"
        sizes = f"{self.size:,} bytes, the released one has {self.meant.size:,}"
        return f"not the released {self.meant.name}: {sizes}"


def identify(path: str) -> Identity:
    """Tell which released file `path` is; it is read once, whatever it holds.

    Args:
        path: a file: a local path, `https://…` or `hf://datasets/ORG/NAME/…`.

    Raises:
        UsageError: no such file.
        LlavaMedError: it cannot be read, or is a Git LFS pointer, a web page or empty.
    """
    with open_content(path) as content:
        for _ in content.chunks():
            pass
        return identity_of(content)


def identity_of(content: Content) -> Identity:
    """What `content` is, once all of it has been read."""
    table = released_files()
    same = next((file for file in table if file.sha256 == content.sha256), None)
    name = _base_name(content.name)
    meant = same or next((file for file in table if name in file.names), None)
    meant = meant or next((file for file in table if file.size == content.size), None)
    return Identity(same.name if same else None, meant, content.sha256, content.size)


class ReleasedFiles:
    """A place where released files lie, under their released names or one file under any name.

    Args:
        location: a file or a folder: a local path, `https://…` or `hf://datasets/ORG/NAME/…`. In a folder the
            sub-folders of the authors' repository (`data/alignment`, `data/instruct`, `data/eval`) count too.

    Raises:
        UsageError: a local path that is not there.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._is_file = _names_file(location)
        if not is_remote(location) and not Path(location).exists():
            raise UsageError(f"there is no file or folder {location}")

    def rows(self, recipe: str) -> str:
        """The file of `recipe`'s conversations.

        Raises:
            UsageError: it is not there, or the one file given is known to be another's.
            LlavaMedError: the server cannot be asked.
        """
        wanted = [file for file in released_files() if file.holds == "rows" and recipe in file.recipes]
        if not wanted:
            raise UsageError(f"no released file holds '{recipe}'; there are {', '.join(_recipes())}")
        if not self._is_file:
            return self._found(wanted)
        name = _base_name(self.location)
        other = next((file for file in released_files() if name in file.names and file not in wanted), None)
        if other:
            raise UsageError(f"{shown(self.location)} is not the file of {recipe}, which is {wanted[0].name}")
        return self.location

    def captions(self, recipe: str) -> str | None:
        """The file of the captions that `recipe` was generated from, where it lies here or beside."""
        return self._beside("captions", recipe)

    def image_urls(self, recipe: str) -> str | None:
        """The file that says which PMC package held each image of `recipe`, where it lies here or beside."""
        return self._beside("image_urls", recipe)

    def find(self, name: str) -> str:
        """The file of that name, or of that recipe's conversations.

        Raises:
            UsageError: it is not there.
            LlavaMedError: the server cannot be asked.
        """
        if name in _recipes():
            return self.rows(name)
        known = [file for file in released_files() if name in file.names]
        place = below(self._folder, name)
        return self._found(known) if known else place if exists(place) else self._missing([name])

    @property
    def _folder(self) -> str:
        return folder_of(self.location) if self._is_file else self.location

    def _beside(self, holds: Holds, recipe: str) -> str | None:
        wanted = (file for file in released_files() if file.holds == holds and recipe in file.recipes)
        return next((place for file in wanted for place in self._present(file)), None)

    def _found(self, wanted: list[ReleasedFile]) -> str:
        places = (place for file in wanted for place in self._present(file))
        return next(places, None) or self._missing([name for file in wanted for name in file.names])

    def _present(self, file: ReleasedFile) -> Iterator[str]:
        return (path for place in file.places if exists(path := below(self._folder, place)))

    def _missing(self, names: list[str]) -> str:
        raise UsageError(f"{shown(self.location)} does not hold {' or '.join(names)}")


def _recipes() -> tuple[str, ...]:
    return tuple(recipe for file in released_files() if file.holds == "rows" for recipe in file.recipes)


def _names_file(location: str) -> bool:
    if not is_remote(location):
        return Path(location).is_file()
    return shown(location).removesuffix(".gz").endswith((".json", ".jsonl"))


def _base_name(location: str) -> str:
    return shown(location).replace("\\", "/").rpartition("/")[2].removesuffix(".gz")
