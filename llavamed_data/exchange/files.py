"""The files of an export: records as JSON, JSON Lines or in tar files, and images in a folder or in tar files."""

import codecs
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.exchange.formats import IMAGE_FOLDER, ExchangeFormat, JsonRecord
from llavamed_data.exchange.manifest import MANIFEST
from llavamed_data.exchange.values import to_json
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released.json_stream import BrokenJsonError, line_values, list_values

DATASET_INFO = "dataset_info.json"
"""The file by which LLaMA-Factory finds the records."""

AXOLOTL_SUFFIX = ".axolotl.jsonl"

TAR_BYTES = 300_000_000
"""Bytes after which a new tar file begins."""

IMAGE_BYTES = 64 << 20
"""Most bytes of an image, or of any other file in a tar file, that are read."""

ReadImage = Callable[[str], bytes]
"""Gives the bytes of an image by its name in a record; raises Drop if it cannot."""

_SPLITS = ("train", "validation", "test")
_SPLIT_NAME = re.compile(r"[a-z]+(?:_[a-z]+)*")
"""Allowed names of splits, which become names of shards."""

_TAR_NAME = re.compile(r"(?P<split>.+?)-?\d*\.tar")
_READ_BYTES = 1 << 20


class JsonFile:
    """Writes records as a JSON list with one record a line if `path` ends in `.json`, else as JSON Lines."""

    def __init__(self, path: Path) -> None:
        self._is_list = path.suffix == ".json"
        self._empty = True
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        self._file.write("[\n" if self._is_list else "")
        return self

    def add(self, record: JsonRecord) -> None:
        """Writes a record."""
        if not self._empty:
            self._file.write(",\n" if self._is_list else "\n")
        self._file.write(to_json(record))
        self._empty = False

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.write("" if self._empty else "\n")
            self._file.write("]\n" if self._is_list else "")


class TarFiles:
    """Writes WebDataset samples into `<split>-000000.tar`, …; the same samples give the same bytes."""

    def __init__(self, folder: Path, split: str, *, tar_bytes: int = TAR_BYTES) -> None:
        self._folder, self._split, self._limit = folder, split, tar_bytes
        self._count = 0
        self._begin_file()

    def __enter__(self) -> Self:
        return self

    def add(self, members: Mapping[str, bytes]) -> None:
        """Writes a sample, file name → bytes; a sample is never split over two tar files."""
        size = sum(map(len, members.values()))
        if self._held and self._held + size > self._limit:
            self._tar.close()
            self._begin_file()
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(data), 0o644
            self._tar.addfile(header, io.BytesIO(data))
        self._held += size

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def _begin_file(self) -> None:
        path = self._folder / f"{self._split}-{self._count:06d}.tar"
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  (closed in add or at exit)
        self._count, self._held = self._count + 1, 0


def find_split_files(
    path: Path, chosen: ExchangeFormat, splits: tuple[str, ...] | None
) -> dict[str, list[Path]]:
    """Finds the files of records under `path`, by split.

    Args:
        path: an export's folder, any folder with files of the format, or one such file.
        chosen: the format.
        splits: the splits that the manifest of an export names; None without a manifest: `train`, `validation` and
            `test` are found by name, and a single file of any other name is `train`.

    Raises:
        UsageError: there are none.
        LlavaMedError: the files of a split that the manifest names are missing.
    """
    if path.is_file():
        return {_split_of(path): [path]}
    if not path.is_dir():
        raise UsageError(f"there is no {path}: name a folder or file in the format {chosen.name}")
    pattern = "{}-*.tar" if chosen.in_tar_files else "{}" + chosen.suffix
    names = _SPLITS if splits is None else tuple(split for split in splits if _SPLIT_NAME.fullmatch(split))
    found = {split: sorted(path.glob(pattern.format(split))) for split in names}
    missing = [split for split, files in found.items() if not files]
    if len(missing) < len(found):
        if splits is not None and missing:
            raise LlavaMedError(
                f"{path} lacks the rows of {', '.join(missing)}, which the export had: export the set again"
            )
        return {split: files for split, files in found.items() if files}
    suffixes = (chosen.suffix,) if chosen.in_tar_files else (".json", ".jsonl")
    others = sorted(file for file in path.iterdir() if file.suffix in suffixes and not _is_description(file))
    if chosen.in_tar_files and not others:
        raise UsageError(f"{path} holds no {chosen.suffix} files: name a folder in the format {chosen.name}")
    if not chosen.in_tar_files and len(others) != 1:
        raise UsageError(f"{path} holds no train{chosen.suffix}: name the file of rows itself")
    return {"train": others}


def default_image_folder(path: Path, chosen: ExchangeFormat) -> Path:
    """The folder that the image names of a format's records are relative to, unless the user names another."""
    folder = path if path.is_dir() else path.parent
    beside = folder / IMAGE_FOLDER
    return beside if not chosen.image_prefix and beside.is_dir() else folder


def read_records(
    files: Iterable[Path], chosen: ExchangeFormat, images: Path
) -> Iterator[tuple[JsonRecord | Drop, ReadImage]]:
    """Each record, or why it cannot be read, and the function that reads its images.

    Args:
        files: of one split.
        chosen: their format.
        images: folder of the images; nothing outside of it is read. Tar files hold their own images.

    Raises:
        LlavaMedError: a file is broken beyond one record.
    """
    read_image = partial(_read_image, images.resolve())
    for file in files:
        if chosen.in_tar_files:
            yield from _read_samples(file)
        else:
            for value in _read_json(file):
                yield _as_record(value), read_image


def _read_image(root: Path, name: str) -> bytes:
    """The bytes of an image in the folder `root`, a resolved path; raises Drop for anything outside it."""
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise Drop(Reason.IMAGE_MISSING, name[:200])
        if path.stat().st_size > IMAGE_BYTES:
            raise Drop(Reason.IMAGE_TOO_LARGE, name[:200])
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name too long, or with a null character
        raise Drop(Reason.IMAGE_MISSING, f"{name[:200]}: {error}"[:300]) from error


def _read_samples(file: Path) -> Iterator[tuple[JsonRecord | Drop, ReadImage]]:
    for key, members in tar_samples(file):

        def read_image(name: str, key: str = key, members: dict[str, bytes | None] = members) -> bytes:
            data = members.get(name)
            if data is None:
                reason = Reason.IMAGE_TOO_LARGE if name in members else Reason.IMAGE_MISSING
                raise Drop(reason, f"{key}: {name}"[:300])
            return data

        text = members.get(f"{key}.json")
        if text is None:
            yield Drop(Reason.MALFORMED_ROW, f"the sample {key[:200]} has no .json"), read_image
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        yield _as_record(value), read_image


def tar_samples(path: Path) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """(key, file name → bytes) of each sample of a WebDataset tar file; nothing is unpacked to disk.

    The files of a sample follow one another, and their names are equal up to the first dot, which is the key. Links,
    devices and folders are skipped; a file of more than 64 MiB is None.

    Raises:
        LlavaMedError: the file is no tar file, or is cut off.
    """
    key, members = "", dict[str, bytes | None]()
    try:
        with tarfile.open(path, "r|") as tar:
            for header in tar:
                if not header.isreg():
                    continue
                folder, slash, name = header.name.rpartition("/")
                this = f"{folder}{slash}{name.partition('.')[0]}"
                if members and this != key:
                    yield key, members
                    members = {}
                key = this
                file = tar.extractfile(header)
                members[header.name] = file.read() if file and header.size <= IMAGE_BYTES else None
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise LlavaMedError(f"{path.name} is not a complete tar file: {one_line(error)}") from error
    if members:
        yield key, members


def _read_json(file: Path) -> Iterator[Any]:
    """The values of a JSON list or of JSON Lines, read as a stream."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_READ_BYTES)
            start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
            first = head[start:].lstrip()[:1]
            opened.seek(start)
            pieces = iter(lambda: opened.read(_READ_BYTES), b"")
            yield from (list_values if first == b"[" else line_values)(pieces)
    except BrokenJsonError as error:
        raise LlavaMedError(f"{file} is broken at byte {error.position:,}: {error.what}") from error


def _as_record(value: object) -> JsonRecord | Drop:
    if isinstance(value, dict | Drop):
        return value
    return Drop(Reason.MALFORMED_ROW, "a record is not an object")


def _split_of(path: Path) -> str:
    match = _TAR_NAME.fullmatch(path.name)
    name = match["split"] if match else path.stem
    return name if name in _SPLITS else "train"


def _is_description(path: Path) -> bool:
    """Whether a JSON file of an export holds no records, or holds them a second time."""
    return path.name in (DATASET_INFO, MANIFEST) or path.name.endswith(AXOLOTL_SUFFIX)
