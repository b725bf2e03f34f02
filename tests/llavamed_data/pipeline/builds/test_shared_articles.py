"""`build` says which articles a training set shares with an evaluation set beside it that other settings built."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import llavamed_data
from tests.llavamed_data.pipeline.builds.test_build import llavamed, rows

SHARES = "beside it, which was built with other settings: "


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of all tests, in which the articles are read once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True)
def _in_the_folder_of_the_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def notes(recipes: list[str], **options: Any) -> list[str]:
    """What `build` says of the sets beside those that it built."""
    return [note for note in llavamed_data.build(recipes, **options).notes if "beside it" in note]


def shared(name: str) -> int:
    here = Path()
    return len({row["pmcid"] for row in rows(here, name)} & {row["pmcid"] for row in rows(here, "eval")})


def said(name: str, count: int, other: str) -> str:
    return f"{name}: {count} of its articles {'is' if count == 1 else 'are'} in {other} {SHARES}"


def test_the_command_that_it_gives_makes_the_sets_disjoint(work: Path, tmp_path: Path) -> None:
    assert notes(["eval", "60k-im"], work=work) == []
    flags = ("--seed", "3", "--license", "cc0,cc-by", "--work", "of mine")
    done = llavamed("build", "60k-im", "--size", "30", *flags, cwd=tmp_path)
    (note,) = (line for line in done.stdout.splitlines() if "beside it" in line)
    assert shared("60k-im") > 0
    before, command = note.split("python -m llavamed_data ")
    assert before == said("60k-im", shared("60k-im"), "eval") + "build it again with the same: "
    again = shlex.split(command)
    assert again[:2] == ["build", "eval"]
    assert {*again[2:]} == {*flags}
    done = llavamed(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "beside it" not in done.stdout
    assert shared("60k-im") == 0


def test_an_eval_set_built_later_says_so_too(work: Path) -> None:
    assert notes(["60k-im", "60k"], seed=3, work=work) == []
    assert notes(["eval"], work=work) == [
        said("eval", shared(name), name) + f"build {name} again with those of eval"
        for name in ("60k", "60k-im")
    ]


def test_sets_that_keep_the_eval_articles_on_purpose_are_passed_over(work: Path) -> None:
    assert notes(["60k-im", "eval"], keep_eval_articles=True, work=work) == []
    assert shared("60k-im") == 3
    assert notes(["eval"], work=work) == []


def test_released_rows_of_an_article_of_the_eval_set_beside_them(work: Path, tmp_path: Path) -> None:
    assert notes(["eval"], work=work) == []
    first = rows(tmp_path, "eval")[0]
    Path("images").mkdir()
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cyst."}]
    released = []
    for name in (f"{first['pmid']}_F1", "1_F1"):
        Path(f"images/{name}.jpg").write_bytes(first["images"][0]["bytes"])
        image = {"id": name, "image": f"{name}.jpg", "conversations": turns, "domain": {"gross": True}}
        released.append(image)
    Path("llava_med_instruct_60k.json").write_text(json.dumps(released))
    assert notes(["60k"], source="released:.", images="images", work=work) == [
        said("60k", 1, "eval") + "build eval from the released files, too"
    ]


def test_a_set_beside_it_that_cannot_be_read_is_told(work: Path) -> None:
    shard = Path("llava-med/eval/data/test-00000-of-00001.parquet")
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"PAR1")
    (note,) = notes(["60k-im"], work=work)
    assert note.startswith("60k-im: eval, beside it, cannot be read, so it is not known")
