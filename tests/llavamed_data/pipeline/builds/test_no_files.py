"""A pipe or a device in place of a file never stops a run: it is dropped with a reason, or refused by name."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data.sources.sample import corpus_path
from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.llavamed_data.sources.benchmarks import drawn


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PMC9000023.1/PMC9000023.1.xml", "no XML"),
        ("PMC9000023.1/PMC9000023.1.json", "metadata unreadable"),
    ],
)
def test_an_article_with_a_pipe_in_place_of_a_file_is_dropped(name: str, reason: str, tmp_path: Path) -> None:
    shutil.copytree(corpus_path(), tmp_path / "copy")
    (tmp_path / "copy/metadata/PMC9000023.1.json").unlink()
    (tmp_path / "copy" / name).unlink()
    os.mkfifo(tmp_path / "copy" / name)
    done = llavamed("build", "alignment-600k", "--source", "copy", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    articles = json.loads(done.stdout)["stations"][0]
    assert articles["dropped"][reason] == 1
    assert articles["in"] == articles["kept"] + sum(articles["dropped"].values())


def test_a_pipe_in_place_of_an_image_is_a_lost_image(tmp_path: Path) -> None:
    folder = drawn.write_path(tmp_path / "pvqa")
    image = next(path for path in folder.rglob("*.jpg"))
    image.unlink()
    os.mkfifo(image)
    done = llavamed("build", "path-vqa", "--source", "pvqa", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 lost image," in done.stdout


def pipe(place: Path) -> str:
    os.mkfifo(place)
    return place.name


@pytest.mark.parametrize("make", [pipe, lambda _: "/dev/zero"], ids=["pipe", "device"])
@pytest.mark.parametrize(
    "flags",
    [
        ("build", "--pmcids", "{}"),
        ("build", "60k-im", "--source", "released:{}", "--images", "."),
        ("build", "60k-im", "--source", "released:rows.json", "--images", ".", "--image-urls", "{}"),
        ("build", "60k-im", "--source", "released:rows.json", "--images", "{}"),
        ("build", "vqa-rad", "--source", "{}"),
        ("build", "vqa-rad", "--source", "rad", "--images", "{}"),
        ("build", "--source", "jats:{}"),
        ("build", "--source", "packages:{}"),
        ("build", "--source", "{}"),
        ("build", "10k", "--cleaning-rules", "{}"),
        ("--config", "{}", "build"),
        ("build", "60k-im", "--few-shots", "{}", "--generator", "openai", "--model", "gpt-4o"),
        (
            "build",
            "60k-im",
            "--prices",
            "{}",
            "--generator",
            "openai",
            "--model",
            "gpt-4o",
            "--max-cost",
            "1",
        ),
        ("estimate", "60k-im", "--model", "gpt-4o", "--prices", "{}"),
        ("clean", "{}", "--out", "cleaned.jsonl"),
    ],
    ids=" ".join,
)
def test_a_pipe_that_is_named_is_refused(
    flags: tuple[str, ...], make: Callable[[Path], str], tmp_path: Path
) -> None:
    drawn.write_rad_pair(tmp_path / "rad")
    row = {"id": "1_F1", "image": "1_F1.jpg", "domain": {"mri": True}}
    turns = [{"from": "human", "value": "What?\n<image>"}, {"from": "gpt", "value": "A cyst."}]
    (tmp_path / "rows.json").write_text(json.dumps([row | {"conversatons": turns}]))
    name = make(tmp_path / "pipe")
    done = llavamed(*(flag.format(name) for flag in flags), cwd=tmp_path, env={"OPENAI_API_KEY": "sk-test"})
    assert done.returncode in (1, 2), done.stdout
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    done = llavamed("build", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "the recipe mine.yaml cannot be read" in done.stderr
