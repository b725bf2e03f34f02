"""Which released file is which: names, folders and checksums; and the articles of the released evaluation set."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml

from llavamed_data.errors import UsageError
from llavamed_data.sources.locations import FileLocation
from llavamed_data.sources.released.content import Content, open_content

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
        """Relative paths at which it may lie, gzipped or not: without a folder, or in its folder or an end of that."""
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


@cache
def released_eval_pmids() -> frozenset[str]:
    """PMIDs, as digits, of the 50 articles of the released evaluation set, which no training set may hold."""
    table = yaml.safe_load((files(__package__) / "eval_pmids.yaml").read_text("utf-8"))
    return frozenset(map(str, table["pmids"]))


@dataclass(frozen=True, slots=True)
class Identity:
    """Which released file a file is, by its bytes.

    Attributes:
        released: name of the released file with exactly these bytes, otherwise None.
        meant: the released file that it is, or would be by its name or its size, otherwise None.
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
    """Tells which released file `path` is; it is read once, whatever it holds.

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
    """Which released file `content` is, after all of it has been read."""
    table = released_files()
    name = content.location.name
    same = next((file for file in table if file.sha256 == content.sha256), None)
    meant = same or next((file for file in table if name in file.names), None)
    meant = meant or next((file for file in table if file.size == content.size), None)
    return Identity(same.name if same else None, meant, content.sha256, content.size)


class ReleasedFiles:
    """A place where released files lie, under their released names or one file under any name.

    Args:
        location: a file or a folder: a local path, `https://…` or `hf://datasets/ORG/NAME/…`. In a folder the
            sub-folders of the authors' repository (`data/alignment`, `data/instruct`, `data/eval`) are searched too.

    Raises:
        UsageError: a local path that does not exist.
    """

    def __init__(self, location: str) -> None:
        self.location = FileLocation(location)
        if self.location.is_remote:
            self._is_file = self.location.name.endswith((".json", ".jsonl"))
        else:
            self._is_file = Path(location).is_file()
            if not Path(location).exists():
                raise UsageError(f"there is no file or folder {location}")

    def rows(self, recipe: str) -> str:
        """The file of `recipe`'s conversations.

        Raises:
            UsageError: it is not there, or the one file given is known to be another's.
            LlavaMedError: the server cannot be asked.
        """
        meant = _files_of("rows", recipe)
        if not meant:
            known = (name for file in released_files() if file.holds == "rows" for name in file.recipes)
            raise UsageError(f"no released file holds '{recipe}'; there are {', '.join(known)}")
        if self._is_file:
            name = self.location.name
            if any(name in file.names and file not in meant for file in released_files()):
                raise UsageError(f"{self.location} is not the file of {recipe}, which is {meant[0].name}")
            return self.location.given
        if found := self._first_present(meant):
            return found
        names = " or ".join(name for file in meant for name in file.names)
        raise UsageError(f"{self.location} does not hold {names}")

    def captions(self, recipe: str) -> str | None:
        """The file of the captions that `recipe` was generated from, if it lies here or beside the file given."""
        return self._first_present(_files_of("captions", recipe))

    def image_urls(self, recipe: str) -> str | None:
        """The file that names the PMC package of each image of `recipe`, if it lies here or beside the file given."""
        return self._first_present(_files_of("image_urls", recipe))

    def _first_present(self, meant: list[ReleasedFile]) -> str | None:
        folder = self.location.parent if self._is_file else self.location
        locations = (folder / place for file in meant for place in file.places)
        return next((location.given for location in locations if location.is_file()), None)


def _files_of(holds: Holds, recipe: str) -> list[ReleasedFile]:
    return [file for file in released_files() if file.holds == holds and recipe in file.recipes]
