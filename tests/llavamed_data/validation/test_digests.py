"""Every flipped bit of a shard is found by its digest; a set that states no digests is said to be unchecked."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from llavamed_data.exchange import export_dataset, import_dataset
from llavamed_data.validation import Check, validate
from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.llavamed_data.validation.sets import sound_set


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    assert llavamed("build", "10k", "--size", "5", cwd=folder).returncode == 0
    return folder / "llava-med" / "10k"


def shard_of(folder: Path) -> Path:
    return next((folder / "data").iterdir())


def test_the_metadata_state_the_sha256_of_each_shard(built: Path) -> None:
    document = json.loads((built / "croissant.json").read_text())
    files = {
        each["contentUrl"]: each["sha256"]
        for each in document["distribution"]
        if each["@type"] == "cr:FileObject"
    }
    shard = shard_of(built)
    assert files == {f"data/{shard.name}": hashlib.sha256(shard.read_bytes()).hexdigest()}
    report = validate(str(built), beside=[])
    assert (report.ok, report.digests, report.to_dict()["digests"]) == (True, 1, "checked")


def test_any_flipped_bit_is_found(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "10k"
    shutil.copytree(built, folder)
    shard = shard_of(folder)
    sound, choose = shard.read_bytes(), random.Random(7)
    for place in [*(choose.randrange(len(sound)) for _ in range(8)), 0, len(sound) - 1]:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << choose.randrange(8)
        shard.write_bytes(damaged)
        assert validate(str(folder), beside=[]).totals[Check.DIGESTS] == 1, place


def test_pages_carry_checksums_that_pyarrow_verifies(built: Path, tmp_path: Path) -> None:
    shard = shard_of(built)
    chunk = pq.ParquetFile(shard).metadata.row_group(0).column(0)
    data = bytearray(shard.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    (tmp_path / "flipped.parquet").write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(tmp_path / "flipped.parquet", page_checksum_verification=True)


def test_a_set_without_digests_is_said_to_be_unchecked(tmp_path: Path) -> None:
    report = validate(str(sound_set(tmp_path / "set")))
    assert (report.ok, report.digests, report.to_dict()["digests"]) == (True, 0, "not checked")
    console = Console(width=200, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    report.render(console)
    assert "digests: not checked" in console.export_text()


def test_metadata_of_another_tool_that_state_no_digest_are_no_fault(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "10k"
    shutil.copytree(built, folder)
    document = json.loads((folder / "croissant.json").read_text())
    document["distribution"][-1].pop("sha256")
    (folder / "croissant.json").write_text(json.dumps(document))
    report = validate(str(folder), beside=[])
    assert (report.ok, report.to_dict()["digests"]) == (True, "not checked")


def test_a_digest_in_capitals_is_the_same(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "10k"
    shutil.copytree(built, folder)
    document = json.loads((folder / "croissant.json").read_text())
    document["distribution"][-1]["sha256"] = document["distribution"][-1]["sha256"].upper()
    (folder / "croissant.json").write_text(json.dumps(document))
    report = validate(str(folder), beside=[])
    assert (report.ok, report.to_dict()["digests"]) == (True, "checked")


def test_a_damaged_shard_is_made_anew_as_validation_advises(tmp_path: Path) -> None:
    build = ("build", "10k", "--size", "5")
    assert llavamed(*build, cwd=tmp_path).returncode == 0
    folder = tmp_path / "llava-med" / "10k"
    shard = shard_of(folder)
    sound = shard.read_bytes()
    shard.write_bytes(bytes([*sound[:-100], sound[-100] ^ 1, *sound[-99:]]))
    (fault,) = (each for each in validate(str(folder), beside=[]).faults if each.check is Check.DIGESTS)
    assert "delete it and rerun `build`" in fault.message
    shard.unlink()
    assert llavamed(*build, cwd=tmp_path).returncode == 0
    assert shard.read_bytes() == sound
    assert validate(str(folder), beside=[]).ok


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document["distribution"][-1].update(sha256="x"), "states no sha256"),
        (
            lambda document: document["distribution"].append({"contentUrl": "data/more.parquet"}),
            "states no sha256",
        ),
        (lambda document: document["distribution"][-1].update(sha256="0" * 64), "is not the file"),
        (
            lambda document: document["distribution"][-1].update(contentUrl="data/x.parquet"),
            "states no digest",
        ),
    ],
)
def test_metadata_that_do_not_fit_the_shards_are_a_fault(built: Path, tmp_path: Path, change, says) -> None:
    folder = tmp_path / "10k"
    shutil.copytree(built, folder)
    document = json.loads((folder / "croissant.json").read_text())
    change(document)
    (folder / "croissant.json").write_text(json.dumps(document))
    report = validate(str(folder), beside=[])
    assert any(says in fault.message for fault in report.faults if fault.check is Check.DIGESTS)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"distribution": 1}', "\0"])
def test_metadata_that_are_no_metadata_never_break_validation(built: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "10k"
    shutil.copytree(built, folder)
    (folder / "croissant.json").write_text(text)
    assert validate(str(folder), beside=[]).digests == 0


def test_an_import_states_the_digests_of_its_own_shards(built: Path, tmp_path: Path) -> None:
    export_dataset(str(built), "jsonl", tmp_path / "out")
    import_dataset(tmp_path / "out", "jsonl", tmp_path / "back")
    report = validate(str(tmp_path / "back"), beside=[])
    assert (report.faults, report.digests) == ([], 1)
