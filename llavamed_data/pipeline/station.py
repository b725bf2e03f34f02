"""A station's output is a folder that is either complete, with its manifest, or absent.

Work happens in a hidden folder beside the final one, whose name holds the fingerprint of inputs and settings. A
kill leaves that folder behind: a rerun with the same fingerprint goes on in it, any other rerun removes it. The
folder is renamed into place and the manifest written last, so what a rerun finds with its manifest is whole.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data import __version__
from llavamed_data.errors import LlavaMedError
from llavamed_data.pipeline.files import written_whole
from llavamed_data.pipeline.tally import Tally

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished station says of itself.

    Attributes:
        station: its name.
        fingerprint: hex digest of inputs, settings and the toolkit's version.
        tallies: unit (`articles`, `figures`, `rows`) → in, kept, dropped by reason.
        outputs: file name relative to the station's folder → bytes.
        facts: what later stations and the card need to know.
        seconds: time the station took when it ran.
        final: false where another run could do better (an unreachable image): used now, but not trusted later.
        skipped: true where this run found the station whole.
    """

    station: str
    fingerprint: str
    tallies: Mapping[str, Tally]
    outputs: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    final: bool = True
    skipped: bool = False

    def digest(self) -> str:
        """Fingerprint for the stations that read this one's output."""
        tallies = {unit: asdict(tally) for unit, tally in self.tallies.items()}
        return fingerprint(self.fingerprint, tallies, dict(self.outputs), dict(self.facts))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a station's work returns: its tallies, and facts for those who come after."""

    tallies: Mapping[str, Tally]
    facts: Mapping[str, Any] = field(default_factory=dict)
    final: bool = True


def fingerprint(*parts: object) -> str:
    """Hex digest of JSON-able `parts` and of the toolkit's version, which may change what a station writes."""
    text = json.dumps([__version__, *parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Station:
    """One step whose output is a folder.

    Args:
        folder: the final folder; its parent is made.
        fingerprint: of everything that the output depends on.
        resumable: keep a partial folder with the same fingerprint (its tasks write whole files only).
        manifest: where the manifest lies; in the folder itself by default.
    """

    def __init__(
        self, folder: Path, fingerprint: str, *, resumable: bool = False, manifest: Path | None = None
    ) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.resumable = resumable
        self.manifest = manifest or folder / MANIFEST

    @property
    def partial(self) -> Path:
        """Where work in progress lies."""
        return self.folder.parent / f".{self.folder.name}.{self.fingerprint[:12]}"

    def finished(self) -> Manifest | None:
        """The manifest of a whole output of this very fingerprint, else None."""
        try:
            manifest = read_manifest(self.manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not manifest.final or manifest.fingerprint != self.fingerprint:
            return None
        if not _outputs_present(self.folder, manifest.outputs):
            return None
        return manifest

    def run(self, work: Callable[[Path], Outcome]) -> Manifest:
        """Does `work` in the partial folder and moves it into place, unless the output is already whole.

        Raises:
            LlavaMedError: the disk is full or the folder cannot be written.
        """
        if found := self.finished():
            return found
        start = time.perf_counter()
        try:
            self._clear()
            self.partial.mkdir(parents=True, exist_ok=True)
            outcome = work(self.partial)
            manifest = Manifest(
                station=self.folder.name,
                fingerprint=self.fingerprint,
                tallies=outcome.tallies,
                outputs=_files_of(self.partial),
                facts=outcome.facts,
                final=outcome.final,
                seconds=round(time.perf_counter() - start, 3),
            )
            replace_folder(self.partial, self.folder)
            _write_manifest(self.manifest, manifest)
        except OSError as error:
            if error.errno is None:  # Arrow's way to say that a file holds no sound Parquet
                upstream = (self.manifest if self.manifest.parent != self.folder else self.folder).parent
                raise LlavaMedError(
                    f"a file below {upstream} is damaged ({' '.join(str(error).split())}): delete that folder and run "
                    "the same command again, it is made anew"
                ) from error
            raise LlavaMedError(explain(error, self.folder)) from error
        return manifest

    def _clear(self) -> None:
        aside = _aside(self.folder)
        if aside.exists() and not self.folder.exists():
            aside.rename(self.folder)  # a kill fell between the two renames of `replace_folder`
        for stale in self.folder.parent.glob(f".{self.folder.name}.*"):
            if stale != self.partial or not self.resumable:
                shutil.rmtree(stale)


def explain(error: OSError, where: Path) -> str:
    """One line on an operating system's error: what it hit and what to do."""
    path = error.filename or where
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return f"no space left while writing {path}: free some and run the same command again, finished work is kept"
    if isinstance(error, PermissionError):
        return f"no permission for {path}: change its rights, or choose other folders with --work and --out"
    return (
        f"{error.strerror or error} ({path}): mend it and run the same command again, finished work is kept"
    )


def read_manifest(path: Path) -> Manifest:
    """The manifest in the file `path`, marked as found rather than made.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none, or it is not one.
    """
    stated = json.loads(path.read_text(encoding="utf-8"))
    stated["tallies"] = {unit: Tally(**tally) for unit, tally in stated["tallies"].items()}
    return Manifest(**{**stated, "skipped": True})


def _write_manifest(path: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside:
        aside.write_text(text + "\n", encoding="utf-8")
        sync(aside)
    sync(path.parent)


def replace_folder(made: Path, final: Path) -> None:
    """Moves `made` to `final` with all its bytes on disk first; what was there before goes only then."""
    for path in made.rglob("*"):
        sync(path)
    sync(made)
    aside = _aside(final)
    shutil.rmtree(aside, ignore_errors=True)
    if final.exists():
        final.rename(aside)
    made.rename(final)
    sync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(final: Path) -> Path:
    return final.parent / f".{final.name}.old"


def sync(path: Path) -> None:
    """Flushes a file's or folder's bytes to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files_of(folder: Path) -> dict[str, int]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _outputs_present(folder: Path, outputs: Mapping[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in outputs.items())
    except OSError:
        return False
