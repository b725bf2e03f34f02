"""`--pmcids` and `--query` through the command line, on the sample corpus."""

import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.servers.eutils import EutilsServer

CHOSEN = (9000001, 9000002, 9000003)
SECRET = "not-for-anybody"


def summary(folder: Path, *flags: str, **env: str) -> dict:
    done = llavamed("build", "alignment-600k", "--keep-eval-articles", "--json", *flags, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def articles(summary: dict) -> dict:
    return next(step for step in summary["stations"] if step["unit"] == "articles")


def rows(folder: Path) -> list[dict]:
    return pq.read_table(folder / "llava-med/alignment-600k/data").to_pylist()


def test_only_the_articles_of_a_list_are_read_and_those_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("PMC9000001\n9000002\nPMC9000003.1\nPMC4 # withdrawn\n")
    counts = articles(summary(tmp_path, "--pmcids", "list.txt"))
    assert counts["in"] == 4
    assert counts["dropped"]["not in the source"] == 1
    assert {row["pmcid"] for row in rows(tmp_path)} <= {f"PMC{number}" for number in CHOSEN}
    assert "Drawn only from the 4 articles of a given list." in (
        tmp_path / "llava-med/alignment-600k/README.md"
    ).read_text(encoding="utf-8")
    (dropped,) = (tmp_path / ".llavamed").glob("sample-*/extract/dropped-listed.parquet")
    assert pq.read_table(dropped).to_pylist() == [{"id": "PMC4", "reason": "not in the source", "detail": ""}]


@pytest.mark.slow
def test_a_changed_list_is_read_anew_and_an_equal_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("PMC9000001\n")
    assert articles(summary(tmp_path, "--pmcids", "list.txt"))["in"] == 1
    (tmp_path / "list.txt").write_text("# the same\n9000001.2\n")
    assert articles(summary(tmp_path, "--pmcids", "list.txt"))["skipped"]
    (tmp_path / "list.txt").write_text("PMC9000001\nPMC9000002\n")
    assert articles(summary(tmp_path, "--pmcids", "list.txt"))["in"] == 2
    assert articles(summary(tmp_path, "--pmcids", "list.txt", "--limit", "1"))["in"] == 1


def test_a_search_reads_what_it_found_even_when_ncbi_is_away_later(tmp_path: Path) -> None:
    found = dict.fromkeys((*CHOSEN, 4), date(2020, 1, 1))
    environment = {"NCBI_API_KEY": SECRET, "NCBI_EUTILS_URL": ""}
    with EutilsServer({"chest x-ray": found}) as server:
        environment["NCBI_EUTILS_URL"] = server.url
        first = summary(tmp_path, "--query", "chest x-ray", **environment)
    assert articles(first)["dropped"]["not in the source"] == 1
    assert len(server.asked) == 1
    assert articles(summary(tmp_path, "--query", "chest x-ray", **environment))["skipped"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
    (tmp_path / "list").mkdir()
    (tmp_path / "list.txt").write_text("".join(f"{number}\n" for number in found))
    summary(tmp_path, "--pmcids", "list.txt", "--out", "listed")
    one, other = digests(tmp_path / "llava-med"), digests(tmp_path / "listed")
    data = [name for name in one if name.endswith(".parquet")]
    assert [one[name] for name in data] == [other[name] for name in data]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pmcids", "list.txt", "--query", "x"], "give one of them"),
        (["--pmcids", "list.txt"], "list.txt, line 2: 'PMCX' is no PMCID"),
        (["--pmcids", "none.txt"], "none.txt cannot be read"),
        (["--query", " "], "--query is empty"),
    ],
)
def test_a_wrong_choice_is_reported_in_one_line(tmp_path: Path, flags: list[str], says: str) -> None:
    (tmp_path / "list.txt").write_text("PMC9000001\nPMCX\n")
    for command in (["build"], ["extract", "--source", "sample", "--out", "pairs.parquet"]):
        done = llavamed(*command, *flags, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_extract_takes_a_list_too(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("PMC9000001\nPMC4\n")
    done = llavamed(
        "extract", "--source", "sample", "--pmcids", "list.txt", "--out", "pairs.parquet", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert set(pq.read_table(tmp_path / "pairs.parquet")["pmcid"].to_pylist()) == {"PMC9000001"}
    assert "PMC4" in pq.read_table(tmp_path / "pairs.dropped.parquet")["id"].to_pylist()
