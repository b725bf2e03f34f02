"""A file of a hundred megabytes and more is read in far less memory than it has bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROW_BYTES = 1500
LIMIT_KB = 300 * 1024
STATUS = Path("/proc/self/status")
# not ru_maxrss, which a child inherits from the process that starts it
SHOW_PEAK = f"""
print(next(line.split()[1] for line in open("{STATUS}") if line.startswith("VmHWM")))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc to tell a process's own peak"),
]

READ_ROWS = """
import sys
from llavamed_data.sources.released import RowFile, ReleasedRow
rows = sum(isinstance(row, ReleasedRow) for row in RowFile(sys.argv[1]))
print(rows)
"""
READ_URLS = """
import sys
from llavamed_data.sources.released import read_image_urls
found = read_image_urls(sys.argv[1])
print(found["10000000_F1"][0])
"""


def measured(program: str, path: Path) -> tuple[str, int]:
    """What the program counts, and the most memory it ever took, in KB."""
    done = subprocess.run(
        [sys.executable, "-c", program + SHOW_PEAK, str(path)], capture_output=True, text=True, check=True
    )
    count, peak = done.stdout.split()
    return count, int(peak)


@pytest.mark.parametrize("lines", [False, True])
def test_rows_of_a_hundred_megabytes(tmp_path: Path, lines: bool) -> None:
    path = tmp_path / "rows.json"
    turns = [
        {"from": "human", "value": "<image>\nWhat is shown?"},
        {"from": "gpt", "value": "A lung. " * (ROW_BYTES // 8)},
    ]
    tail = json.dumps({"conversations": turns})[1:]
    rows = 70_000
    with path.open("w") as file:
        file.write("" if lines else "[")
        for number in range(rows):
            between = "" if number == 0 else "\n" if lines else ",\n"
            file.write(f'{between}{{"id": "{number}_F1", "image": "{number}_F1.jpg", {tail}')
        file.write("" if lines else "]")
    assert path.stat().st_size > 100_000_000
    count, peak = measured(READ_ROWS, path)
    assert int(count) == rows
    assert peak < LIMIT_KB


def test_all_721154_image_addresses(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    base = "https://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/cd/6e"
    with path.open("w") as file:
        for number in range(10_000_000, 10_721_154):
            file.write(
                f'{{"pmc_tar_url": "{base}/PMC{number}.tar.gz", "image_file_path": "PMC{number}/LI-27-196-g003.jpg",'
                f' "pair_id": "{number}_F1"}}\n'
            )
    found, peak = measured(READ_URLS, path)
    assert found == "PMC10000000"
    assert peak < LIMIT_KB
