"""Which files of a folder, or of a dataset repository of the Hub, hold which split of a benchmark."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # not in its __all__

from llavamed_data.dataset.layout import REPO_ID
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.reasons import Drop
from llavamed_data.recipes import SPLITS, Benchmark
from llavamed_data.sources.benchmarks.choices import nested_records
from llavamed_data.sources.benchmarks.questions import split_of_phrase
from llavamed_data.sources.benchmarks.records import KeepImage, file_records, read_object
from llavamed_data.sources.folders import files_below, is_built, is_not_hidden
from llavamed_data.sources.locations import first_line

HUB = "hub"
"""The location that stands for a benchmark's usual copy on the Hub."""

_WANTED_FROM_HUB = ["*.parquet", "*.json", "*.json.gz", "*.jsonl", "*.pkl", "imgs.zip", "images.zip"]
_SHARD = re.compile(
    r"(?:.*/)?(?P<split>train|dev|validation|val|test)(?:-\d+-of-\d+[\w.-]*|/\d+)?\.parquet", re.ASCII
)
_ANY_SPLIT = ""
"""Takes the place of a split for a file that holds several."""


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """The files of one benchmark at one place.

    Attributes:
        benchmark: which.
        root: the folder; images are looked for below it.
        files: split → its files; `""` for a file whose rows tell their split.
        repository: of the Hub, with `@` and its commit, if they came from there.
        within: where links of the folder may lead.
    """

    benchmark: Benchmark
    root: Path
    files: Mapping[str, tuple[Path, ...]]
    repository: str | None = None
    within: Path | None = None

    @property
    def identity(self) -> str:
        """The repository with its commit, or the absolute path of the folder."""
        return self.repository or str(self.root.absolute())

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
        if _ANY_SPLIT in self.files:
            return []
        return [split for split in SPLITS if split in self.benchmark.files and split not in self.files]

    def version(self) -> list[list[str | int]]:
        """Changes when a file does: name, size and time of change of each."""
        stats = [(name, (self.root / name).stat()) for name in self.names]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    def records(self, keep_image: KeepImage) -> Iterator[tuple[str, int, Any]]:
        """Yields (split, position in it from 1, record) of every row, split by split.

        Raises:
            LlavaMedError: a file cannot be read or is not what its name says.
        """
        positions = dict.fromkeys(SPLITS, 0)
        for split, record in self._split_records(keep_image):
            positions[split] += 1
            yield split, positions[split], record

    def _split_records(self, keep_image: KeepImage) -> Iterator[tuple[str, Any]]:
        nested = self.benchmark.choices.nested if self.benchmark.choices else {}
        for stated, paths in self.files.items():
            for path in paths:
                if nested:
                    try:
                        yield from nested_records(read_object(path), nested)
                    except Drop as drop:
                        raise LlavaMedError(f"{path}: {drop.detail}; fetch it again") from drop
                else:
                    for record in file_records(path, keep_image):
                        yield stated or split_of_phrase(record), record


def open_benchmark(benchmark: Benchmark, location: str, *, progress: bool = False) -> BenchmarkFiles:
    """Finds a benchmark's files.

    Args:
        benchmark: which.
        location: a folder, one of the files, a dataset repository of the Hub, or `hub` for the copy that users have.
        progress: show the progress of a download.

    Raises:
        UsageError: there is no such place, or it holds none of the files.
        LlavaMedError: the Hub does not give the repository.
    """
    path = Path(location).expanduser()
    if path.is_file():
        return BenchmarkFiles(benchmark, path.parent, {_split_of_file(benchmark, path): (path,)})
    if path.is_dir():
        return BenchmarkFiles(benchmark, path, _files_of_folder(benchmark, path, location))
    named = location.removeprefix("hf://datasets/").rstrip("/")
    repository = benchmark.hub.repository if location == HUB else named
    if not REPO_ID.fullmatch(repository):
        raise UsageError(
            f"there is no file or folder {location}: give the files of {benchmark.title}, or {HUB} for its copy "
            f"{benchmark.hub.repository}"
        )
    if benchmark.hub.packed and repository == benchmark.hub.repository:
        raise UsageError(
            f"{repository} holds {benchmark.title} as one archive, {benchmark.hub.packed}: fetch and unpack it, "
            "and name its folder with --source"
        )
    folder = _fetch_copy(repository, benchmark.hub.files or _WANTED_FROM_HUB, progress=progress)
    found = _files_of_folder(benchmark, folder, repository)
    within = folder.parents[2]  # the client's cache: files of a snapshot are links to its stores of blobs
    return BenchmarkFiles(benchmark, folder, found, f"{repository}@{folder.name}", within)


def _fetch_copy(repository: str, wanted: Sequence[str], *, progress: bool) -> Path:
    """The folder of a repository's newest revision in the client's cache; its name is the commit.

    Raises:
        LlavaMedError: the Hub cannot be reached, or has no such repository that this login may read.
    """
    try:
        with nullcontext() if progress else disable_progress_bars():
            return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=list(wanted)))
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        raise LlavaMedError(
            f"{repository!r} is not a folder here, and the Hub does not give it: {first_line(error)} "
            "(check the name, HF_TOKEN and the network)"
        ) from error


def _split_of_file(benchmark: Benchmark, path: Path) -> str:
    name = path.name.removesuffix(".gz")
    for split, names in benchmark.files.items():
        if any(fnmatchcase(name, each.rpartition("/")[2]) for each in names):
            return split
    if shard := _SHARD.fullmatch(path.name):
        return _split_of_shard(shard)
    if benchmark.one_file:
        return _ANY_SPLIT
    known = ", ".join(names[0] for names in benchmark.files.values())
    raise UsageError(f"{path.name} does not tell which split of {benchmark.title} it is: name it {known}")


def _files_of_folder(benchmark: Benchmark, folder: Path, location: str) -> Mapping[str, tuple[Path, ...]]:
    files = files_below(
        folder, enter=lambda path: is_not_hidden(path) and not is_built(folder / path), skip_unreadable=True
    )
    inside = sorted((name for name, _ in files), key=lambda name: (name.count("/"), name))
    by_split = {split: _matching(inside, names) for split, names in benchmark.files.items()}
    if found := {split: tuple(folder / name for name in names) for split, names in by_split.items() if names}:
        return found
    if names := _matching(inside, benchmark.one_file):
        return {_ANY_SPLIT: (folder / names[0],)}
    shards: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for name in _of_subjects(benchmark, inside):
        if shard := _SHARD.fullmatch(name):
            shards[_split_of_shard(shard)].append(folder / name)
    if benchmark.choices:  # rows of a split that is not listed have no answers
        shards = {split: shards[split] for split in benchmark.files}
    if not any(shards.values()):
        looked_for = [names[0] for names in benchmark.files.values()] + list(benchmark.one_file[:1])
        raise UsageError(
            f"{location} holds no file of {benchmark.title}: looked for {', '.join(looked_for)} and "
            "SPLIT-0000i-of-0000n.parquet, in it and in the folders below"
        )
    return {split: tuple(paths) for split, paths in shards.items() if paths}


def _matching(inside: Sequence[str], names: Sequence[str]) -> list[str]:
    """The path of the first of `names`, gzipped or not, that is in the folder; the least deep one.

    A name with `*` stands for all files of that pattern.
    """
    for name in names:
        for suffix in ("", ".gz"):
            found = [path for path in inside if fnmatchcase(f"/{path}", f"*/{_literal(name)}{suffix}")]
            if found:
                return sorted(found) if "*" in name else found[:1]
    return []


def _literal(name: str) -> str:
    """A pattern in which `*` alone has a meaning."""
    return name.replace("[", "[[]").replace("?", "[?]")


def _of_subjects(benchmark: Benchmark, inside: Sequence[str]) -> Sequence[str]:
    """The paths in folders of the subjects that are taken; all if no folder is named after one."""
    subjects = frozenset(benchmark.choices.subjects if benchmark.choices else ())
    return [path for path in inside if subjects & set(path.split("/")[:-1])] or inside


def _split_of_shard(shard: re.Match[str]) -> str:
    return "validation" if shard["split"] == "val" else shard["split"]
