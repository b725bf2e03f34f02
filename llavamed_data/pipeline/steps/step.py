"""A step of the pipeline: its output is a folder that is complete, with its manifest, or absent.

Work happens in a hidden folder beside the final one, whose name holds the fingerprint of inputs and settings. A kill
leaves that folder behind: a rerun with the same fingerprint goes on in it, any other rerun removes it. The folder is
renamed to its final name and the manifest is written last, so what a rerun finds with its manifest is complete.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from llavamed_data.errors import LlavaMedError, explain, one_line
from llavamed_data.io.atomic import recover_folder, replace_folder, write_text
from llavamed_data.reasons import Tally
from llavamed_data.version import __version__

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class StepManifest:
    """What a finished step states about its output.

    Attributes:
        step: its name.
        fingerprint: hex digest of inputs, settings and the toolkit's version.
        tallies: unit (`articles`, `figures`, `images`, `rows`) → in, kept, dropped by reason.
        outputs: file name relative to the step's folder → bytes; None for a file that people may edit.
        facts: what later steps and the card need to know.
        seconds: how long the step took when it ran.
        final: false if another run could do better (an image was unreachable): the output is used now, but made anew
            by the next run.
        skipped: true if this run found the output complete.
    """

    step: str
    fingerprint: str
    tallies: Mapping[str, Tally]
    outputs: Mapping[str, int | None]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    final: bool = True
    skipped: bool = False


@dataclass(frozen=True)
class StepOutput:
    """The complete output of a step, which the next step takes whole.

    Attributes:
        folder: where its files are.
        manifest: what the step states about it.
    """

    folder: Path
    manifest: StepManifest

    @property
    def facts(self) -> Mapping[str, Any]:
        """What later steps and the card need to know."""
        return self.manifest.facts

    def kept(self, unit: str) -> int:
        """How many figures, images or rows (`unit`) the step kept."""
        return self.manifest.tallies[unit].kept

    def digest(self) -> str:
        """The fingerprint of this output, for the steps that read it."""
        tallies = {unit: asdict(tally) for unit, tally in self.manifest.tallies.items()}
        return fingerprint(
            self.manifest.fingerprint, tallies, dict(self.manifest.outputs), dict(self.manifest.facts)
        )


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the work of a step returns: its tallies, and facts for later steps; `final` as in `StepManifest`.

    `outputs` are all files of its folder, unless it says otherwise.
    """

    tallies: Mapping[str, Tally]
    facts: Mapping[str, Any] = field(default_factory=dict)
    final: bool = True
    outputs: Mapping[str, int | None] | None = None


def fingerprint(*parts: object) -> str:
    """Hex digest of JSON-able `parts` and of the toolkit's version, which may change what a step writes."""
    text = json.dumps([__version__, *parts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Step:
    """Work whose output is a folder.

    Attributes:
        folder: the final folder; its parent is made.
        fingerprint: of everything that the output depends on.
        resumable: go on in an unfinished folder with the same fingerprint (its tasks write complete files only).
        manifest: where the manifest is; in the folder itself if None.
    """

    folder: Path
    fingerprint: str
    resumable: bool = False
    manifest: Path | None = None

    @property
    def unfinished(self) -> Path:
        """Where work in progress is."""
        return self.folder.parent / f".{self.folder.name}.{self.fingerprint[:12]}"

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is."""
        return self.manifest or self.folder / MANIFEST

    def finished(self) -> StepManifest | None:
        """The manifest of a complete output with this very fingerprint, else None."""
        try:
            manifest = read_manifest(self.manifest_path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not manifest.final or manifest.fingerprint != self.fingerprint:
            return None
        return manifest if _all_present(self.folder, manifest.outputs) else None

    def run(self, work: Callable[[Path], StepResult]) -> StepManifest:
        """Does `work` in the unfinished folder and renames it, unless the output is complete already.

        Raises:
            LlavaMedError: the disk is full, the folder cannot be written, or a file that the work reads is damaged.
        """
        return run_together({"": self}, lambda folders: {"": work(folders[""])})[""]


K = TypeVar("K")


def run_together(
    steps: Mapping[K, Step], work: Callable[[Mapping[K, Path]], Mapping[K, StepResult]]
) -> dict[K, StepManifest]:
    """Runs several steps in one go, those only whose output is not complete.

    Args:
        steps: the steps by any key.
        work: takes the unfinished folder of each step that is to be run, and returns the result of each.

    Returns:
        The manifest of each step, found or made.

    Raises:
        LlavaMedError: see `Step.run`.
    """
    manifests = {key: found for key, step in steps.items() if (found := step.finished())}
    missing = {key: step for key, step in steps.items() if key not in manifests}
    if not missing:
        return manifests
    start = time.perf_counter()
    try:
        for step in missing.values():
            _clear(step)
            step.unfinished.mkdir(parents=True, exist_ok=True)
        results = work({key: step.unfinished for key, step in missing.items()})
        seconds = round((time.perf_counter() - start) / len(missing), 3)
        for key, step in missing.items():
            result = results[key]
            manifests[key] = manifest = StepManifest(
                step=step.folder.name,
                fingerprint=step.fingerprint,
                tallies=result.tallies,
                outputs=files_of(step.unfinished) if result.outputs is None else result.outputs,
                facts=result.facts,
                final=result.final,
                seconds=seconds,
            )
            replace_folder(step.unfinished, step.folder)
            text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
            write_text(step.manifest_path, f"{text}\n", durable=True)
    except OSError as error:
        step = next(iter(missing.values()))
        if error.errno is None:  # Arrow's way to say that a file is no sound Parquet
            upstream = (step.manifest or step.folder).parent
            raise LlavaMedError(
                f"a file below {upstream} is damaged ({one_line(error)}): delete that folder and rerun the same "
                "command, it is made anew"
            ) from error
        raise LlavaMedError(explain(error, step.folder)) from error
    return manifests


def read_manifest(path: Path) -> StepManifest:
    """The manifest in the file `path`, marked as found rather than made.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none, or it is not one.
    """
    stated = json.loads(path.read_text(encoding="utf-8"))
    stated["tallies"] = {unit: Tally(**tally) for unit, tally in stated["tallies"].items()}
    return StepManifest(**{**stated, "skipped": True})


def _clear(step: Step) -> None:
    """Removes what killed runs left, but for work that this run can go on with."""
    recover_folder(step.folder)
    for stale in step.folder.parent.glob(f".{step.folder.name}.*"):
        if stale != step.unfinished or not step.resumable:
            shutil.rmtree(stale)


def files_of(folder: Path) -> dict[str, int | None]:
    """The files of a step's folder, with their bytes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _all_present(folder: Path, outputs: Mapping[str, int | None]) -> bool:
    try:
        return all((folder / name).stat().st_size == size or size is None for name, size in outputs.items())
    except OSError:
        return False
