"""Peak memory of fetching the images of released rows from a bucket, at a twentieth and at all of the release.

    python -m tests.benchmarks.bench_addresses

The release lists 721,154 addresses; here each has a row of its own, three to an article. The bucket is a folder that
holds every fortieth article, so most images are reported as lost: what grows with the rows is there, and what only
takes time is not. The peak is that of the build's own process, as the kernel counts it, with one worker.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.llavamed_data.sources.corpus import article, inventory, lay_out

ADDRESSES = 721_154
FIRST = 2_000_000
ONE_IN = 40


def addresses(count: int) -> Iterator[tuple[str, str, str]]:
    """Pair, PMCID and file name of each figure."""
    for number in range(count):
        place, figure = divmod(number, 3)
        yield (
            f"{10_000_000 + place}_F{figure:04d}",
            f"PMC{FIRST + place}",
            f"Journal-{place}-g{figure:03d}.jpg",
        )


def write_release(folder: Path, count: int) -> None:
    """Rows, and the list of their images' addresses, as they were released."""
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cyst. " * 25}]
    with (
        (folder / "rows.jsonl").open("w") as rows,
        (folder / "llava_med_image_urls.jsonl").open("w") as urls,
    ):
        for pair, pmcid, name in addresses(count):
            row = {"id": pair, "image": f"{pair}.jpg", "domain": {"gross": True}, "conversations": turns}
            rows.write(json.dumps(row) + "\n")
            package = f"https://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/00/{pmcid}.tar.gz"
            url = {"pair_id": pair, "pmc_tar_url": package, "image_file_path": f"{pmcid}/{name}"}
            urls.write(json.dumps(url) + "\n")


def write_bucket(folder: Path, count: int) -> None:
    """Every fortieth article, with its images."""
    drawn = io.BytesIO()
    Image.new("RGB", (48, 48)).save(drawn, "JPEG")
    media: dict[str, dict[str, bytes]] = {}
    for _, pmcid, name in addresses(count):
        if (int(pmcid[3:]) - FIRST) % ONE_IN == 0:
            media.setdefault(f"{pmcid}.1", {})[name] = drawn.getvalue()
    objects = {key: data for handle, files in media.items() for key, data in article(handle, files).items()}
    lay_out(objects | inventory(objects), folder)


def measured(count: int) -> tuple[int, float, float]:
    """Rows with an image, seconds, and the most memory held, in MB."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_release(folder, count)
        write_bucket(folder / "bucket", count)
        flags = [
            "60k-im",
            "--source",
            "released:rows.jsonl",
            "--images",
            "bucket",
            "--workers",
            "1",
            "--json",
        ]
        start = time.perf_counter()
        with (folder / "summary.json").open("w") as output:
            running = subprocess.Popen(
                [sys.executable, "-m", "llavamed_data", "build", *flags], cwd=folder, stdout=output
            )
            _, status, usage = os.wait4(running.pid, 0)
        if status:
            raise SystemExit("the build failed")
        rows = json.loads((folder / "summary.json").read_text())["datasets"][0]["rows"]
        return rows, time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Prints rows, time and peak memory for both numbers of addresses."""
    table = Table(title="Images of released rows from a bucket")
    for column in ("addresses", "rows with image", "s", "peak MB"):
        table.add_column(column, justify="right")
    for count in (ADDRESSES // 20, ADDRESSES):
        rows, seconds, peak = measured(count)
        table.add_row(f"{count:,}", f"{rows:,}", f"{seconds:.0f}", f"{peak:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
