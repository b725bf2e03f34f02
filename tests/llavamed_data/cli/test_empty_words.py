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
        (["review", "x", "--reviewer", ""], "--reviewer is empty"),
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


def test_browse_names_the_command_in_its_place(tmp_path: Path) -> None:
    done = llavamed("browse", "llava-med/60k-im", "--out", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: browse is no more: use python -m llavamed_data review llava-med/60k-im\n"
