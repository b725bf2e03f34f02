"""Reading a released instruct file: our records and rows against ijson and the plain parser.

Run as `python -m tests.benchmarks.bench_released`. The file is made up, about 60 MB of rows like the 60K set's.
"""

import json
import tempfile
from pathlib import Path

import ijson

from llavamed_data.sources.released import RowFile
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.json_stream import read_records
from tests.benchmarks.side_by_side import medians, show


def main() -> None:
    """Prints one table; records are parsed objects, rows are checked and in the project's terms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "llava_med_instruct_60k.json"
        path.write_text(json.dumps([_row(number) for number in range(40_000)], indent=2))
        peers = {
            "our records": lambda: _records(path),
            "our rows": lambda: sum(1 for _ in RowFile(str(path))),
            f"ijson.items ({ijson.backend})": lambda: _ijson(path),
            "json.load (whole file in memory)": lambda: json.loads(path.read_bytes()),
        }
        size = path.stat().st_size / 1e6
        show(f"{size:.0f} MB", medians(peers), amount=size, unit="MB", ours="our rows")


def _row(number: int) -> dict[str, object]:
    asked = {"from": "human", "value": "<image>\nWhat does the arrow point at in this section?"}
    answered = {"from": "gpt", "value": "The arrow points at a lesion with clear margins. " * 4}
    again = {"from": "human", "value": "Is it seen in the second panel too?"}
    return {
        "id": f"{10_000_000 + number}_F1",
        "image": f"{10_000_000 + number}_F1.jpg",
        "domain": {"chest_xray": False, "mri": True, "ct_scan": False, "histology": False, "gross": False},
        "conversatons": [asked, answered, again, answered, again, answered],
    }


def _records(path: Path) -> int:
    with open_content(str(path)) as content:
        return sum(1 for _ in read_records(content))


def _ijson(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in ijson.items(file, "item"))


if __name__ == "__main__":
    main()
