"""The list of image addresses gives article and file name, in bounded memory, for hundreds of thousands of pairs."""

import json
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_data.sources.released import read_image_urls


def line(pair_id: str, pmcid: str = "PMC1", file: str = "a.jpg") -> str:
    url = f"https://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/cd/6e/{pmcid}.tar.gz"
    return json.dumps({"pmc_tar_url": url, "image_file_path": f"{pmcid}/{file}", "pair_id": pair_id})


def test_each_pair_has_its_article_and_file(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    path.write_text(
        "\n".join([line("1_F1", "PMC11", "x.jpg"), line("2_F1", "PMC22", "y.jpg"), line("1_F1", "PMC3")])
    )
    found = read_image_urls(str(path))
    assert dict(found) == {"1_F1": ("PMC11", "x.jpg"), "2_F1": ("PMC22", "y.jpg")}
    assert len(found) == 2
    assert "3_F1" not in found


def test_lines_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    bad = [
        "{}",
        "5",
        "{",
        line("../x"),
        line("1_F1", "XYZ"),
        line("1_F1", "PMC1", ""),
        line("2_F1", file="\0"),
    ]
    path.write_text("\n".join([line("9_F1"), *bad, line("3_F1")]) + "\n")
    found = read_image_urls(str(path))
    assert set(found) == {"9_F1", "3_F1"}
    assert found.malformed == 7


def test_an_image_path_names_a_file_of_the_package_only(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    path.write_text(line("1_F1", file="../../../etc/passwd"))
    assert read_image_urls(str(path))["1_F1"] == ("PMC1", "passwd")


def test_a_truncated_list_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "urls.jsonl"
    path.write_text(line("1_F1") + "\n" + line("2_F1")[:-9])
    with pytest.raises(LlavaMedError, match="the last line breaks off"):
        read_image_urls(str(path))
