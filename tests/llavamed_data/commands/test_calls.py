"""Every command is one call: the flags are its keywords, it prints nothing and returns what `--json` prints."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import llavamed_data
from llavamed_data import BuildOptions, commands
from llavamed_data.cli.app import app
from llavamed_data.engine import LocalEngine
from llavamed_data.errors import UsageError
from tests.llavamed_data.pipeline.builds.test_build import llavamed

CALLS = [getattr(commands, name) for name in commands.__all__]
ONLY_PYTHON = {"options", "beside", "on_progress"}
ONLY_COMMAND_LINE = {"as_json", "quiet", "verbose", "help"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set llava-med/60k-im, five rows, and the work folder .llavamed."""
    folder = tmp_path_factory.mktemp("built")
    llavamed_data.build("60k-im", size=5, out=folder / "llava-med", work=folder / ".llavamed")
    return folder


@pytest.fixture
def here(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(built)
    return built


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_flags_are_the_keywords_and_each_is_described(call: Callable[..., Any]) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[call.__name__.strip("_")]
    keywords = set(inspect.signature(call).parameters) - ONLY_PYTHON
    assert {each.name for each in command.params} - ONLY_COMMAND_LINE == keywords
    assert all(each.help for each in command.params)
    for each in command.params:
        if each.name in keywords and each.opts[0].startswith("-"):
            assert f"--{each.name.strip('_').replace('_', '-')}" in each.opts
    documented = re.findall(r"^        (\w+): ", call.__doc__ or "", re.MULTILINE)
    assert set(inspect.signature(call).parameters) <= set(documented)
    assert call.__annotations__["return"]


def test_the_package_has_each_call_by_its_name() -> None:
    for call in CALLS:
        named = getattr(llavamed_data, call.__name__)
        assert callable(named)
        assert inspect.signature(named) == inspect.signature(call)


CALLED: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "build": (lambda: llavamed_data.build("60k-im", size=5), ["build", "60k-im", "--size", "5"]),
    "update": (lambda: llavamed_data.update(), ["update"]),
    "extract": (
        lambda: llavamed_data.extract("sample", "a.parquet", limit=9),
        ["extract", "--source", "sample", "--out", "a.parquet", "--limit", "9"],
    ),
    "validate": (lambda: llavamed_data.validate("llava-med/60k-im"), ["validate", "llava-med/60k-im"]),
    "show": (
        lambda: llavamed_data.show("llava-med/60k-im", "99000010_f1", images="pictures"),
        ["show", "llava-med/60k-im", "99000010_f1", "--images", "pictures"],
    ),
    "stats": (
        lambda: llavamed_data.stats("llava-med/60k-im", no_verbs=True),
        ["stats", "llava-med/60k-im", "--no-verbs"],
    ),
    "clean": (lambda: llavamed_data.clean("talk.jsonl", explain=True), ["clean", "talk.jsonl", "--explain"]),
    "export": (
        lambda: llavamed_data.export("llava-med/60k-im", to="llava", out=fresh()),
        ["export", "llava-med/60k-im", "--to", "llava", "--out", "FRESH"],
    ),
    "import": (
        lambda: llavamed_data.import_("llava-export", from_="llava", out=fresh()),
        ["import", "llava-export", "--from", "llava", "--out", "FRESH"],
    ),
}


def fresh() -> str:
    """The name of a folder that is not there yet."""
    return f"fresh-{sum(1 for _ in Path().glob('fresh-*'))}"


def without_times(value: Any) -> Any:
    """The value without what differs from run to run: times, whether a step was done before, fresh folders."""
    if isinstance(value, list):
        return [without_times(each) for each in value]
    if isinstance(value, dict):
        return {
            name: without_times(each)
            for name, each in value.items()
            if name not in ("seconds", "skipped", "folder")
        }
    return value


@pytest.mark.parametrize("name", CALLED)
def test_a_call_prints_nothing_and_returns_what_json_prints(
    name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = [["What is it?", "According to the caption, it is a cyst."]]
    Path("talk.jsonl").write_text(json.dumps({"id": "a", "turns": turns}) + "\n")
    if name == "import" and not Path("llava-export").exists():
        llavamed_data.export("llava-med/60k-im", to="llava", out="llava-export")
    call, words = CALLED[name]
    result = call()
    assert capfd.readouterr() == ("", "")
    plain = [each.to_dict() for each in result] if isinstance(result, list) else result.to_dict()
    words = [word.replace("FRESH", fresh()) for word in words]
    done = llavamed(*words, "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert without_times(json.loads(done.stdout)) == without_times(json.loads(json.dumps(plain)))


def test_the_calls_of_before_still_work(tmp_path: Path) -> None:
    options = BuildOptions(size=2, out=tmp_path / "out", work=tmp_path / "work")
    (built,) = llavamed_data.build(["10k"], options, LocalEngine(1)).datasets
    assert (built.name, built.rows, built.folder) == ("10k", 2, tmp_path / "out/10k")
    assert llavamed_data.extract_to_file("sample", tmp_path / "p.parquet", work=tmp_path / "work").steps
    assert llavamed_data.validate(str(tmp_path / "out/10k")).ok
    assert llavamed_data.update(tmp_path / "work", engine=None)[0].datasets[0].rows == 2


def test_the_packages_with_names_of_commands_are_packages_too(here: Path) -> None:
    import llavamed_data.stats as package
    from llavamed_data import publish, show
    from llavamed_data.publish import publish_all
    from llavamed_data.stats import statistics

    assert package.statistics is statistics
    assert publish.publish_all is publish_all
    assert package("llava-med/60k-im", no_verbs=True)[0].rows == 5
    assert show("llava-med/60k-im", ["99000010_f1"])[0].row["images"][0]["bytes"]


def test_both_forms_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="as keywords or as one BuildOptions"):
        llavamed_data.build("60k", BuildOptions(), size=3)
    with pytest.raises(UsageError, match="no engine is called 'spark'"):
        llavamed_data.build("60k", engine="spark")
    with pytest.raises(UsageError, match="an engine that is given whole"):
        llavamed_data.build("60k", engine=LocalEngine(1), workers=2)


@pytest.mark.parametrize(
    ("call", "flag"),
    [
        (lambda: llavamed_data.build("60k", license=""), "--license"),
        (lambda: llavamed_data.build("60k", license=["cc0", ""]), "--license"),
        (lambda: llavamed_data.build("60k", license=" , "), "--license"),
        (lambda: llavamed_data.build("60k", out=""), "--out"),
        (lambda: llavamed_data.build("60k", source=" "), "--source"),
        (lambda: llavamed_data.extract("sample", ""), "--out"),
        (lambda: llavamed_data.update(source=""), "--source"),
        (lambda: llavamed_data.validate(""), "--dataset"),
        (lambda: llavamed_data.stats([""]), "--datasets"),
        (lambda: llavamed_data.stats("x", sample=0), "--sample"),
        (lambda: llavamed_data.publish("x", repo_id=""), "--repo-id"),
        (lambda: llavamed_data.export("x", to="llava", out=""), "--out"),
        (lambda: llavamed_data.import_("", from_="llava", out="y"), "--path"),
        (lambda: llavamed_data.estimate("60k", model=""), "--model"),
    ],
)
def test_an_empty_value_is_an_error(call: Callable[[], Any], flag: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=flag):
        call()


@pytest.mark.parametrize(
    ("call", "keywords", "words"),
    [
        ("build", {"size": 2.5}, "size takes int or None, not 2.5 (float)"),
        ("build", {"size": True}, "size takes int or None, not True (bool)"),
        ("build", {"size": "5"}, "size takes int or None, not '5' (str)"),
        ("build", {"seed": 1.5}, "seed takes int, not 1.5 (float)"),
        ("build", {"limit": 2.5}, "limit takes int or None, not 2.5 (float)"),
        ("build", {"max_cost": "5"}, "max_cost takes float or None, not '5' (str)"),
        ("build", {"timeout": None}, "timeout takes float, not None"),
        ("build", {"out": None}, "out takes str or Path, not None"),
        ("build", {"pmcids": ["PMC1"]}, "pmcids takes str, Path or None, not ['PMC1'] (list)"),
        ("build", {"license": ["cc0", 4]}, "license takes str, a list of str or None, not ['cc0', 4] (list)"),
        ("build", {"historical_ocr": "no"}, "historical_ocr takes bool, not 'no' (str)"),
        ("build", {"engine": 3}, "engine takes Engine, EngineName, str or None, not 3 (int)"),
        ("build", {"on_progress": 3}, "on_progress takes ProgressCallback or None, not 3 (int)"),
        ("build", {"options": BuildOptions(size=2.5)}, "size takes int or None, not 2.5 (float)"),  # type: ignore[arg-type]
        ("build", {"options": BuildOptions(out="x")}, "out takes Path, not 'x' (str)"),  # type: ignore[arg-type]
        ("build", {"options": 5}, "options takes BuildOptions or None, not int"),
        ("build", {"options": "60k"}, 'build takes several recipes as one list: build(["10k", "60k"])'),
        ("extract", {"out": 5}, "out takes str or Path, not 5 (int)"),
        ("estimate", {"model": None}, "model takes str, not None"),
        ("validate", {"beside": "x"}, "beside takes a list of str or None, not 'x' (str)"),
        ("show", {"ids": [5]}, "ids takes str or a list of str, not [5] (list)"),
        ("stats", {"sample": 2.5}, "sample takes int or None, not 2.5 (float)"),
        ("publish", {"dry_run": "false"}, "dry_run takes bool, not 'false' (str)"),
    ],
)
def test_a_value_of_another_type_is_named(call: str, keywords: dict[str, Any], words: str) -> None:
    first = {"out": "x", "model": "gpt-4o", "ids": "x"}
    called = getattr(llavamed_data, call)
    needed = {name: first[name] for name in inspect.signature(called).parameters if name in first}
    with pytest.raises(UsageError, match=f"^{re.escape(words)}$"):
        called("10k", **{**(needed if call != "build" else {}), **keywords})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: llavamed_data.stats("x", seed=3), "--seed does nothing without --sample"),
        (lambda: llavamed_data.stats("x", no_verbs=True, spacy_model="m"), "--spacy-model does nothing"),
        (
            lambda: llavamed_data.estimate("60k", "gpt-4o", dry_run=True, rpm=3),
            "--rpm does nothing with --dry-run",
        ),
        (lambda: llavamed_data.import_("x", "webdataset", "y", images="z"), "--images does nothing"),
    ],
)
def test_a_keyword_without_effect_is_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
