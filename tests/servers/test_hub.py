"""The Hub of the tests answers the stock clients as the real Hub does, also where publishing does not need it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.conftest import CHECKOUT
from tests.llavamed_data.publish.client import Client
from tests.servers.hub import HubProcess, running_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running_hub(tmp_path_factory.mktemp("hub") / "data", part_bytes=100_000) as hub:
        yield hub


@pytest.fixture
def client(hub: HubProcess, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


def api(hub: HubProcess, account: str | None) -> HfApi:
    return HfApi(endpoint=hub.address, token=hub.token(account) if account else False)


@pytest.mark.parametrize("xet", [True, False])
def test_push_to_hub_and_load_dataset(hub: HubProcess, tmp_path: Path, xet: bool) -> None:
    out = Client(hub, tmp_path, xet=xet).python(f"""
        from datasets import Dataset, load_dataset
        rows = {{"number": list(range(1000)), "text": ["noise %d" % n for n in range(1000)]}}
        Dataset.from_dict(rows).push_to_hub("med-lab/pushed-{xet}", private=True)
        print(load_dataset("med-lab/pushed-{xet}", split="train")[999])
        print(next(iter(load_dataset("med-lab/pushed-{xet}", split="train", streaming=True))))
    """)
    assert out.strip().splitlines() == [
        "{'number': 999, 'text': 'noise 999'}",
        "{'number': 0, 'text': 'noise 0'}",
    ]


@pytest.mark.parametrize("xet", [True, False])
def test_upload_folder_and_snapshot_download(hub: HubProcess, tmp_path: Path, xet: bool) -> None:
    """By LFS, large files are uploaded in parts."""
    folder = tmp_path / "model"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(os.urandom(350_000))
    (folder / "zeros.bin").write_bytes(bytes(300_000))
    (folder / "floats.bin").write_bytes(b"\0\1\2\x3f" * 50_000)
    (folder / "deep" / "er" / "config.json").write_text("{}")
    out = Client(hub, tmp_path, xet=xet).python(f"""
        import filecmp, json
        from huggingface_hub import HfApi, snapshot_download
        api = HfApi()
        api.create_repo("ada/model-{xet}")
        api.upload_folder(repo_id="ada/model-{xet}", folder_path="model")
        copy = snapshot_download("ada/model-{xet}")
        names = ["model.safetensors", "zeros.bin", "floats.bin", "deep/er/config.json"]
        print(json.dumps(filecmp.cmpfiles("model", copy, names, shallow=False)))
    """)
    same, different, missing = json.loads(out.strip().splitlines()[-1])
    assert (len(same), different, missing) == (4, [], [])


def test_each_kind_of_missing_thing_has_its_own_error(hub: HubProcess) -> None:
    ada = api(hub, "ada")
    ada.create_repo("ada/things", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        ada.dataset_info("ada/none")
    with pytest.raises(RevisionNotFoundError):
        ada.dataset_info("ada/things", revision="none")
    with pytest.raises(EntryNotFoundError):
        ada.hf_hub_download("ada/things", "none", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        list(ada.list_repo_tree("ada/things", "none", repo_type="dataset"))


def test_private_and_gated_repositories(hub: HubProcess, tmp_path: Path) -> None:
    ada, ben, eve, anyone = (api(hub, account) for account in ("ada", "ben", "eve", None))
    ada.create_repo("med-lab/private", repo_type="dataset", private=True)
    ada.create_repo("med-lab/gated", repo_type="dataset")
    ada.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="med-lab/gated", repo_type="dataset")
    ada.update_repo_settings("med-lab/gated", repo_type="dataset", gated="manual")
    assert ben.dataset_info("med-lab/private").private
    for other in (eve, anyone):
        with pytest.raises(RepositoryNotFoundError):
            other.dataset_info("med-lab/private")
        with pytest.raises(GatedRepoError):
            other.hf_hub_download("med-lab/gated", "x.txt", repo_type="dataset", local_dir=tmp_path)
    assert ben.hf_hub_download("med-lab/gated", "x.txt", repo_type="dataset", local_dir=tmp_path)


@pytest.mark.parametrize("account", ["ada-read", "ben", "eve", "ada-fine"])
def test_accounts_without_the_right_cannot_write(hub: HubProcess, account: str) -> None:
    api(hub, "ada").create_repo("med-lab/closed", repo_type="dataset", exist_ok=True)
    with pytest.raises(HfHubHTTPError) as refused:
        api(hub, account).upload_file(
            path_or_fileobj=b"x", path_in_repo="x", repo_id="med-lab/closed", repo_type="dataset"
        )
    assert refused.value.response.status_code == 403


def test_a_commit_with_a_stale_parent_is_refused_and_changes_nothing(hub: HubProcess) -> None:
    ada = api(hub, "ada")
    ada.create_repo("ada/parents", repo_type="dataset")
    first = ada.dataset_info("ada/parents").sha

    def add(name: str, parent: str | None) -> None:
        operation = CommitOperationAdd(name, b"x")
        ada.create_commit(
            "ada/parents", [operation], commit_message=name, repo_type="dataset", parent_commit=parent
        )

    add("one", first)
    with pytest.raises(HfHubHTTPError) as stale:
        add("two", first)
    assert stale.value.response.status_code == 412
    assert ada.list_repo_files("ada/parents", repo_type="dataset") == [".gitattributes", "one"]


def test_branches_tags_and_deletions(hub: HubProcess) -> None:
    ada = api(hub, "ada")
    kind: dict[str, Any] = {"repo_id": "ada/refs", "repo_type": "dataset"}
    ada.create_repo(**kind)
    ada.upload_file(path_or_fileobj=b"x", path_in_repo="a/x", **kind)
    ada.create_tag(tag="v1", **kind)
    ada.create_branch(branch="side/1", revision="v1", **kind)
    ada.create_commit(operations=[CommitOperationDelete("a/")], commit_message="less", **kind)
    assert ada.list_repo_files(**kind) == [".gitattributes"]
    assert ada.list_repo_files(revision="side/1", **kind) == [".gitattributes", "a/x"]
    assert ada.list_repo_commits(**kind)[0].title == "less"
    ada.delete_branch(branch="side/1", **kind)
    ada.delete_tag(tag="v1", **kind)
    refs = ada.list_repo_refs(**kind)
    assert ([branch.name for branch in refs.branches], refs.tags) == (["main"], [])


def test_a_file_with_another_hash_than_it_states_is_refused(hub: HubProcess) -> None:
    ada = api(hub, "ada")
    ada.create_repo("ada/bytes", repo_type="dataset")
    operation = CommitOperationAdd("x.bin", b"something")
    operation.upload_info.sha256 = bytes(32)
    with pytest.raises(Exception, match="400"):
        ada.create_commit("ada/bytes", [operation], commit_message="x", repo_type="dataset")
    assert ada.list_repo_files("ada/bytes", repo_type="dataset") == [".gitattributes"]


def test_all_state_survives_a_kill(tmp_path: Path) -> None:
    with running_hub(tmp_path / "hub") as hub:
        ada = api(hub, "ada")
        ada.create_repo("ada/lasting", repo_type="dataset")
        ada.upload_file(
            path_or_fileobj=b"x" * 99, path_in_repo="x.bin", repo_id="ada/lasting", repo_type="dataset"
        )
        before = ada.dataset_info("ada/lasting", files_metadata=True)
        hub.kill()
        hub.start()
        after = ada.dataset_info("ada/lasting", files_metadata=True)
        assert (after.sha, after.siblings) == (before.sha, before.siblings)


def test_users_run_the_servers_of_the_guides_without_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import tests.servers.hub.__main__, tests.servers.openai"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT).returncode == 0
