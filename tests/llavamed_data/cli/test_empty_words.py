"""A variable of the shell that is not set is noticed: no command takes an empty word."""

from pathlib import Path

import pytest

from tests.llavamed_data.pipeline.builds.test_build import llavamed


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["build", "60k-im", "--license", ""], "--license is empty"),
        (["build", "60k-im", "--license="], "--license is empty"),
        (["build", "60k-im", "--license", ","], "--license names no licence"),
        (["build", "60k-im", "--out", ""], "--out is empty"),
        (["build", "60k-im", "--work", " "], "--work is empty"),
        (["build", ""], "an argument is empty"),
        (["validate", ""], "an argument is empty"),
        (["publish", "--repo-id", "", "x"], "--repo-id is empty"),
        (["browse", "x", "--words", ""], "--words is empty"),
        (["--config", "settings.yaml", "build"], "--license is empty"),
    ],
)
def test_an_empty_word_is_named_and_nothing_is_written(words: list[str], named: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("build:\n  license: ''\n")
    done = llavamed(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {named}")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["settings.yaml"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["browse", "x", "--limit", "3"], "--limit does nothing"),
        (["browse", "x", "--words", "cyst", "--domain", "mri"], "--words and --domain do nothing"),
        (["browse", "x", "--out", "page.html", "--port", "8000"], "--port does nothing with --out"),
    ],
)
def test_a_flag_of_browse_without_effect_is_named(words: list[str], named: str, tmp_path: Path) -> None:
    done = llavamed(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr[:7]) == (2, "error: ")
    assert named in done.stderr


def test_a_domain_that_no_row_has_is_named_with_those_there_are(tmp_path: Path) -> None:
    assert llavamed("build", "60k-im", "--size", "5", cwd=tmp_path).returncode == 0
    done = llavamed("browse", "llava-med/60k-im", "--out", "page.html", "--domain", "CT", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no row of 60k-im is of the domain 'CT': choose from chest_xray, ct_scan, gross" in done.stderr
    assert not (tmp_path / "page.html").exists()
