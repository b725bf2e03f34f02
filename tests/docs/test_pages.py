"""What the pages and the files about the repository name exists, and is named in one place only."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import llavamed_data
from tests.conftest import CHECKOUT
from tests.docs.blocks import pages

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))

OUR_FOLDERS = ("llavamed_data", "llavamed_trainer", "hub_cards", "tests", "examples", "docs", ".github")


def without_blocks(page: Path) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_files_that_sentences_name_exist(page: Path) -> None:
    named = re.findall(r"`([^`\s]+)`", without_blocks(page))
    paths = [name for name in named if name.split("/")[0] in OUR_FOLDERS and "/" in name]
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", without_blocks(page))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_address_of_the_repository_is_that_of_the_project_urls() -> None:
    address = PROJECT["project"]["urls"]["Repository"]
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    raw = address.replace("github.com", "raw.githubusercontent.com")
    assert all(found.startswith((address, raw)) for found in re.findall(r"https://[^\"')]+", text))
    for path in [*pages(), CHECKOUT / "mkdocs.yml", CHECKOUT / "CITATION.cff"]:
        assert address not in path.read_text(encoding="utf-8")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == llavamed_data.__version__


def test_every_guide_is_in_the_navigation_of_the_site() -> None:
    site = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")
    guides = [path for path in pages() if path.is_relative_to(CHECKOUT / "docs")]
    assert [guide for guide in guides if f": {guide.relative_to(CHECKOUT / 'docs')}\n" not in site] == []


def test_a_function_that_its_module_hides_from_the_api_pages_is_listed_beside_its_package() -> None:
    for page in (CHECKOUT / "docs" / "api").glob("*.md"):
        listed = re.findall(r"(?m)^::: (\S+)$", page.read_text(encoding="utf-8"))
        for package in listed:
            folder = CHECKOUT / package.replace(".", "/")
            if not folder.is_dir():
                continue
            public = import_module(package).__all__
            hidden = [f"{package}.{name}.{name}" for name in public if (folder / f"{name}.py").is_file()]
            assert [name for name in hidden if name not in listed] == []
