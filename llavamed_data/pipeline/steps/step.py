"""A station's output is a folder that is either complete, with its manifest, or absent.

Work happens in a hidden folder beside the final one, whose name holds the fingerprint of inputs and settings. A
kill leaves that folder behind: a rerun with the same fingerprint goes on in it, any other rerun removes it. The
folder is renamed into place and the manifest written last, so what a rerun finds with its manifest is whole.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, explain
from llavamed_data.io.atomic import recover_folder, replace_folder, write_text
from llavamed_data.reasons import Tally
from llavamed_data.version import __version__

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
        recover_folder(self.folder)
        for stale in self.folder.parent.glob(f".{self.folder.name}.*"):
            if stale != self.partial or not self.resumable:
                shutil.rmtree(stale)


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
    write_text(path, text + "\n", durable=True)


def _files_of(folder: Path) -> dict[str, int]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _outputs_present(folder: Path, outputs: Mapping[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in outputs.items())
    except OSError:
        return False
