"""The Croissant metadata beside a built set: valid by MLCommons' own library, which reads the rows through it."""

from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq

from tests.llavamed_data.pipeline.builds.test_build import llavamed


def test_mlcroissant_validates_the_metadata_and_reads_the_rows_through_it(tmp_path: Path) -> None:
    assert llavamed("build", "60k-im", "eval", cwd=tmp_path).returncode == 0
    for name, split in (("60k-im", "train"), ("eval", "test")):
        folder = tmp_path / "llava-med" / name
        dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
        assert not dataset.metadata.issues.errors
        assert not dataset.metadata.issues.warnings
        rows = pq.read_table(folder / "data" / f"{split}-00000-of-00001.parquet").to_pylist()
        read = list(dataset.records(split))
        assert len(read) == len(rows)
        for got, row in zip(read, rows, strict=True):
            assert got[f"{split}/id"].decode() == row["id"]
            assert got[f"{split}/caption"].decode() == row["caption"]
            assert [mention.decode() for mention in got[f"{split}/inline_mentions"]] == row["inline_mentions"]
