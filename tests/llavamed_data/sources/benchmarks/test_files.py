"""Which files of a folder are taken for which split of a benchmark."""

import gzip
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.recipes import load_benchmark
from llavamed_data.sources.benchmarks import open_benchmark
from tests.llavamed_data.sources.benchmarks import drawn
from tests.llavamed_data.sources.benchmarks.drawn import write

SLAKE = load_benchmark("slake")


def splits(name: str, location: Path) -> list[tuple[str, int]]:
    files = open_benchmark(load_benchmark(name), str(location))
    return [(split, position) for split, position, _ in files.records(lambda *_: "image")]


def test_the_forms_of_vqa_rad(tmp_path: Path) -> None:
    both = [("train", 1), ("train", 2), ("train", 3), ("test", 1), ("test", 2)]
    pair, public = drawn.write_rad_pair(tmp_path / "pair"), drawn.write_rad_public(tmp_path / "public")
    assert splits("vqa-rad", pair) == both
    assert splits("vqa-rad", public) == both
    assert splits("vqa-rad", public / "VQA_RAD Dataset Public.json") == both
    assert splits("vqa-rad", pair / "testset.json") == both[3:]
    hub = drawn.write_rad_hub(tmp_path / "hub")
    assert splits("vqa-rad", hub) == [("train", 1), ("train", 2), ("test", 1), ("test", 2)]
    assert splits("vqa-rad", hub / "data" / "test-00000-of-00001.parquet") == [("test", 1), ("test", 2)]


def test_the_forms_of_slake(tmp_path: Path) -> None:
    folder = drawn.write_slake(tmp_path)
    six = [(split, number) for split in ("train", "validation", "test") for number in (1, 2)]
    assert splits("slake", folder) == six
    plain = folder / "validate.json"
    write(folder / "validation.json.gz", gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert splits("slake", folder) == six
    assert splits("slake", folder / "validation.json.gz") == six[2:4]
    (folder / "test.json").unlink()
    assert open_benchmark(SLAKE, str(folder)).missing == ["test"]


def test_the_forms_of_pathvqa(tmp_path: Path) -> None:
    nine = [(split, number) for split in ("train", "validation", "test") for number in (1, 2, 3)]
    assert splits("path-vqa", drawn.write_path(tmp_path / "pvqa")) == nine
    assert splits("path-vqa", drawn.write_path(tmp_path / "json", as_json=True)) == nine


def test_errors_say_which_files_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file or folder nowhere"):
        open_benchmark(SLAKE, "nowhere")
    with pytest.raises(
        UsageError, match=r"no file of SLAKE: looked for train\.json, validation\.json, test\.json"
    ):
        open_benchmark(SLAKE, str(tmp_path))
    with pytest.raises(UsageError, match="does not tell which split of SLAKE"):
        open_benchmark(SLAKE, str(write(tmp_path / "rows.json", "[]")))


def test_a_broken_file_is_reported_with_the_byte(tmp_path: Path) -> None:
    write(tmp_path / "train.json", '[{"qid": 1}, {"qid"')
    with pytest.raises(LlavaMedError, match=r"train\.json is broken at byte"):
        splits("slake", tmp_path)
    write(tmp_path / "b" / "train-00000-of-00001.parquet", b"PAR1 but no more")
    with pytest.raises(LlavaMedError, match="no sound Parquet file"):
        splits("path-vqa", tmp_path / "b")
