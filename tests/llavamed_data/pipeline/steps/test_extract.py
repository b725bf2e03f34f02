"""What becomes of the figures of articles: pairs, or drops with a reason."""

from pathlib import Path

import pyarrow.parquet as pq

from llavamed_data.engine import LocalEngine
from llavamed_data.pipeline.steps.extract import extract
from llavamed_data.sources import JatsFiles
from tests.llavamed_data.jats.documents import document, fig


def test_a_caption_of_several_images_is_not_paired_with_one_of_them(tmp_path: Path) -> None:
    panels = "".join(f'<graphic xlink:href="g4{panel}"/>' for panel in "abcd")
    body = (
        f"{fig(1, '<p>A CT.</p>')}{fig(2)}"
        f'<fig id="F4"><label>Figure 4</label><caption><p>Four CTs.</p></caption>{panels}</fig>'
        f"<fig-group><caption><p>Two CTs.</p></caption>{fig(5)}{fig(6)}</fig-group>"
    )
    (tmp_path / "a.xml").write_bytes(document(body))
    extracted = extract(JatsFiles(tmp_path), tmp_path / "extract", engine=LocalEngine(workers=1))
    pairs = [row["caption"] for path in extracted.pair_files for row in pq.read_table(path).to_pylist()]
    dropped = [row for path in extracted.dropped_files for row in pq.read_table(path).to_pylist()]
    assert pairs == ["A CT."]
    assert [(row["id"], row["reason"]) for row in dropped] == [
        ("a_F2", "no caption"),
        ("a_F4", "one caption for several images"),
        ("a_F5", "one caption for several images"),
        ("a_F6", "one caption for several images"),
    ]
    assert extracted.manifest.tallies["figures"].entered == 5
