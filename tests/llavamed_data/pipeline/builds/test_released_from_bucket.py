"""Released rows whose images come from a bucket: through the command line, from a folder and from an S3 server."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from llavamed_data.pipeline.steps.illustrate import without_formula
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.llavamed_data.sources.corpus import BUCKET, article, inventory, lay_out
from tests.servers import s3
from tests.servers.faults import FaultyProxy

BUILD = ("build", "60k-im", "--source", "released:rows.json", "--json")


def picture(number: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (64, 64), (number % 256, number // 256, 7)).save(made, "JPEG")
    return made.getvalue()


def bucket() -> dict[str, bytes]:
    objects = article("PMC1.1", {"g001.jpg": picture(99)})  # an older version
    objects |= article("PMC1.2", {"g001.jpg": picture(1), "G002.JPG": picture(2)}, pmid=1, license_code="CC0")
    objects |= article("PMC2.1", {"g003.jpg": picture(3)}, pmid=2)
    objects |= article("PMC3.1", {"g.jpg": picture(4)}, is_retracted=True)
    objects |= article("PMC4.1", {"g.jpg": picture(5)}, is_pmc_openaccess=False, license_code="TDM")
    objects |= article(
        "PMC5.1", {"gone.jpg": picture(6), "bad.jpg": picture(7)}, absent=["gone.jpg"], wrong_md5=["bad.jpg"]
    )
    return objects | inventory(objects)


ROWS: dict[str, tuple[str, str] | None] = {
    "1_F1": ("PMC1", "g001.jpg"),
    "1_F1b": ("PMC1", "g001.jpg"),  # another pair, the same file
    "1_F2": ("PMC1", "g002.jpg"),  # upper case today
    "2_F1": ("PMC2", "g003.tif"),  # .jpg today
    "3_F1": ("PMC3", "g.jpg"),
    "4_F1": ("PMC4", "g.jpg"),
    "5_F1": ("PMC5", "gone.jpg"),
    "5_F2": ("PMC5", "bad.jpg"),
    "5_F3": ("PMC5", "never.jpg"),
    "6_F1": ("PMC6", "g.jpg"),
    "=6+6": ("PMC6", "-h.jpg"),
    "7_F1": None,
}
FATES = {
    "3_F1": "retracted",
    "4_F1": "not open access",
    "5_F1": "image missing",
    "5_F2": "image checksum",
    "5_F3": "image missing",
    "6_F1": "not in the source",
    "'=6+6": "not in the source",
    "7_F1": "image missing",
}


def lay_out_rows(folder: Path, wanted: Mapping[str, tuple[str, str] | None] = ROWS) -> None:
    turns = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A cyst."}]
    rows = [
        {"id": pair, "image": f"{pair}.jpg", "domain": {"gross": True}, "conversatons": turns}
        for pair in wanted
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    lines = (
        {
            "pair_id": pair,
            "pmc_tar_url": f"https://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/00/{address[0]}.tar.gz",
            "image_file_path": "/".join(address),
        }
        for pair, address in wanted.items()
        if address
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "llava_med_image_urls.jsonl").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out_rows(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return bucket()


def run(folder: Path, *flags: str, **env: str) -> dict[str, Any]:
    done = llavamed(*BUILD, *flags, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def report(summary: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    (note,) = (note for note in summary["notes"] if "lost images" in note)
    with (folder / note.rpartition(": ")[2]).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_has_its_image_from_today_s_article_or_a_reason(
    folder: Path, objects: dict[str, bytes]
) -> None:
    lay_out(objects, folder / "copy")
    summary = run(folder, "--images", "copy")
    rows = {row["id"]: row for row in pq.read_table(folder / "llava-med/60k-im/data").to_pylist()}
    assert {name: row["images"][0]["bytes"] for name, row in rows.items()} == {
        "1_F1": picture(1),
        "1_F1b": picture(1),
        "1_F2": picture(2),
        "2_F1": picture(3),
    }
    assert {name: (row["pmcid"], row["pmid"], row["license"]) for name, row in rows.items()} == {
        "1_F1": ("PMC1", "1", "CC0"),
        "1_F1b": ("PMC1", "1", "CC0"),
        "1_F2": ("PMC1", "1", "CC0"),
        "2_F1": ("PMC2", "2", "CC BY"),
    }
    lost = report(summary, folder)
    assert {line["pair_id"]: line["reason"] for line in lost} == FATES
    by_pair = {line["pair_id"]: line for line in lost}
    assert (by_pair["5_F3"]["pmcid"], by_pair["5_F3"]["file"]) == ("PMC5", "never.jpg")
    assert by_pair["'=6+6"]["file"] == "'-h.jpg"
    steps = {step["station"]: step for step in summary["stations"]}
    assert steps["acquire"]["in"] == len(ROWS)
    assert steps["acquire"]["kept"] == 4
    assert steps["acquire"]["dropped"] == dict(Counter(FATES.values()))
    assert all(step["in"] == step["kept"] + sum(step["dropped"].values()) for step in summary["stations"])
    card = (folder / "llava-med/60k-im/README.md").read_text(encoding="utf-8")
    assert "as of 2026-11-01" in card
    assert "may not be the most current one" in " ".join(card.split())
    assert llavamed("validate", "llava-med/60k-im", cwd=folder).returncode == 0


def test_a_file_that_the_current_version_lacks_is_looked_up_in_the_others(tmp_path: Path) -> None:
    """Published article or manuscript, older or newer; under the licence of the version that holds the file."""
    published, manuscript = {"is_manuscript": False}, {"is_manuscript": True}
    mining = {"is_manuscript": True, "is_pmc_openaccess": False, "license_code": "TDM"}
    objects: dict[str, bytes] = {}
    for handle, names, stated in (
        ("PMC1.1", {"nihpp-v1-f1.jpg": 1, "both.jpg": 2}, published | {"license_code": "CC BY-NC"}),
        (
            "PMC1.2",
            {"nihpp-v2-f1.jpg": 3, "both.jpg": 4, "scan.jpg": 5},
            published | {"license_code": "CC BY"},
        ),
        ("PMC2.1", {"gr1.jpg": 6}, published),
        ("PMC2.2", {"nihms-f1.jpg": 7}, manuscript | {"license_code": "CC0"}),
        ("PMC3.1", {"old.jpg": 8}, mining),
        ("PMC3.2", {"new.jpg": 9}, published),
        ("PMC4.1", {"old.jpg": 10}, published),
        ("PMC4.2", {"new.jpg": 11}, published | {"is_retracted": True}),
    ):
        media = {name: picture(number) for name, number in names.items()}
        objects |= article(handle, media, **stated)  # type: ignore[arg-type]
    wanted = {
        "1_a": ("PMC1", "nihpp-v1-f1.jpg"),
        "1_b": ("PMC1", "both.jpg"),
        "1_c": ("PMC1", "scan.tif"),
        "2_a": ("PMC2", "nihms-f1.jpg"),
        "3_a": ("PMC3", "old.jpg"),
        "4_a": ("PMC4", "old.jpg"),
    }
    lay_out(objects | inventory(objects), tmp_path / "copy")
    lay_out_rows(tmp_path, wanted)
    summary = run(tmp_path, "--images", "copy")
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "llava-med/60k-im/data").to_pylist()}
    assert {name: (row["images"][0]["bytes"], row["license"]) for name, row in rows.items()} == {
        "1_a": (picture(1), "CC BY-NC"),
        "1_b": (picture(4), "CC BY"),
        "1_c": (picture(5), "CC BY"),
        "2_a": (picture(7), "CC0"),
    }
    lost = {line["pair_id"]: (line["reason"], line["detail"]) for line in report(summary, tmp_path)}
    assert lost == {"3_a": ("image missing", "PMC3.2 has no such file"), "4_a": ("retracted", "")}


def test_an_s3_server_gives_the_same_bytes_and_each_file_is_asked_for_once(
    folder: Path, objects: dict[str, bytes]
) -> None:
    lay_out(objects, folder / "copy")
    run(folder, "--images", "copy", "--out", "local", "--work", "other")
    with s3.bucket(BUCKET, objects) as server, FaultyProxy(server) as proxy:
        summary = run(folder, "--images", f"s3://{BUCKET}", AWS_ENDPOINT_URL_S3=proxy.address)
        asked = Counter(request.path.rpartition("/")[2] for request in proxy.log if request.method == "GET")
        assert (asked["g001.jpg"], asked["G002.JPG"], asked["g003.jpg"]) == (1, 1, 1)
        assert not any(name.endswith(".xml") for name in asked)
        before = len(proxy.log)
        work = next((folder / ".llavamed").glob("released-*")) / "60k-im"
        (work / "acquire" / "manifest.json").unlink()  # as a kill before the end leaves it
        run(folder, "--images", f"s3://{BUCKET}", AWS_ENDPOINT_URL_S3=proxy.address)
        again = [request.path.rpartition("/")[2] for request in proxy.log[before:]]
        assert not [
            name for name in again if name.lower().endswith(("jpg", "json")) and name != "manifest.json"
        ]
    local, remote = digests(folder / "local"), digests(folder / "llava-med")
    data = [name for name in local if name.endswith(".parquet")]
    assert data
    assert [local[name] for name in data] == [remote[name] for name in data]
    assert {line["pair_id"]: line["reason"] for line in report(summary, folder)} == FATES


def test_licences_limit_the_images(folder: Path, objects: dict[str, bytes]) -> None:
    lay_out(objects, folder / "copy")
    summary = run(folder, "--images", "copy", "--license", "cc0")
    reasons = {line["pair_id"]: line["reason"] for line in report(summary, folder)}
    assert reasons["2_F1"] == "licence excluded"
    assert summary["datasets"][0]["rows"] == 3


def test_a_folder_of_images_is_told_from_a_copy_of_the_bucket(folder: Path) -> None:
    (folder / "images").mkdir()
    for pair in ROWS:
        (folder / "images" / f"{pair}.jpg").write_bytes(picture(len(pair)))
    assert run(folder, "--images", "images")["datasets"][0]["rows"] == len(ROWS)
    row = pq.read_table(folder / "llava-med/60k-im/data").to_pylist()[0]
    assert (row["license"], row["pmcid"]) == ("unknown", "PMC1")


def test_without_the_list_of_addresses_the_way_out_is_shown(folder: Path, objects: dict[str, bytes]) -> None:
    lay_out(objects, folder / "copy")
    (folder / "elsewhere").mkdir()
    (folder / "llava_med_image_urls.jsonl").rename(folder / "elsewhere" / "urls.jsonl")
    done = llavamed(*BUILD, "--images", "copy", cwd=folder)
    assert done.returncode == 2
    assert "name it with --image-urls" in done.stderr
    missing = llavamed(*BUILD, "--images", "copy", "--image-urls", "none.jsonl", cwd=folder)
    assert (missing.returncode, "none.jsonl" in missing.stderr) == (2, True)
    assert run(folder, "--images", "copy", "--image-urls", "elsewhere/urls.jsonl")["datasets"][0]["rows"] == 4


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_no_cell_of_the_report_is_a_formula(cell: str) -> None:
    assert without_formula(cell) == f"'{cell}"
    assert without_formula(f"a{cell}") == f"a{cell}"
