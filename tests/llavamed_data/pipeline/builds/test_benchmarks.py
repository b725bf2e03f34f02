"""`build vqa-rad|slake|path-vqa`: from the files that users have to splits that stock `load_dataset` reads."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from huggingface_hub import HfApi
from rich.console import Console

from llavamed_data.cli.tables import show_build
from llavamed_data.engine import LocalEngine
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.exchange import export_dataset
from llavamed_data.pipeline.builds.build import build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary, SplitCounts
from llavamed_data.recipes import Counts
from llavamed_data.validation import validate
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.llavamed_data.sources.benchmarks import drawn
from tests.llavamed_data.sources.benchmarks.drawn import picture, write
from tests.servers.hub import HubProcess, running_hub


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, source: Path | str, **options: Any) -> BuildSummary:
    summary = build([name], BuildOptions(source=str(source), **options), LocalEngine(workers=1))
    for step in summary.steps:
        assert step.tally.entered == step.tally.kept + sum(step.dropped.values())
    return summary


def built(name: str, source: Path | str, **options: Any) -> BuildSummary:
    """`run`, and `validate` finds no fault."""
    summary = run(name, source, **options)
    report = validate(f"llava-med/{name}")
    assert report.ok, report.faults
    assert report.kind == "vqa"
    return summary


def rows_of(name: str, split: str) -> list[dict[str, Any]]:
    paths = sorted(Path("llava-med", name, "data").glob(f"{split}-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def said(row: dict[str, Any]) -> tuple[str, str]:
    question, answer = row["messages"]
    assert [part["type"] for part in question["content"]] == ["image", "text"]
    return question["content"][1]["text"], answer["content"][0]["text"]


def dropped(summary: BuildSummary, station: str) -> dict[str, int]:
    return next(step.dropped for step in summary.steps if step.name == station)


def counts(summary: BuildSummary) -> dict[str, Counts]:
    return {split.split: split.built for split in summary.datasets[0].counts}


def test_vqa_rad_as_the_paper_counts_it(shared_data: Path, here: Path) -> None:
    summary = built("vqa-rad", shared_data / "vqa_rad")
    assert summary.datasets[0].counts == [
        SplitCounts(split, counted, counted)
        for split, counted in (("train", Counts(313, 1797, 770, 1027)), ("test", Counts(203, 451, 179, 272)))
    ]
    assert dropped(summary, "read") == {"phrase type excluded": 1267}
    names = json.loads((shared_data / "vqa_rad" / "testset.json").read_text())
    for row, original in zip(rows_of("vqa-rad", "test"), names, strict=True):
        assert said(row) == (original["question"].strip(), original["answer"].strip())
        assert row["id"] == f"vqa-rad-test-{original['qid']}"
        assert row["images"][0]["path"] == original["image_name"]
        image = shared_data / "vqa_rad" / "images" / original["image_name"]
        assert row["images"][0]["bytes"] == image.read_bytes()
    train = load_dataset("llava-med/vqa-rad", split="train", cache_dir="cache")
    assert len(train) == 1797
    assert train[0]["images"][0].size[0] > 100
    assert set(train.unique("license")) == {"CC0"}


def test_vqa_rad_with_all_its_phrases(shared_data: Path, here: Path) -> None:
    content = (shared_data / "vqa_rad" / "trainset.json").read_bytes()
    write(here / "rad" / "trainset.json", content)
    for number, name in enumerate({row["image_name"] for row in json.loads(content)}):
        write(here / "rad" / name, picture(number % 5))
    summary = run("vqa-rad", here / "rad" / "trainset.json", all_phrases=True)
    assert counts(summary) == {"train": Counts(314, 3064, 1241, 1823)}
    assert summary.datasets[0].counts[0].paper is None
    assert any("no file of the split test" in note for note in summary.notes)


def test_slake_s_validation_split_as_the_paper_counts_it(shared_data: Path, here: Path) -> None:
    content = (shared_data / "slake" / "validate.json.gz").read_bytes()
    write(here / "slake" / "validate.json.gz", content)
    for number, name in enumerate({row["img_name"] for row in json.loads(gzip.decompress(content))}):
        write(here / "slake" / "imgs" / name, picture(number % 5))
    summary = built("slake", "slake")
    assert counts(summary) == {"validation": Counts(96, 1053, 631, 422)}
    assert summary.datasets[0].counts[0].paper == Counts(96, 1053, 631, 422)
    assert summary.datasets[0].load == 'load_dataset("llava-med/slake", split="validation")'
    assert set(summary.datasets[0].domains) == {"chest_xray", "mri", "ct_scan"}
    assert dropped(summary, "read") == {"language excluded": 1046}
    chinese = run("slake", "slake", language="zh")
    assert counts(chinese)["validation"].rows == 1046
    assert chinese.datasets[0].counts[0].paper is None
    assert {row["language"] for row in rows_of("slake", "validation")} == {"zh"}
    assert "- zh\n" in Path("llava-med/slake/README.md").read_text()


@pytest.mark.parametrize("write_rad", [drawn.write_rad_pair, drawn.write_rad_public])
def test_both_forms_of_vqa_rad_give_the_same_rows(here: Path, write_rad: Callable[[Path], Path]) -> None:
    built("vqa-rad", write_rad(here / "rad"))
    rows = [
        (split, row["id"], *said(row), row["answer_type"], row["question_type"], row["images"][0]["bytes"])
        for split in ("train", "test")
        for row in rows_of("vqa-rad", split)
    ]
    one, two = picture(1), picture(2)
    assert rows == [
        ("train", "vqa-rad-train-1", "Is there a mass?", "Yes", "CLOSED", "PRES", one),
        ("train", "vqa-rad-train-2", "How many?", "2", "OPEN", "COUNT", one),
        ("test", "vqa-rad-test-4", "CT or MRI?", "MRI", "CLOSED", "MODALITY", two),
        ("test", "vqa-rad-test-5", "What is it?", "a cyst", "OPEN", "ABN", one),
    ]


def test_an_empty_answer_of_slake_is_kept_and_counted(here: Path) -> None:
    folder = drawn.write_slake(here / "slake")
    path = folder / "train.json"
    rows = json.loads(path.read_text())
    before = counts(built("slake", folder))["train"]
    changed = next(row for row in rows if row["q_lang"] == "en")
    changed.update(answer="", answer_type="OPEN")
    path.write_text(json.dumps(rows))
    summary = built("slake", folder)
    assert counts(summary)["train"].rows == before.rows
    assert "malformed row" not in dropped(summary, "read")
    assert [answer for _, answer in map(said, rows_of("slake", "train"))].count("") == 1
    assert any("1 row has an empty answer in the source" in note for note in summary.notes)


def test_the_card_cites_the_benchmark_itself_and_shows_one_row(here: Path) -> None:
    built("slake", drawn.write_slake(here / "slake"))
    card = Path("llava-med/slake/README.md").read_text()
    assert "@inproceedings{liu2021slake," in card
    assert card.index("liu2021slake") < card.index("li2023llavamed")
    assert "![The image of one row](example.jpg)" in card
    shown = rows_of("slake", "train")[0]["images"][0]["bytes"]
    assert Path("llava-med/slake/example.jpg").read_bytes() == shown


def test_slake_in_both_languages_with_its_images_in_an_archive(here: Path) -> None:
    built("slake", drawn.write_slake(here / "slake", zipped=True), language="all")
    for number, split in enumerate(("train", "validation", "test")):
        english, chinese = rows_of("slake", split)
        assert (english["language"], chinese["language"]) == ("en", "zh")
        assert said(chinese) == ("这是CT吗?", "是的")
        assert english["images"] == [{"bytes": picture(number), "path": f"xmlab{number}/source.jpg"}]
        assert english["domain"] == "chest_xray"


@pytest.mark.parametrize("as_json", [False, True])
def test_pathvqa_from_pickles_and_from_json(here: Path, as_json: bool) -> None:
    summary = built("path-vqa", drawn.write_path(here / "pvqa", as_json=as_json))
    assert counts(summary) == dict.fromkeys(("train", "validation", "test"), Counts(1, 3, 1, 2))
    assert [row["id"] for row in rows_of("path-vqa", "validation")] == [
        f"path-vqa-validation-{number:05d}" for number in (1, 2, 3)
    ]
    assert rows_of("path-vqa", "test")[0]["images"] == [{"bytes": picture(2), "path": "test_0001"}]
    assert any("evaluation log states 832" in note for note in summary.notes)
    card = Path("llava-med/path-vqa/README.md").read_text()
    assert "The authors' files state no licence" in card
    assert "\nlicense: unknown\n" in card


def test_a_copy_without_types_says_so_and_joins_them_from_the_original(here: Path) -> None:
    copy = drawn.write_rad_hub(here / "copy")
    summary = built("vqa-rad", copy)
    assert counts(summary) == {"train": Counts(1, 2, None, None), "test": Counts(2, 2, None, None)}
    assert any("1,793 training and 451 test rows" in note for note in summary.notes)
    assert any("the answer type of 4 of 4 rows: it is null there" in note for note in summary.notes)
    assert {row["answer_type"] for row in rows_of("vqa-rad", "test")} == {None}
    before = [row["id"] for row in rows_of("vqa-rad", "test")]
    joined = built("vqa-rad", copy, original=str(drawn.write_rad_public(here / "rad")))
    assert counts(joined) == {"train": Counts(1, 2, 1, 1), "test": Counts(2, 2, 1, 1)}
    rows = rows_of("vqa-rad", "test")
    assert [row["id"] for row in rows] == before
    assert [(row["answer_type"], row["question_type"]) for row in rows] == [
        ("CLOSED", "MODALITY"),
        ("OPEN", "ABN"),
    ]
    assert [row["images"][0]["bytes"] for row in rows] == [picture(2), picture(1)]


def test_original_files_are_refused_where_they_add_nothing(here: Path) -> None:
    own = drawn.write_rad_public(here / "rad")
    for _ in range(2):  # the second time from the work folder
        with pytest.raises(UsageError, match=r"--original does nothing for vqa-rad"):
            run("vqa-rad", own, original=str(own))


def test_lost_and_corrupt_images_are_named(here: Path) -> None:
    folder = drawn.write_path(here / "pvqa")
    (folder / "images" / "train" / "train_0001.jpg").unlink()
    write(folder / "images" / "val" / "val_0001.jpg", picture(1)[:-300])
    summary = built("path-vqa", folder)
    assert dropped(summary, "acquire") == {"image missing": 3, "image truncated": 3}
    assert counts(summary) == {"test": Counts(1, 3, 1, 2)}
    (acquire,) = (here / ".llavamed").glob("benchmark-*/path-vqa/acquire")
    lines = list(csv.DictReader((acquire / "lost.csv").open()))
    assert [(line["pair_id"], line["reason"]) for line in lines] == [
        ("train_0001", "image missing"),
        ("val_0001", "image truncated"),
    ]
    assert Counter(pq.read_table(acquire / "dropped.parquet")["reason"].to_pylist()) == {
        "image missing": 3,
        "image truncated": 3,
    }


def test_images_may_lie_elsewhere(here: Path) -> None:
    folder = drawn.write_rad_pair(here / "rad")
    (folder / "images").rename(here / "elsewhere")
    with pytest.raises(LlavaMedError, match="all was dropped"):
        built("vqa-rad", folder)
    assert not Path("llava-med").exists()
    assert built("vqa-rad", folder, images="elsewhere").datasets[0].rows == 4


def test_the_same_files_give_the_same_bytes_and_a_rerun_does_nothing(here: Path) -> None:
    folder = drawn.write_path(here / "pvqa")
    built("path-vqa", folder)
    first = digests(here / "llava-med")
    stamp = (here / "llava-med/path-vqa/README.md").stat().st_mtime_ns
    assert all(step.manifest.skipped for step in built("path-vqa", folder).steps)
    assert (here / "llava-med/path-vqa/README.md").stat().st_mtime_ns == stamp
    build(["path-vqa"], BuildOptions(source="pvqa", out=here / "b", work=here / "c"), LocalEngine(workers=1))
    assert digests(here / "b") == first
    write(folder / "images" / "test" / "test_0001.jpg", picture(7))
    assert [step.manifest.skipped for step in built("path-vqa", folder).steps] == [True, False, False]
    assert rows_of("path-vqa", "test")[0]["images"][0]["bytes"] == picture(7)


@pytest.mark.parametrize("form", ["files", "hub"])
def test_the_work_and_the_datasets_may_lie_inside_the_source(here: Path, form: str) -> None:
    """What runs write there is neither an image nor a split of the benchmark, in the first run or a later one."""
    folder = drawn.write_rad_pair(here / "rad") if form == "files" else drawn.write_rad_hub(here / "rad")
    outside = run("vqa-rad", folder)
    for _ in range(2):
        inside = run("vqa-rad", folder, work=folder / "work", out=folder / "out")
        assert counts(inside) == counts(outside)
        assert [step.tally for step in inside.steps] == [step.tally for step in outside.steps]
    assert all(step.manifest.skipped for step in inside.steps)
    again = run("vqa-rad", folder, work=folder / "another", out=folder / "out")
    assert counts(again) == counts(outside)
    shard = next((folder / "out/vqa-rad/data").glob("train-*"))
    shard.write_bytes(shard.read_bytes() + b"an edit")
    run("vqa-rad", folder, work=folder / "third", out=folder / "out")
    assert (folder / "out/kept/vqa-rad-1/data" / shard.name).is_file()
    again = run("vqa-rad", folder, work=folder / "fourth", out=folder / "out")
    assert counts(again) == counts(outside)


def test_a_built_benchmark_is_exported_split_by_split(here: Path) -> None:
    built("slake", drawn.write_slake(here / "slake"))
    exported = export_dataset("llava-med/slake", "llava", here / "exported")
    assert exported.rows == {"train": 1, "validation": 1, "test": 1}


@pytest.mark.parametrize("source", ["slake", "pvqa"])
def test_the_metadata_beside_the_card_are_valid_and_lead_to_the_rows(here: Path, source: str) -> None:
    name = {"slake": "slake", "pvqa": "path-vqa"}[source]
    built(name, drawn.write_slake(here / source) if name == "slake" else drawn.write_path(here / source))
    dataset = mlcroissant.Dataset(jsonld=f"llava-med/{name}/croissant.json")
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    for split in ("train", "validation", "test"):
        rows = rows_of(name, split)
        read = list(dataset.records(split))
        assert [got[f"{split}/id"].decode() for got in read] == [row["id"] for row in rows]
        assert [got[f"{split}/answer_type"].decode() for got in read] == [row["answer_type"] for row in rows]


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (
            ["vqa-rad"],
            {},
            "vqa-rad is not in the sample: give its folder with --source PATH, or --source hub",
        ),
        (["vqa-rad", "60k"], {"source": "x"}, "build benchmarks and recipes one after another"),
        (["vqa-rad", "slake"], {"source": "x"}, "build them one after another"),
        (["60k"], {"language": "zh"}, "are for vqa-rad, slake, path-vqa alone"),
        (["slake"], {"source": ".", "language": "fr"}, "choose --language from en, zh, all"),
        (["slake"], {"source": ".", "all_phrases": True}, "--all-phrases is for vqa-rad alone"),
        (["slake"], {"source": "."}, "holds no file of SLAKE"),
    ],
)
def test_a_wrong_call_says_what_is_right(
    here: Path, names: list[str], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        build(names, BuildOptions(**options))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running_hub(tmp_path_factory.mktemp("hub") / "data") as running:
        yield running


def test_copies_on_the_hub_come_by_the_stock_client(hub: HubProcess, tmp_path: Path) -> None:
    """Parquet with images in the rows, and JSON with the images in an archive beside it: the two forms on the Hub."""
    api = HfApi(endpoint=hub.address, token=hub.token("ada"))
    drawn.write_rad_hub(tmp_path / "rad")
    drawn.write_slake(tmp_path / "slake", zipped=True)
    commits = {}
    for name in ("rad", "slake"):
        api.create_repo(f"ada/{name}", repo_type="dataset")
        commit = api.upload_folder(repo_id=f"ada/{name}", repo_type="dataset", folder_path=tmp_path / name)
        commits[name] = commit.oid
    environment = hub.environment(None, tmp_path / "home") | {"HF_HUB_OFFLINE": "0"}
    done = llavamed("build", "vqa-rad", "--source", "ada/rad", "--json", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # no bars where nobody watches
    assert [split["built"]["rows"] for split in json.loads(done.stdout)["datasets"][0]["table_8"]] == [2, 2]
    source = "hf://datasets/ada/slake"
    done = llavamed("build", "slake", "--source", source, "--language", "all", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "1 (96)" not in done.stdout  # Table 8 counts English alone
    for name, repo, image in (("vqa-rad", "rad", 2), ("slake", "slake", 2)):
        path = tmp_path / "llava-med" / name / "data" / "test-00000-of-00001.parquet"
        row = pq.read_table(path).to_pylist()[0]
        assert row["provenance"]["source"] == f"ada/{repo}@{commits[repo]}"
        assert row["images"][0]["bytes"] == picture(image)


def test_hub_stands_for_the_copy_that_users_have(hub: HubProcess, tmp_path: Path) -> None:
    environment = hub.environment(None, tmp_path / "home") | {"HF_HUB_OFFLINE": "0"}
    done = llavamed("build", "vqa-rad", "--source", "hub", cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert (
        "error: 'flaviagiammarino/vqa-rad' is not a folder here, and the Hub does not give it" in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_the_table_stands_beside_the_paper_s(here: Path) -> None:
    shown = io.StringIO()
    show_build(run("vqa-rad", drawn.write_rad_pair(here / "rad")), Console(file=shown, width=120))
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert "split (Table 8) images rows open closed" in lines
    assert "train 1 (313) 2 (1,797) 1 (770) 1 (1,027)" in lines
    assert "test 2 (203) 2 (451) 1 (179) 1 (272)" in lines
