"""What `publish` never replaces without `--replace`: another dataset, and what people changed on the Hub."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hub_cards import with_shards
from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import files_in
from tests.llavamed_data.publish.test_publish import SHARDS, writes
from tests.servers.hub import HubProcess


def edit(client: Client, repo: str, name: str, data: bytes, title: str = "Update README.md") -> None:
    client.api.upload_file(
        path_or_fileobj=data, path_in_repo=name, repo_id=repo, repo_type="dataset", commit_message=title
    )


def test_another_dataset_is_replaced_only_on_demand(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    first, other = new_set("vqa-rad"), new_set("eval", first=40)
    assert ada.publish(first, "--repo-id", repo, "--tag", "v1").code == 0
    before, since = ada.files(repo), len(hub.log())
    error = ada.publish(other, "--repo-id", repo).error()
    assert error.startswith(f"{repo} holds another dataset (vqa-rad v1; this is eval), so nothing was sent")
    assert "--replace" in error
    assert writes(hub, since) == []
    assert ada.files(repo) == before
    assert ada.publish(other, "--repo-id", repo, "--replace").code == 0
    assert {name: data for name, data in ada.files(repo).items() if name in SHARDS} == {
        name: data for name, data in files_in(other).items() if name in SHARDS
    }


def test_the_metadata_tell_two_datasets_of_one_folder_name_apart(
    ada: Client, repo: str, new_set: Callable[..., Path]
) -> None:
    first, renamed, other = new_set("a/mine"), new_set("b/renamed"), new_set("c/mine", first=40)
    for folder, name in ((first, "llava-med-10k"), (renamed, "llava-med-10k"), (other, "llava-med-60k")):
        (folder / "croissant.json").write_text(f'{{"name": "{name}"}}')
    assert ada.publish(first, "--repo-id", repo).code == 0
    assert ada.publish(renamed, "--repo-id", repo).code == 0
    assert "(llava-med-10k; this is llava-med-60k)" in ada.publish(other, "--repo-id", repo).error()


@pytest.mark.parametrize("name", ["README.md", SHARDS[0]])
def test_what_was_changed_on_the_hub_is_overwritten_only_on_demand(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path], name: str
) -> None:
    folder = new_set()
    assert ada.publish(folder, "--repo-id", repo).code == 0
    edited = ada.files(repo)[name] + b"\nChecked by Ada.\n"
    edit(ada, repo, name, edited)
    since = len(hub.log())
    for again in (folder, new_set("new/60k-im", changed=[3])):
        error = ada.publish(again, "--repo-id", repo).error()
        assert error.startswith(
            f"{repo} was changed on the Hub since it was published ({name}), so nothing was"
        )
    assert "--replace" in error
    assert writes(hub, since) == []
    assert ada.files(repo)[name] == edited
    assert ada.publish(folder, "--repo-id", repo, "--replace").code == 0
    assert ada.files(repo)[name] != edited
    assert ada.publish(folder, "--repo-id", repo).code == 0


def test_an_edit_that_was_taken_over_is_no_obstacle(
    ada: Client, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    assert ada.publish(folder, "--repo-id", repo).code == 0
    edited = ada.files(repo)["README.md"] + b"\nChecked by Ada.\n"
    edit(ada, repo, "README.md", edited)
    (folder / "README.md").write_bytes(edited)
    assert ada.publish(folder, "--repo-id", repo).code == 0
    assert ada.files(repo)["README.md"] == edited


def test_a_file_that_somebody_added_on_the_hub_stays(
    ada: Client, repo: str, new_set: Callable[..., Path]
) -> None:
    assert ada.publish(new_set(), "--repo-id", repo).code == 0
    edit(ada, repo, "NOTES.md", b"mine\n", "Add notes")
    new = new_set("new/60k-im", changed=[3])
    report = ada.publish(new, "--repo-id", repo, "--json").report
    assert {file["name"]: file["fate"] for file in report["files"]}["NOTES.md"] == "kept"
    assert ada.files(repo)["NOTES.md"] == b"mine\n"
    assert not ada.publish(new, "--repo-id", repo, "--json").report["changed"]
    assert ada.publish(new, "--repo-id", repo, "--replace").code == 0
    assert "NOTES.md" not in ada.files(repo)


def test_a_branch_whose_history_is_gone_is_not_overwritten(
    ada: Client, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    ada.api.create_repo(repo, repo_type="dataset")
    ada.api.upload_folder(folder_path=str(folder), repo_id=repo, repo_type="dataset", commit_message="Squash")
    assert (
        "was changed on the Hub" in ada.publish(new_set("n/60k-im", changed=[1]), "--repo-id", repo).error()
    )


def test_a_shard_that_was_damaged_on_the_hub_is_found_by_its_digest(
    ada: Client, repo: str, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SHARDS}
    (folder / "croissant.json").write_text(with_shards('{"name": "a", "distribution": []}', digests))
    assert ada.publish(folder, "--repo-id", repo).code == 0
    script = f"""
        from llavamed_data.validation import validate
        report = validate({repo!r})
        print(report.digests, *(fault.file for fault in report.faults if fault.check == "digests"))
    """
    assert ada.python(script).split() == ["2"]
    damaged = bytearray((folder / SHARDS[1]).read_bytes())
    damaged[-5] ^= 4
    edit(ada, repo, SHARDS[1], bytes(damaged))
    assert ada.python(script).split() == ["2", SHARDS[1]]


def test_all_datasets_are_checked_before_the_first_is_sent(
    ada: Client, hub: HubProcess, tmp_path: Path, repo: str, new_set: Callable[..., Path]
) -> None:
    name = repo.split("/")[1]
    new_set(f"{name}-a")
    folder = new_set(f"{name}-b")
    assert ada.publish(folder, "--repo-id", f"{repo}-b").code == 0
    edit(ada, f"{repo}-b", "README.md", ada.files(f"{repo}-b")["README.md"] + b"edited\n")
    since = len(hub.log())
    error = ada.publish(tmp_path / "llava-med", "--all", "--org", "med-lab").error()
    assert f"{repo}-b was changed on the Hub" in error
    assert writes(hub, since) == []
