"""`update`: what changed is read, nothing else, and the datasets are those of a build from scratch."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llavamed_data.sources.sample import corpus_path
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.llavamed_data.sources.corpus import BUCKET, inventory, lay_out, md5
from tests.servers import s3
from tests.servers.eutils import EutilsServer
from tests.servers.faults import FaultyProxy

SETS = ("60k-im", "alignment-600k")
CHANGED, RETRACTED, WITHDRAWN, NEW = "PMC9000002.1", "PMC9000004.1", "PMC9000006.1", "PMC9700001.1"


def sample() -> dict[str, bytes]:
    folder = Path(corpus_path())
    objects = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "inventory-reports" not in path.parts
    }
    objects |= {
        f"metadata/{key.rpartition('/')[2]}": data for key, data in objects.items() if key.endswith(".json")
    }
    return objects


def stated(objects: dict[str, bytes], handle: str, **changes: object) -> None:
    """Writes the article's metadata anew, with the checksum of its XML."""
    metadata = json.loads(objects[f"{handle}/{handle}.json"]) | changes
    xml = objects[f"{handle}/{handle}.xml"]
    metadata["xml_url"] = f"s3://{BUCKET}/{handle}/{handle}.xml?md5={md5(xml)}"
    text = json.dumps(metadata).encode()
    objects[f"{handle}/{handle}.json"] = objects[f"metadata/{handle}.json"] = text


def later() -> dict[str, bytes]:
    """The sample, with one article changed, one retracted, one withdrawn, and a new one."""
    objects = sample()
    xml = objects[f"{CHANGED}/{CHANGED}.xml"]
    objects[f"{CHANGED}/{CHANGED}.xml"] = xml.replace(b"<caption>", b"<caption><title>Corrected.</title>", 1)
    assert objects[f"{CHANGED}/{CHANGED}.xml"] != xml
    stated(objects, CHANGED)
    stated(objects, RETRACTED, is_retracted=True)
    origin = "PMC9000001.1"
    for key in [key for key in objects if key.startswith(f"{origin}/")]:
        data = objects[key]
        if key.endswith((".xml", ".json")):
            data = data.replace(b"PMC9000001", b"PMC9700001").replace(b"9000001", b"9700001")
            data = data.replace(b"99000001", b"99700001")
        objects[key.replace("PMC9000001", "PMC9700001")] = data
    stated(objects, NEW, pmid=99700001)
    return {
        key: data
        for key, data in objects.items()
        if not key.startswith((f"{WITHDRAWN}/", f"metadata/{WITHDRAWN}"))
    }


@pytest.fixture(scope="module")
def states() -> tuple[dict[str, bytes], dict[str, bytes]]:
    before, after = sample(), later()
    dates = "2026-11-01T01-00Z", "2026-11-08T01-00Z"
    return before | inventory(before, dates[0]), after | inventory(after, dates[1])


def place(objects: Mapping[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lay_out(objects, folder)


def run(folder: Path, *arguments: str, **env: str) -> Any:
    done = llavamed(*arguments, "--json", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_only_changed_articles_are_read_and_the_sets_are_those_of_a_build_from_scratch(
    states: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    before, after = states
    spec = f"s3://{BUCKET}"
    with s3.bucket(BUCKET, before) as server:
        run(tmp_path, "build", *SETS, "--source", spec, AWS_ENDPOINT_URL_S3=server)
    old = digests(tmp_path / "llava-med")
    with s3.bucket(BUCKET, after) as server, FaultyProxy(server) as proxy:
        (summary,) = run(tmp_path, "update", "--workers", "2", AWS_ENDPOINT_URL_S3=proxy.address)
        asked = Counter(request.path.rpartition("/")[2] for request in proxy.log if request.method == "GET")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        run(scratch, "build", *SETS, "--source", spec, AWS_ENDPOINT_URL_S3=server)
    assert {name for name in asked if name.endswith(".xml")} == {f"{CHANGED}.xml", f"{NEW}.xml"}
    described = {name for name in asked if name.startswith("PMC") and name.endswith(".json")}
    assert described == {f"{handle}.json" for handle in (CHANGED, RETRACTED, NEW)}
    pictures = [name for name in asked if name.lower().endswith((".jpg", ".jpeg", ".png"))]
    assert pictures
    assert all(f"{NEW}/{name}" in after or f"{CHANGED}/{name}" in after for name in pictures)
    assert digests(tmp_path / "llava-med") == digests(scratch / "llava-med") != old
    for step in summary["stations"]:
        assert step["in"] == step["kept"] + sum(step["dropped"].values()), step
    articles = len({key.partition(".")[0] for key in after if key.startswith("PMC")})
    assert f"{articles - 3} articles had not changed and were not read again" in summary["notes"]


@pytest.mark.slow
def test_a_folder_is_updated_by_its_newer_inventory_however_often_it_is_killed(
    states: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    before, after = states
    place(before, tmp_path / "copy")
    run(tmp_path, "build", "60k-im", "--source", "copy", "--seed", "3")
    (same,) = run(tmp_path, "update")
    assert all(step["skipped"] for step in same["stations"])
    place(after, tmp_path / "copy")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for seconds in (1.0, 1.6, 2.2, 2.8):
        command = [sys.executable, "-m", "llavamed_data", "update", "--work", "../.llavamed", "--quiet"]
        running = subprocess.Popen(command, cwd=elsewhere)
        time.sleep(seconds)
        running.kill()
        running.wait()
    run(elsewhere, "update", "--work", str(tmp_path / ".llavamed"), "--source", str(tmp_path / "copy"))
    run(tmp_path, "build", "60k-im", "--source", "copy", "--seed", "3", "--work", "w", "--out", "scratch")
    assert digests(tmp_path / "llava-med") == digests(tmp_path / "scratch")


@pytest.mark.parametrize("place_of_metadata", ["metadata", "PMC9000004.1"])
def test_a_folder_that_was_edited_is_read_again_by_build_and_by_update(
    place_of_metadata: str, tmp_path: Path
) -> None:
    """The metadata lie in two places, and the inventory beside them knows nothing of an edit."""
    shutil.copytree(corpus_path(), tmp_path / "copy")
    build = ("build", "alignment-600k", "--keep-eval-articles", "--source", "copy")
    first = run(tmp_path, *build)
    assert not any("has changed" in note for note in run(tmp_path, *build)["notes"])
    edited = tmp_path / "copy" / place_of_metadata / "PMC9000004.1.json"
    os.utime(edited, (then := edited.stat().st_mtime + 60, then))  # the build took no minute
    edited.write_text(edited.read_text().replace('"is_retracted": false', '"is_retracted": true'))
    os.utime(edited, (then, then))
    (updated,) = run(tmp_path, "update")
    assert "27 articles had not changed and were not read again" in updated["notes"]
    for summary in (updated, run(tmp_path, *build)):
        articles = next(step for step in summary["stations"] if step["unit"] == "articles")
        assert articles["dropped"]["retracted"] == 2
    assert updated["datasets"][0]["rows"] < first["datasets"][0]["rows"]
    edited.write_text(edited.read_text().replace('"is_retracted": true', '"is_retracted": false'))
    again = run(tmp_path, *build)
    assert again["datasets"][0]["rows"] == first["datasets"][0]["rows"]
    (note,) = (note for note in again["notes"] if "has changed" in note)
    assert note.startswith("copy has changed since an earlier run")
    assert "`update`" in note
    (updated,) = run(tmp_path, "update")
    assert "nothing has changed since the last run: no article was read again" in updated["notes"]


@pytest.mark.parametrize("spec", ["jats", "packages"])
def test_files_that_changed_are_read_again_by_build(spec: str, tmp_path: Path) -> None:
    sample_folder = Path(corpus_path())
    (tmp_path / "here").mkdir()

    def write(handle: str, text: bytes) -> None:
        if spec == "jats":
            (tmp_path / f"here/{handle}.xml").write_bytes(text)
            return
        with tarfile.open(tmp_path / f"here/{handle}.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo(f"{handle}/{handle}.nxml")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))

    handle = "PMC9000001.1"
    text = (sample_folder / handle / f"{handle}.xml").read_bytes()
    write(handle, text)
    extract = ("extract", "--source", f"{spec}:here", "--out", "pairs.parquet")
    assert llavamed(*extract, cwd=tmp_path).returncode == 0
    write(handle, text.replace(b"<caption>", b"<caption><title>Corrected.</title>"))
    done = llavamed(*extract, cwd=tmp_path)
    assert "has changed since an earlier run, so its articles were read again\n" in done.stdout
    captions = pq.read_table(tmp_path / "pairs.parquet")["caption"].to_pylist()
    assert captions
    assert all(caption.startswith("Corrected.") for caption in captions)


def test_articles_that_could_not_be_reached_are_read_again(
    states: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    before, _ = states
    from llavamed_data.engine import LocalEngine
    from llavamed_data.pipeline.steps.extract import extract
    from llavamed_data.sources import Bucket
    from llavamed_data.sources.fetch import FetchPolicy
    from tests.servers.faults import Status

    hasty = FetchPolicy(attempts=2, first_pause=0.01, longest_pause=0.02)
    away = "PMC9000002.1.xml"
    with s3.bucket(BUCKET, before) as server:
        busy = FaultyProxy(server, lambda request: Status(500) if request.path.endswith(away) else None)
        with busy as proxy:
            bucket = Bucket(f"{proxy.address}/{BUCKET}", policy=hasty)
            first = extract(bucket, tmp_path / "extract", engine=LocalEngine(workers=1))
        later = inventory(before, "2026-11-02T01-00Z")
        assert first.manifest.tallies["articles"].dropped["article unreachable"] == 1
    with s3.bucket(BUCKET, before | later) as server, FaultyProxy(server) as proxy:
        bucket = Bucket(f"{proxy.address}/{BUCKET}", policy=hasty)
        second = extract(bucket, tmp_path / "extract", update=True, engine=LocalEngine(workers=1))
        read = [request.path for request in proxy.log if request.path.endswith(".xml")]
    assert [path.rpartition("/")[2] for path in read] == [away]
    assert "article unreachable" not in second.manifest.tallies["articles"].dropped


def test_an_update_searches_again(tmp_path: Path) -> None:
    from datetime import date

    day = date(2026, 1, 1)
    with EutilsServer({"x": {9000001: day}}) as server:
        flags = ["--query", "x", "--keep-eval-articles"]
        run(tmp_path, "build", "alignment-600k", *flags, NCBI_EUTILS_URL=server.url)
    with EutilsServer({"x": {9000001: day, 9000002: day}}) as server:
        (summary,) = run(tmp_path, "update", NCBI_EUTILS_URL=server.url)
    articles = next(step for step in summary["stations"] if step["unit"] == "articles")
    assert articles["kept"] == 2
    assert "1 article had not changed and was not read again" in summary["notes"]


@pytest.mark.parametrize("flags", [[], ["--source", "sample"]])
def test_where_nothing_was_built_nothing_can_be_updated(tmp_path: Path, flags: list[str]) -> None:
    done = llavamed("update", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert "run build first" in done.stderr


def test_a_login_in_an_address_is_never_written_down(tmp_path: Path) -> None:
    from llavamed_data.pipeline.builds.history import record_build, recorded_builds
    from llavamed_data.pipeline.builds.options import BuildOptions
    from llavamed_data.recipes import load_recipe

    record_build(BuildOptions(source="https://me:secret@example.org/x", work=tmp_path), [load_recipe("60k")])
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())
    options = BuildOptions(source="sample", work=tmp_path, size=3, licenses=("cc0",), pmcids=Path("list.txt"))
    record_build(options, [load_recipe("60k")])
    ((again, recipes),) = recorded_builds(tmp_path)
    assert (again.size, again.licenses, again.pmcids, recipes) == (
        3,
        ("cc0",),
        Path("list.txt").absolute(),
        ["60k"],
    )
