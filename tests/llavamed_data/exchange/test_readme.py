"""The README of an export tells trainers to read the training split, and never a split that is for evaluation."""

from pathlib import Path

import pytest

from llavamed_data.exchange import export_dataset
from tests.llavamed_data.validation.sets import MAKERS, write_set


def exported(tmp_path: Path, form: str, *splits: str) -> str:
    folder = write_set(tmp_path / "set", [MAKERS["vqa"](0)], kind="vqa", shards=1)
    shard = folder / "data" / "train-00000-of-00001.parquet"
    for split in splits:
        (shard.parent / f"{split}-00000-of-00001.parquet").write_bytes(shard.read_bytes())
    if "train" not in splits:
        shard.unlink()
    export_dataset(str(folder), form, tmp_path / "out")
    return (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


USES = {
    "llava": ("--data_path train.json", "--data_path {}.json"),
    "sharegpt": ("--dataset train`", "--dataset {}`"),
    "webdataset": ('"train-*.tar"', '"{}-*.tar"'),
    "jsonl": ('"train.jsonl"', '"{}.jsonl"'),
}


@pytest.mark.parametrize("form", USES)
def test_trainers_are_given_the_training_split(tmp_path: Path, form: str) -> None:
    text = exported(tmp_path, form, "train", "validation", "test")
    use, other = USES[form]
    assert use in text
    for split in ("test", "validation"):
        assert other.format(split) not in text
        assert f"`{split}`" in text
    assert "for evaluation: do not train on them" in text


@pytest.mark.parametrize("form", USES)
def test_a_set_without_a_training_split_gives_trainers_nothing(tmp_path: Path, form: str) -> None:
    text = exported(tmp_path, form, "test")
    assert USES[form][1].format("test") not in text
    assert "for evaluation: do not train on them" in text
    assert "`test" in text
