"""Files are found and read wherever they lie; wrong files are reported in one line."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.released import ReleasedFiles, ReleasedRow, RowFile, identify
from tests.servers.ranges import FileServer

TENK = "llava_med_instruct_10k.json"
TENK_PLACE = f"data/instruct/{TENK}"


def many_rows(count: int) -> bytes:
    """A list of `count` sound rows of about 1 KB."""
    turns = [
        {"from": "human", "value": "<image>\nWhat?"},
        {"from": "gpt", "value": "A lung. " * 100},
    ]
    return json.dumps(
        [
            {"id": f"{number}_F1", "image": f"{number}_F1.jpg", "conversations": turns}
            for number in range(count)
        ]
    ).encode()


ROWS = many_rows(3000)


def count(path: str) -> int:
    rows = list(RowFile(path))
    assert all(isinstance(row, ReleasedRow) for row in rows)
    return len(rows)


def test_a_file_over_http(tmp_path: Path) -> None:
    (tmp_path / TENK).write_bytes(ROWS)
    with FileServer({f"some where/{TENK}": ROWS}) as server:
        assert list(RowFile(f"{server.url}/some%20where/{TENK}?download=true")) == list(
            RowFile(str(tmp_path / TENK))
        )
        assert server.requests == [("GET", f"/some%20where/{TENK}?download=true", None)]


def test_a_broken_transfer_is_resumed_where_it_broke() -> None:
    with FileServer({"rows.json": ROWS}, break_after=1_000_000, breaks=2) as server:
        assert count(f"{server.url}/rows.json") == 3000
    ranges = [asked for _, _, asked in server.requests]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(asked and asked.startswith("bytes=") and asked != "bytes=0-" for asked in ranges[1:])


def test_a_transfer_that_cannot_be_resumed_is_reported_in_one_line() -> None:
    with (
        FileServer({"rows.json": ROWS}, break_after=1_000_000, etag=False) as server,
        pytest.raises(LlavaMedError, match=r"reading http://.*rows\.json broke off after .* bytes") as error,
    ):
        count(f"{server.url}/rows.json")
    assert "\n" not in str(error.value)


def test_a_missing_address_and_a_silent_server() -> None:
    with FileServer({}) as server:
        with pytest.raises(UsageError, match=r"there is no file http://.*/rows\.json"):
            count(f"{server.url}/rows.json")
        gone = server.url
    with pytest.raises(LlavaMedError, match=r"cannot open http://.*/rows\.json") as error:
        count(f"{gone}/rows.json")
    assert "\n" not in str(error.value)


def test_messages_hold_no_signature_and_no_password() -> None:
    with FileServer({}) as server:
        address = server.url.replace("//", "//user:hush@") + "/rows.json?X-Signature=hush"
        with pytest.raises(UsageError) as error:
            count(address)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["http://example.org/a.json", "ftp://example.org/a.json", "hf://models/a/b", "s3://a/b.json"]
)
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        count(address)


def test_a_folder_over_http() -> None:
    with FileServer({f"copy/{TENK_PLACE}": ROWS, "copy/data/llava_med_image_urls.jsonl": b"{}\n"}) as server:
        place = ReleasedFiles(f"{server.url}/copy")
        assert place.rows("10k") == f"{server.url}/copy/{TENK_PLACE}"
        assert place.image_urls("10k") == f"{server.url}/copy/data/llava_med_image_urls.jsonl"
        assert place.captions("10k") is None
        with pytest.raises(UsageError, match="does not hold llava_med_instruct_60k.json"):
            place.rows("60k")


HUB_PROGRAM = """
import sys
from llavamed_data.errors import LlavaMedError
from llavamed_data.sources.released import ReleasedFiles, RowFile
try:
    path = ReleasedFiles(sys.argv[1]).rows(sys.argv[2])
    print(path, sum(1 for _ in RowFile(path)))
except LlavaMedError as error:
    print(error.exit_code, error)
"""


def from_hub(server: FileServer, home: Path, location: str, recipe: str = "10k") -> str:
    """What the program prints when `server` is the Hub, whose address the library reads once, when it is imported."""
    env = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", HUB_PROGRAM, location, recipe],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("folder", ["hf://datasets/org/name", f"hf://datasets/org/name/{TENK_PLACE}"])
def test_a_dataset_of_the_hub_whose_transfer_breaks_once(tmp_path: Path, folder: str) -> None:
    with FileServer({TENK_PLACE: ROWS}, hub_dataset="org/name", break_after=1_500_000) as server:
        assert from_hub(server, tmp_path, folder) == f"hf://datasets/org/name/{TENK_PLACE} 3000"
    files = [asked for _, path, asked in server.requests if "/resolve/" in path]
    assert len(files) == 2
    assert files[1]


def test_a_dataset_of_the_hub_without_the_file(tmp_path: Path) -> None:
    with FileServer({TENK_PLACE: ROWS}, hub_dataset="org/name") as server:
        message = from_hub(server, tmp_path, "hf://datasets/org/name", "60k")
    assert message == "2 hf://datasets/org/name does not hold llava_med_instruct_60k.json"


def test_gzip_is_undone_and_identified_by_what_is_inside(tmp_path: Path) -> None:
    plain, packed = tmp_path / "rows.json", tmp_path / "rows.json.gz"
    plain.write_bytes(ROWS)
    packed.write_bytes(gzip.compress(ROWS))
    assert list(RowFile(str(packed))) == list(RowFile(str(plain)))
    assert identify(str(packed)) == identify(str(plain))


def test_truncated_gzip_is_reported(tmp_path: Path) -> None:
    packed = tmp_path / "rows.json.gz"
    packed.write_bytes(gzip.compress(ROWS)[:-100])
    with pytest.raises(LlavaMedError, match=r"rows\.json\.gz broke off after"):
        count(str(packed))


def test_a_git_lfs_pointer_is_recognised_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    oid = "84f75c2b83404fe7dd1631212b4ad73228a0dad77bb819ab29c511a535a279c8"
    pointer = tmp_path / TENK
    pointer.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 20176754\n")
    for call in (count, identify):
        with pytest.raises(LlavaMedError) as error:
            call(str(pointer))
        message = str(error.value)
        assert "git lfs pull" in message
        assert "20,176,754 bytes" in message
        assert oid in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"\n<HTML>gone", "is a web page"),
        (b"\xff\xfe[\0]\0", "is not UTF-8 text"),
        (b"PK\x03\x04\0\0", "is not UTF-8 text"),
        (b"Not Found", "is broken at byte 0"),
        (b'"text"', "is broken at byte 0"),
        (ROWS[:100_000], "is broken at byte 100,000: the text ends inside the value"),
    ],
)
def test_wrong_content_is_reported_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / TENK
    path.write_bytes(content)
    with pytest.raises(LlavaMedError, match=message) as error:
        count(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        count(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="is a folder"):
        count(str(tmp_path))
    with pytest.raises(UsageError, match="there is no file or folder"):
        ReleasedFiles(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("recipe", "place"),
    [
        ("alignment-600k", "llava_med_alignment_500k.json"),
        ("alignment-600k", "pubmed_600k.json"),
        ("alignment-600k", "data/alignment/llava_med_alignment_500k.json"),
        ("10k", TENK),
        ("10k", f"instruct/{TENK}"),
        ("10k", f"{TENK}.gz"),
        ("60k", "data/instruct/llava_med_instruct_60k.json"),
        ("60k-im", "data/instruct/llava_med_instruct_60k_inline_mention.json"),
        ("eval", "data/eval/llava_med_eval_qa50_qa.jsonl"),
    ],
)
def test_a_recipe_finds_its_file_in_a_folder(tmp_path: Path, recipe: str, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"[]")
    assert ReleasedFiles(str(tmp_path)).rows(recipe) == str(tmp_path / place)


def test_one_file_is_taken_under_any_name_but_another_recipes(tmp_path: Path) -> None:
    mine, released = tmp_path / "mine.json", tmp_path / TENK
    mine.write_bytes(b"[]")
    released.write_bytes(b"[]")
    assert ReleasedFiles(str(mine)).rows("60k") == str(mine)
    with pytest.raises(UsageError, match=r"10k\.json is not the file of 60k, which is .*60k\.json"):
        ReleasedFiles(str(released)).rows("60k")
    with pytest.raises(UsageError, match="no released file holds '70k'"):
        ReleasedFiles(str(mine)).rows("70k")


def test_files_beside_a_single_file_are_found(tmp_path: Path) -> None:
    for name in (TENK, "llava_med_instruct_fig_captions.json"):
        (tmp_path / name).write_bytes(b"[]")
    place = ReleasedFiles(str(tmp_path / TENK))
    assert place.captions("10k") == str(tmp_path / "llava_med_instruct_fig_captions.json")
    assert place.image_urls("10k") is None


def test_identify_says_how_a_copy_differs_from_the_released_file(tmp_path: Path) -> None:
    other = tmp_path / TENK
    other.write_bytes(b"[]")
    assert identify(str(other)).released is None
    assert str(identify(str(other))) == f"not the released {TENK}: 2 bytes, the released one has 20,176,754"
    with other.open("wb") as file:
        file.write(b"[]")
        file.truncate(20_176_754)
    (tmp_path / "odd.json").write_bytes(b"[" + b" " * 53_064 + b"]")
    message = str(identify(str(tmp_path / "odd.json")))
    assert message == "not the released llava_med_eval_qa50_fig_captions.json: same size, other bytes"
    (tmp_path / "odd.json").write_bytes(b"[]")
    assert str(identify(str(tmp_path / "odd.json"))) == "not a released file"


def test_identity_is_known_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(ROWS)
    file = RowFile(str(path))
    next(iter(file))
    assert file.identity is None
    assert len(list(file)) == 3000
    assert file.identity == identify(str(path))
