"""What publishing a dataset for the first time, and again, does on the Hub."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from llavamed_data.cli.datasets import publish
from llavamed_data.errors import UsageError
from llavamed_data.stats import statistics, write_report
from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import files_in
from tests.servers.hub import HubFault, HubProcess

SHARDS = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]


def writes(hub: HubProcess, since: int) -> list[str]:
    """Requests after number `since` that changed something or carried data."""
    return [
        f"{line['method']} {line['path']}"
        for line in hub.log()[since:]
        if line["method"] in ("POST", "PUT", "DELETE") and line["path"] != "/api/validate-yaml"
    ]


def test_what_is_published_is_what_lies_here(
    hub: HubProcess, tmp_path: Path, dataset: Path, repo: str, xet: bool
) -> None:
    client = Client(hub, tmp_path, xet=xet)
    report = client.publish(dataset, "--repo-id", repo, "--tag", "v1.0", "--json").report
    here = files_in(dataset)
    there = client.files(repo)
    assert {name: there[name] for name in SHARDS} == {name: here[name] for name in SHARDS}
    assert there["README.md"].decode() == here["README.md"].decode().replace("llava-med/60k-im", repo)
    assert sorted(there) == ["README.md", *SHARDS]
    assert client.files(repo, "v1.0") == there
    assert client.commits(repo) == ["Publish 60k-im v1.0", "initial commit"]
    assert report["created"]
    assert report["commit"] == client.api.dataset_info(repo).sha
    assert report["load"] == f'load_dataset("{repo}", split="train", revision="v1.0")'
    assert report["new_bytes"] == sum(map(len, there.values()))


def test_the_published_card_shows_the_pictures_of_the_report(
    ada: Client, dataset: Path, repo: str, tmp_path: Path
) -> None:
    here = tmp_path / "with-report" / "60k-im"
    shutil.copytree(dataset, here)
    write_report(statistics([str(here)], verbs=False), here / "stats")
    assert ada.publish(here, "--repo-id", repo).code == 0
    there = ada.files(repo)
    shown = re.findall(r"!\[([^]]*)\]\((.*)\)", there["README.md"].decode())
    assert ("Images", "stats/images-by-domain.png") in shown
    assert all(there[path].startswith(b"\x89PNG") for _, path in shown)
    assert "stats/index.html" in there
    assert "![" not in (here / "README.md").read_text(encoding="utf-8")
    (here / "stats" / "captions.json").write_text("[]", encoding="utf-8")
    refused = ada.publish(here, "--repo-id", repo)
    assert refused.code == 1
    assert "captions.json is damaged" in refused.err


def test_a_dry_run_lists_the_files_and_sends_nothing(
    ada: Client, hub: HubProcess, dataset: Path, repo: str
) -> None:
    since = len(hub.log())
    run = ada.publish(dataset, "--repo-id", repo, "--dry-run")
    assert run.code == 0
    assert f"{repo}: new public repository, branch main" in run.out
    assert all(name in run.out for name in ["README.md", *SHARDS])
    assert "a dry run: nothing was sent" in run.out
    assert writes(hub, since) == []
    assert not ada.api.repo_exists(repo, repo_type="dataset")


@pytest.mark.slow
def test_nothing_is_sent_if_nothing_changed(
    hub: HubProcess, tmp_path: Path, dataset: Path, repo: str, xet: bool
) -> None:
    client = Client(hub, tmp_path, xet=xet)
    first = client.publish(dataset, "--repo-id", repo, "--json").report
    since = len(hub.log())
    again = client.publish(dataset, "--repo-id", repo)
    assert again.code == 0
    assert "nothing changed: all 3 files are on the Hub already" in again.out
    assert f'load_dataset("{repo}", split="train")' in again.out
    assert writes(hub, since) == []
    assert client.publish(dataset, "--repo-id", repo, "--json").report["commit"] == first["commit"]


def test_a_tag_can_come_later_without_sending_data(
    ada: Client, hub: HubProcess, dataset: Path, repo: str
) -> None:
    quiet = ada.publish(dataset, "--repo-id", repo, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    since = len(hub.log())
    report = ada.publish(dataset, "--repo-id", repo, "--tag", "v1.0", "--json").report
    assert report["tagged"]
    assert [path.split("?")[0].split("/tag/")[0] for path in writes(hub, since)] == [
        f"POST /api/datasets/{repo}"
    ]
    assert ada.files(repo, "v1.0") == ada.files(repo)


def test_shards_of_an_older_version_are_deleted_in_the_same_commit(
    hub: HubProcess, tmp_path: Path, repo: str, new_set: Callable[..., Path], xet: bool
) -> None:
    client = Client(hub, tmp_path, xet=xet)
    old = new_set("old/60k-im", rows=12, shard_rows=4)
    new = new_set("60k-im", rows=8, shard_rows=4)
    assert client.publish(old, "--repo-id", repo, "--tag", "v1").code == 0
    report = client.publish(new, "--repo-id", repo, "--json").report
    assert sorted(client.files(repo)) == sorted(files_in(new))
    assert client.commits(repo) == ["Publish 60k-im", "Publish 60k-im v1", "initial commit"]
    deleted = [file["name"] for file in report["files"] if file["fate"] == "deleted"]
    assert deleted == sorted(set(files_in(old)) - set(files_in(new)))
    assert len(deleted) == 3  # all three of three: the names count the shards
    assert {n: d for n, d in client.files(repo, "v1").items() if n != "README.md"} == {
        n: d for n, d in files_in(old).items() if n != "README.md"
    }


def test_a_shard_that_only_changed_its_name_is_not_sent_again(
    hub: HubProcess, tmp_path: Path, repo: str, new_set: Callable[..., Path]
) -> None:
    client = Client(hub, tmp_path, xet=False)
    folder = new_set(rows=12, shard_rows=6)
    assert client.publish(folder, "--repo-id", repo).code == 0
    grown = new_set("grown/60k-im", rows=12, shard_rows=6)
    for index in range(2):
        (grown / SHARDS[index]).rename(grown / f"data/train-{index:05d}-of-00003.parquet")
    extra = new_set("extra", first=50, rows=6, shard_rows=6)
    (extra / "data/train-00000-of-00001.parquet").rename(grown / "data/train-00002-of-00003.parquet")
    card = grown / "README.md"
    card.write_text(card.read_text().replace("num_examples: 12", "num_examples: 18"))
    since = len(hub.log())
    report = client.publish(grown, "--repo-id", repo, "--json").report
    assert [f["fate"] for f in report["files"] if f["name"].endswith("-of-00003.parquet")] == [
        "moved",
        "moved",
        "new",
    ]
    sent = [line["received"] for line in hub.log()[since:] if line["method"] == "PUT"]
    assert sent == [(grown / "data/train-00002-of-00003.parquet").stat().st_size]


def test_only_the_owner_sees_a_private_set(
    ada: Client, hub: HubProcess, tmp_path: Path, dataset: Path, repo: str
) -> None:
    report = ada.publish(dataset, "--repo-id", repo, "--private", "--json").report
    assert report["private"]
    assert ada.api.dataset_info(repo).private
    for account in ("eve", None):
        assert not Client(hub, tmp_path, account).api.repo_exists(repo, repo_type="dataset")
    again = ada.publish(dataset, "--repo-id", repo, "--json").report
    assert again["private"]


def test_a_set_that_is_to_be_private_is_not_published_in_a_public_repository(
    ada: Client, hub: HubProcess, dataset: Path, repo: str
) -> None:
    ada.api.create_repo(repo, repo_type="dataset")
    since = len(hub.log())
    assert (
        f"{repo} is public, but is to be private"
        in ada.publish(dataset, "--repo-id", repo, "--private").error()
    )
    assert writes(hub, since) == []


def test_another_branch_leaves_main_alone(
    ada: Client, dataset: Path, repo: str, new_set: Callable[..., Path]
) -> None:
    ada.publish(dataset, "--repo-id", repo)
    before = ada.files(repo)
    changed = new_set(changed=[3])
    report = ada.publish(changed, "--repo-id", repo, "--branch", "next/1", "--json").report
    assert ada.files(repo) == before
    assert ada.api.dataset_info(repo, revision="next/1").sha == report["commit"]
    assert report["load"] == f'load_dataset("{repo}", split="train", revision="next/1")'
    same = ada.publish(dataset, "--repo-id", repo, "--branch", "copy", "--json").report
    assert not same["changed"]
    assert ada.api.dataset_info(repo, revision="copy").sha == ada.api.dataset_info(repo).sha


def test_a_tag_never_moves_to_other_data(
    ada: Client, hub: HubProcess, dataset: Path, repo: str, new_set: Callable[..., Path]
) -> None:
    ada.publish(dataset, "--repo-id", repo, "--tag", "v1.0")
    since = len(hub.log())
    run = ada.publish(new_set(changed=[3]), "--repo-id", repo, "--tag", "v1.0")
    assert f"{repo} has a version v1.0 with other data" in run.error()
    assert writes(hub, since) == []


def test_files_of_other_origin_are_replaced_only_on_demand(ada: Client, dataset: Path, repo: str) -> None:
    ada.api.create_repo(repo, repo_type="dataset")
    ada.api.upload_file(path_or_fileobj=b"a,b\n", path_in_repo="mine.csv", repo_id=repo, repo_type="dataset")
    assert (
        f"{repo} holds files that this toolkit did not build (mine.csv)"
        in ada.publish(dataset, "--repo-id", repo).error()
    )
    assert sorted(ada.files(repo)) == ["mine.csv"]
    assert ada.publish(dataset, "--repo-id", repo, "--replace").code == 0
    assert sorted(ada.files(repo)) == ["README.md", *SHARDS]


def test_a_faulty_set_is_refused_before_anything_is_sent(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    shard = folder / SHARDS[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    since = len(hub.log())
    error = ada.publish(folder, "--repo-id", repo).error()
    assert f"{folder} is faulty, so nothing was sent: {SHARDS[1]}" in error
    assert writes(hub, since) == []


def test_a_card_that_the_hub_refuses_is_found_before_data_are_sent(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    card = folder / "README.md"
    card.write_text(card.read_text().replace("license: cc-by-nc-4.0", "license: CC BY-NC!"))
    since = len(hub.log())
    error = ada.publish(folder, "--repo-id", repo).error()
    assert "license" in error
    assert writes(hub, since) == []


def test_hidden_files_are_not_published_and_links_that_lead_out_are_refused(
    ada: Client, tmp_path: Path, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    (folder / ".env").write_text("SECRET=1")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("x")
    assert ada.publish(folder, "--repo-id", repo).code == 0
    assert sorted(ada.files(repo)) == ["README.md", *SHARDS]
    (tmp_path / "key").write_text("PRIVATE KEY")
    (folder / "notes.txt").symlink_to(tmp_path / "key")
    run = ada.publish(folder, "--repo-id", repo)
    assert run.code == 2
    assert "is a link that leads out of" in run.err
    assert sorted(ada.files(repo)) == ["README.md", *SHARDS]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repo-id", "60k-im"],
        ["--repo-id", "a/b/c"],
        ["--repo-id", "../x"],
        ["--repo-id", "med-lab/x", "--tag", "a..b"],
        ["--repo-id", "med-lab/x", "--branch", "-x"],
        ["--repo-id", "med-lab/x", "--org", "med-lab"],
        ["--all"],
        ["--all", "--org", "med-lab", "--repo-id", "med-lab/x"],
        [],
    ],
)
def test_a_wrong_call_is_refused_before_anything_else(dataset: Path, arguments: list[str]) -> None:
    command = typer.Typer()
    command.command()(publish)
    with pytest.raises(UsageError):
        command([str(dataset), *arguments], standalone_mode=False)


def test_a_file_that_changes_after_it_was_checked_is_not_published(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set(first=700)
    client = dataclasses.replace(ada, xet=False)
    hub.faults(HubFault("PUT /_lfs", "hold"))
    process = client.start(folder, "--repo-id", repo)
    hub.wait_until_held()
    shard = folder / SHARDS[0]
    shard.write_bytes(shard.read_bytes() + b" ")
    hub.faults()
    assert "changed while it was published, so nothing was published" in process.finish().error()
    assert client.files(repo) == {}


def test_progress_counts_rows_and_megabytes(ada: Client, repo: str, new_set: Callable[..., Path]) -> None:
    folder = new_set(rows=130, shard_rows=130, first=3000)
    out = ada.python(f"""
        from llavamed_data.publish import publish
        publish({str(folder)!r}, {repo!r}, on_progress=lambda step, done, total: print(step, done, total))
    """)
    assert out.splitlines() == [
        "validate (rows) 64 130",
        "validate (rows) 128 130",
        "validate (rows) 130 130",
        "upload (MB) 0 2",
        "upload (MB) 2 2",
    ]


@pytest.mark.parametrize(
    ("by_chunk", "least", "most", "line"),
    [
        (True, 0.01, 0.15, "of changed shards only the parts that differ are sent (Xet)"),
        (False, 0.99, 1.02, "changed shards are sent whole (LFS): with hf_xet only the parts that differ"),
    ],
    ids=["xet", "lfs"],
)
def test_of_a_shard_with_few_changed_rows_xet_sends_only_the_parts_that_differ(
    hub: HubProcess,
    tmp_path: Path,
    repo: str,
    new_set: Callable[..., Path],
    by_chunk: bool,
    least: float,
    most: float,
    line: str,
) -> None:
    client = Client(hub, tmp_path, xet=by_chunk)
    options = {"rows": 300, "shard_rows": 300, "first": 1000 if by_chunk else 2000}
    assert client.publish(new_set("old/60k-im", **options), "--repo-id", repo).code == 0
    new = new_set("new/60k-im", **options, changed=[options["first"] + number for number in (100, 101, 102)])
    since = len(hub.log())
    run = client.publish(new, "--repo-id", repo)
    assert line in run.out
    shard = files_in(new)["data/train-00000-of-00001.parquet"]
    assert least < hub.received(since) / len(shard) < most
    assert client.files(repo)["data/train-00000-of-00001.parquet"] == shard
