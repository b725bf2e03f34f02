"""Publishing 2,000 images of 100 KB beside `Dataset.push_to_hub`, a second version, and reading what each published.

    python -m tests.benchmarks.bench_publish

All runs use the Hub of the tests on this machine, by Xet and by LFS; each run is a process of its own with a fresh home
folder and a fresh Hub, timed after its imports (`datasets` among them, on both sides). `publish` starts from the
dataset's folder and validates every row and image before it sends; `push_to_hub` starts from an Arrow file, writes
Parquet, and checks nothing. So `publish` is measured with the validation, without it, and with the writing of the
folder included.
"""

import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Collection
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from hub_cards import BUILT_BY
from llavamed_data.pipeline.steps.assemble import Record, write_split
from llavamed_data.pipeline.steps.image_store import digest_of
from tests.conftest import CHECKOUT
from tests.llavamed_data.validation.sets import card, instruct_row
from tests.servers.hub import HubProcess, running_hub

ROWS, ROUNDS, PICKS = 2_000, 3, 20
SIDE = 440
"""Pixels of a square image of noise that makes a JPEG of 100 KB."""

_MEASURED = """
import json, resource, time
{imports}
start = time.perf_counter()
{run}
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(json.dumps({{"seconds": seconds, "peak MB": peak, **extra}}))
"""

_PUBLISH = (
    "import datasets\nfrom llavamed_data.publish import publish",
    'publish("{folder}", "{repo}"); extra = {{}}',
)

_PUBLISH_WITHOUT_VALIDATION = (
    """
    from pathlib import Path
    from llavamed_data.publish.dataset import PublishJob
    from llavamed_data.publish.hub import log_in
    from llavamed_data.publish.repository import PublishTarget
    from llavamed_data.publish.upload import list_files
    """,
    """
    folder = Path("{folder}")
    job = PublishJob.prepare(
        folder, list_files(folder), PublishTarget("{repo}"), log_in(), private=False, replace=False
    )
    job.run((), dry_run=False, on_progress=None); extra = {{}}
    """,
)

_ASSEMBLE_AND_PUBLISH = (
    """
    import datasets
    from pathlib import Path
    from llavamed_data.publish import publish
    from tests.benchmarks.bench_publish import write_dataset
    """,
    """
    write_dataset(Path("{images}"), Path("{home}/set"))
    publish("{home}/set", "{repo}"); extra = {{}}
    """,
)

_PUSH = (
    "from datasets import disable_progress_bars, load_from_disk; disable_progress_bars()",
    'load_from_disk("{arrow}").push_to_hub("{repo}"); extra = {{}}',
)

_STREAM = (
    "from datasets import load_dataset",
    """
    stream = load_dataset("{repo}", split="train", streaming=True)
    opened = time.perf_counter() - start
    next(iter(stream))
    first = time.perf_counter() - start
    rows = sum(1 for _ in stream.shuffle(seed=0, buffer_size=100).take(1000))
    shuffled = rows / (time.perf_counter() - start - first)
    extra = {{"opened s": opened, "first row s": first, "shuffled rows/s": shuffled}}
    """,
)

_PICK = (
    """
    import numpy
    import pyarrow.parquet as parquet
    from huggingface_hub import HfFileSystem
    hub = HfFileSystem()
    files = [parquet.ParquetFile(hub.open(name)) for name in sorted(hub.glob("datasets/{repo}/data/*.parquet"))]
    groups = [(file, group) for file in files for group in range(file.num_row_groups)]
    ends = numpy.cumsum([file.metadata.row_group(group).num_rows for file, group in groups])
    wanted = numpy.random.default_rng(0).choice(int(ends[-1]), {picks}, replace=False)
    """,
    """
    for row in wanted:
        file, group = groups[int(numpy.searchsorted(ends, row, side="right"))]
        file.read_row_group(group, columns=["images", "id"])
    extra = {{"ms a random row": 1000 * (time.perf_counter() - start) / len(wanted)}}
    """,
)

Script = tuple[str, str]
Measurements = dict[str, float]


def main() -> None:
    """Prints the tables."""
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        sets = _make_sets(root)
        for xet in (True, False):
            way = "Xet" if xet else "LFS"
            peers = {
                "publish": _PUBLISH,
                "publish, without validating": _PUBLISH_WITHOUT_VALIDATION,
                "assemble + publish": _ASSEMBLE_AND_PUBLISH,
                "push_to_hub": _PUSH,
            }
            rounds: dict[str, list[Measurements]] = {name: [] for name in peers}
            for number in range(ROUNDS):
                for name, script in peers.items():
                    rounds[name].append(_fresh(root / f"{way}-{number}-{name}", script, sets, xet=xet))
            medians = {name: _median(measured) for name, measured in rounds.items()}
            console.print(_table(f"publishing {ROWS:,} images of 100 KB by {way}", medians))
        console.print(
            _table("a second version, 1 % of the rows changed: MB sent", _second_versions(root, sets))
        )
        console.print(_table("reading from the Hub", _readings(root, sets)))


def _make_sets(root: Path) -> dict[str, Path]:
    """The dataset, two later versions of it, and its rows as an Arrow file."""
    images = root / "images"
    images.mkdir()
    scattered = set(range(0, ROWS, 100))
    together = set(range(700, 700 + ROWS // 100))
    write_dataset(images, root / "first")
    write_dataset(images, root / "scattered", scattered)
    write_dataset(images, root / "together", together)
    script = (
        'from datasets import Dataset; Dataset.from_parquet("first/data/*.parquet").save_to_disk("arrow")'
    )
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, capture_output=True)
    return {
        "images": images,
        "folder": root / "first",
        "scattered": root / "scattered",
        "together": root / "together",
        "arrow": root / "arrow",
    }


def write_dataset(images: Path, folder: Path, changed: Collection[int] = ()) -> None:
    """Writes a dataset's folder; rows in `changed` have another image than the first version."""
    records = [_record(images, number, int(number in changed)) for number in range(ROWS)]
    write_split(lambda: records, folder / "data", schema="instruct", split="train")
    (folder / "README.md").write_text(f"{card(train=ROWS)}\n{BUILT_BY}\n")


def _record(images: Path, number: int, edition: int) -> Record:
    path = images / f"{number}-{edition}.jpg"
    if not path.exists():
        noise = np.random.default_rng([number, edition]).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(noise).save(path, "JPEG", quality=70)
    data = path.read_bytes()
    row = {name: value for name, value in _ROW.items() if name != "images"}
    row |= {"id": f"{number}_F1", "pmcid": f"PMC{number}", "pmid": str(number)}
    return Record(row, path, f"{number}_F1.jpg", len(data), digest_of(data))


_ROW = instruct_row(0)


def _fresh(place: Path, script: Script, sets: dict[str, Path], *, xet: bool) -> Measurements:
    """Runs a script with a new, empty Hub."""
    with running_hub(place / "hub") as hub:
        measured = _run(hub, place / "home", script, sets, xet=xet, repo="med-lab/set")
        return {**measured, "MB sent": hub.received() / 1e6}


def _run(
    hub: HubProcess, home: Path, script: Script, sets: dict[str, Path], *, xet: bool, repo: str
) -> Measurements:
    home.mkdir(parents=True, exist_ok=True)
    names = {**sets, "home": home, "repo": repo, "picks": PICKS}
    imports, run = (textwrap.dedent(part).format(**names).strip() for part in script)
    environment = {**hub.environment("ada", home, xet=xet), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", _MEASURED.format(imports=imports, run=run)]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: Measurements = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def _second_versions(root: Path, sets: dict[str, Path]) -> dict[str, Measurements]:
    found = {}
    for xet in (True, False):
        for which in ("scattered", "together"):
            way = "Xet" if xet else "LFS"
            place = root / f"second-{way}-{which}"
            with running_hub(place / "hub") as hub:
                _run(hub, place / "home", _PUBLISH, sets, xet=xet, repo="med-lab/set")
                since = len(hub.log())
                later = {**sets, "folder": sets[which]}
                measured = _run(hub, place / "home", _PUBLISH, later, xet=xet, repo="med-lab/set")
                sent = hub.received(since)
            size = sum(path.stat().st_size for path in sets[which].glob("data/*"))
            found[f"{way}, changed rows {which}"] = {
                **measured,
                "MB sent": sent / 1e6,
                "% sent": 100 * sent / size,
            }
    return found


def _readings(root: Path, sets: dict[str, Path]) -> dict[str, Measurements]:
    found: dict[str, Measurements] = {}
    with running_hub(root / "reading" / "hub") as hub:
        _run(hub, root / "reading" / "a", _PUBLISH, sets, xet=False, repo="med-lab/ours")
        _run(hub, root / "reading" / "b", _PUSH, sets, xet=False, repo="med-lab/pushed")
        for name in ("ours", "pushed"):
            rounds = []
            for number in range(ROUNDS):
                home = root / "reading" / f"{name}-{number}"
                stream = _run(hub, home, _STREAM, sets, xet=False, repo=f"med-lab/{name}")
                picks = _run(hub, home, _PICK, sets, xet=False, repo=f"med-lab/{name}")
                rounds.append(stream | {"ms a random row": picks["ms a random row"]})
            found["publish" if name == "ours" else "push_to_hub"] = _median(rounds)
    return found


def _median(rounds: list[Measurements]) -> Measurements:
    return {name: median(measured[name] for measured in rounds) for name in rounds[0]}


def _table(title: str, rows: dict[str, Measurements]) -> Table:
    table = Table(title=title)
    table.add_column("")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for name, measured in rows.items():
        table.add_row(name, *(f"{value:,.2f}" for value in measured.values()))
    return table


if __name__ == "__main__":
    main()
