"""Which files of a place hold which split of a benchmark, and the records in them."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.recipes import SPLITS, Benchmark
from llavamed_data.sources.benchmarks.hub import fetch_copy, repository_of
from llavamed_data.sources.benchmarks.pickles import read_pickle
from llavamed_data.sources.benchmarks.questions import split_of_phrase
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.records import read_records

HUB = "hub"
"""The location that stands for a benchmark's usual copy on the Hub."""

KeepImage = Callable[[bytes, str | None], str]
"""Told the bytes and the name, if any, of an image that came inside a row; returns the name to know it by."""

_SHARD = re.compile(
    r"(?:.*/)?(?P<split>train|validation|val|test)(?:-\d+-of-\d+[\w.-]*|/\d+)?\.parquet", re.ASCII
)
_BATCH_ROWS = 64
_ANY_SPLIT = ""
"""Of a file that holds several splits."""


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """The files of one benchmark at one place.

    Attributes:
        benchmark: which.
        root: the folder; images are looked for below it.
        files: split → its files; `""` for a file whose rows tell their split.
        repository: of the Hub, with `@` and its commit, where they came from there.
        within: where links of the folder may lead.
    """

    benchmark: Benchmark
    root: Path
    files: Mapping[str, tuple[Path, ...]]
    repository: str | None = None
    within: Path | None = None

    @property
    def embedded(self) -> bool:
        """Whether the rows hold their images: Parquet, as the Hub copies of VQA-RAD and PathVQA."""
        return any(path.suffix == ".parquet" for paths in self.files.values() for path in paths)

    @property
    def name(self) -> str:
        """How provenance and the card name the source, without any path."""
        return self.repository or (
            "files in the layout of the Hub copy" if self.embedded else "original files"
        )

    @property
    def names(self) -> list[str]:
        """The files, relative to the folder."""
        return [path.relative_to(self.root).as_posix() for paths in self.files.values() for path in paths]

    @property
    def missing(self) -> list[str]:
        """Splits that the benchmark has and these files do not."""
        return [] if _ANY_SPLIT in self.files else [split for split in SPLITS if self._lacks(split)]

    def _lacks(self, split: str) -> bool:
        return split in self.benchmark.files and split not in self.files

    def version(self) -> list[list[str | int]]:
        """What changes when a file does."""
        stats = [(name, (self.root / name).stat()) for name in self.names]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    def records(self, keep_image: KeepImage) -> Iterator[tuple[str, int, Any]]:
        """(split, position in it from 1, record) of every row, split by split.

        Raises:
            LlavaMedError: a file cannot be read or is not what its name says.
        """
        positions = dict.fromkeys(SPLITS, 0)
        for stated, paths in self.files.items():
            for path in paths:
                for record in _records(path, keep_image):
                    split = stated or split_of_phrase(record)
                    positions[split] += 1
                    yield split, positions[split], record


def open_benchmark(benchmark: Benchmark, location: str, *, progress: bool = False) -> BenchmarkFiles:
    """Finds a benchmark's files.

    Args:
        benchmark: which.
        location: a folder, one of the files, a dataset repository of the Hub, or `hub` for the copy that users have.
        progress: show how far a download is.

    Raises:
        UsageError: there is no such place, or it holds none of the files.
        LlavaMedError: the Hub does not give the repository.
    """
    path = Path(location).expanduser()
    if path.is_file():
        return _of_one(benchmark, path)
    if path.is_dir():
        return BenchmarkFiles(benchmark, path, _of_folder(benchmark, path, location))
    repository = benchmark.hub.repository if location == HUB else repository_of(location)
    if repository is None:
        raise UsageError(
            f"there is no file or folder {location}: give the files of {benchmark.title}, or {HUB} for its copy "
            f"{benchmark.hub.repository}"
        )
    folder = fetch_copy(repository, progress=progress)
    found = _of_folder(benchmark, folder, repository)
    within = folder.parents[2]  # the client's cache: files of a snapshot are links to its stores of blobs
    return BenchmarkFiles(benchmark, folder, found, f"{repository}@{folder.name}", within)


def _of_one(benchmark: Benchmark, path: Path) -> BenchmarkFiles:
    named = path.name.removesuffix(".gz")
    split = next((split for split, names in benchmark.files.items() if named in names), None)
    if split is None and (shard := _SHARD.fullmatch(path.name)):
        split = _split_of(shard)
    if split is None and not benchmark.one_file:
        known = ", ".join(names[0] for names in benchmark.files.values())
        raise UsageError(f"{path.name} does not tell which split of {benchmark.title} it is: name it {known}")
    return BenchmarkFiles(benchmark, path.parent, {_ANY_SPLIT if split is None else split: (path,)})


def _of_folder(benchmark: Benchmark, folder: Path, location: str) -> Mapping[str, tuple[Path, ...]]:
    inside = sorted(_names(folder), key=lambda name: (name.count("/"), name))
    by_split = {split: _first(inside, names) for split, names in benchmark.files.items()}
    if found := {split: (folder / name,) for split, name in by_split.items() if name}:
        return found
    if whole := _first(inside, benchmark.one_file):
        return {_ANY_SPLIT: (folder / whole,)}
    shards: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for name in inside:
        if shard := _SHARD.fullmatch(name):
            shards[_split_of(shard)].append(folder / name)
    if not any(shards.values()):
        wanted = [names[0] for names in benchmark.files.values()] + list(benchmark.one_file[:1])
        raise UsageError(
            f"{location} holds no file of {benchmark.title}: looked for {', '.join(wanted)} and "
            "SPLIT-0000i-of-0000n.parquet, in it and in the folders below"
        )
    return {split: tuple(paths) for split, paths in shards.items() if paths}


def _names(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (PurePosixPath(Path(place, name).relative_to(folder)).as_posix() for name in names)


def _first(inside: list[str], names: tuple[str, ...]) -> str | None:
    wanted = (f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    found = (path for name in wanted for path in inside if path.rpartition("/")[2] == name)
    return next(found, None)


def _split_of(shard: re.Match[str]) -> str:
    return "validation" if shard["split"] == "val" else shard["split"]


def _records(path: Path, keep_image: KeepImage) -> Iterator[Any]:
    if path.suffix == ".parquet":
        yield from _parquet(path, keep_image)
    elif path.suffix == ".pkl":
        yield from read_pickle(path)
    else:
        with open_content(str(path)) as content:
            yield from read_records(content)


def _parquet(path: Path, keep_image: KeepImage) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    yield row | {"image": _embedded(row.get("image"), keep_image)}
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        if getattr(error, "errno", None):
            raise
        reason = " ".join(str(error).split())
        raise LlavaMedError(f"{path} is no sound Parquet file ({reason}); fetch it again") from error


def _embedded(image: Any, keep_image: KeepImage) -> str | None:
    if not isinstance(image, dict) or not isinstance(image.get("bytes"), bytes):
        return None
    name = image.get("path")
    return keep_image(image["bytes"], name if isinstance(name, str) else None)
