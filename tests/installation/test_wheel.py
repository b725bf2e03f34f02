"""The wheel and the source archive hold everything; the wheel, installed, works outside the tree."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import llavamed_data
from tests.conftest import CHECKOUT

ROOT = CHECKOUT

PACKAGE_DATA = {
    "llavamed_data/instruct/__init__.pyi",
    "llavamed_data/recipes/60k-im.yaml",
    "llavamed_data/dataset/schemas/instruct.json",
    "llavamed_data/figures/domains.yaml",
    "llavamed_data/py.typed",
    "llavamed_data/review/templates/page.js",
    "hub_cards/templates/dataset.md.j2",
}


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def package_files() -> Iterator[str]:
    """What the tree has in its packages, but for what tools leave there."""
    for package in ("llavamed_data", "llavamed_trainer", "hub_cards"):
        for path in (ROOT / package).rglob("*"):
            name = path.relative_to(ROOT)
            if path.is_file() and not any(part[0] in "._" and "cache" in part for part in name.parts):
                yield name.as_posix()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder)
    return folder


def test_the_wheel_holds_the_package_data_and_the_version_of_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"llavamed_data-{llavamed_data.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= PACKAGE_DATA
    assert any(name.startswith("llavamed_data/sources/sample/") and name.endswith(".jpg") for name in names)
    assert set(package_files()) - names == set()
    packages = (
        "llavamed_data",
        "llavamed_trainer",
        "hub_cards",
        wheel.name.removesuffix("-py3-none-any.whl"),
    )
    assert [name for name in names if not name.startswith(packages)] == []


def test_links_and_pictures_of_the_description_lead_to_the_repository(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    packed = zipfile.ZipFile(wheel)
    (name,) = [name for name in packed.namelist() if name.endswith("/METADATA")]
    description = packed.read(name).decode()
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert len(targets) > 10
    assert all(target.startswith("https://") for target in targets)
    assert re.search(
        r"!\[[^]]+\]\(https://raw\.githubusercontent\.com/\S+/docs/images/data-flow\.svg\)", description
    )


def test_the_source_archive_holds_the_tests_and_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    (source,) = tmp_path.iterdir()
    assert (source / "tests" / "conftest.py").is_file()
    assert (source / "CHANGELOG.md").is_file()
    assert (source / "docs" / "index.md").is_file()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=source)
    (again,), (first,) = (tmp_path / "again").glob("*.whl"), built.glob("*.whl")
    assert again.read_bytes() == first.read_bytes()


def test_the_installed_wheel_builds_and_validates_outside_the_tree(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run(
        sys.executable,
        "-c",
        "import llavamed_data; print(llavamed_data.__file__)",
        cwd=empty,
        PYTHONPATH=str(site),
    )
    assert Path(where.strip()).is_relative_to(site)
    run(sys.executable, "-m", "llavamed_data", "build", "60k-im", "--quiet", cwd=empty, PYTHONPATH=str(site))
    told = run(
        sys.executable, "-m", "llavamed_data", "validate", "llava-med/60k-im", cwd=empty, PYTHONPATH=str(site)
    )
    assert told == "llava-med/60k-im: 38 rows in 1 shard, no fault\n"
    for command in ("llavamed-data", "llavamed-trainer"):
        assert (site / "bin" / command).is_file()
