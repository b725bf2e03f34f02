"""Publishing all datasets of a folder at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import files_in
from tests.servers.hub import HubFault, HubProcess


@pytest.fixture
def root(tmp_path: Path, new_set: Callable[..., Path]) -> Path:
    """A folder of two datasets, and one folder that is no dataset."""
    new_set("10k", rows=6)
    new_set("60k", first=30, rows=6)
    (tmp_path / "llava-med" / "notes").mkdir()
    return tmp_path / "llava-med"


def test_cards_link_to_one_another_and_a_collection_holds_all_sets(
    own_hub: HubProcess, tmp_path: Path, root: Path
) -> None:
    ada = Client(own_hub, tmp_path)
    report = ada.publish(root, "--all", "--org", "med-lab", "--tag", "v1.0", "--json").report
    assert [each["load"] for each in report["datasets"]] == [
        'load_dataset("med-lab/10k", split="train", revision="v1.0")',
        'load_dataset("med-lab/60k", split="train", revision="v1.0")',
    ]
    collection = ada.api.get_collection(report["collection"].split("/collections/")[1])
    assert [(item.item_type, item.item_id) for item in collection.items] == [
        ("dataset", "med-lab/10k"),
        ("dataset", "med-lab/60k"),
    ]
    for name, other in (("10k", "60k"), ("60k", "10k")):
        card = ada.files(f"med-lab/{name}")["README.md"].decode()
        assert f"- [med-lab/{other}]({own_hub.address}/datasets/med-lab/{other})" in card
        assert f'load_dataset("med-lab/{name}"' in card
    again = ada.publish(root, "--all", "--org", "med-lab", "--tag", "v1.0", "--json").report
    assert not any(each["changed"] for each in again["datasets"])
    assert again["collection"] == report["collection"]
    alone = ada.publish(root / "10k", "--repo-id", "med-lab/10k", "--json").report
    assert not alone["changed"]


def test_no_set_is_published_while_another_is_faulty(own_hub: HubProcess, tmp_path: Path, root: Path) -> None:
    ada = Client(own_hub, tmp_path)
    next((root / "60k" / "data").iterdir()).write_bytes(b"PAR1")
    error = ada.publish(root, "--all", "--org", "med-lab").error()
    assert "is faulty, so nothing was sent" in error
    assert "60k" in error
    assert not ada.api.repo_exists("med-lab/10k", repo_type="dataset")


def test_a_hub_without_collections_is_no_failure(own_hub: HubProcess, tmp_path: Path, root: Path) -> None:
    ada = Client(own_hub, tmp_path)
    own_hub.faults(HubFault("/api/collections", "status", code=404, times=9))
    run = ada.publish(root, "--all", "--org", "ada")
    assert run.code == 0
    assert "all sets are published, but in no collection" in run.out
    assert sorted(ada.files("ada/60k")) == sorted(files_in(root / "60k"))


def test_a_public_card_does_not_name_a_private_set(own_hub: HubProcess, tmp_path: Path, root: Path) -> None:
    ada = Client(own_hub, tmp_path)
    ada.publish(root / "10k", "--repo-id", "med-lab/10k", "--private")
    ada.publish(root / "60k", "--repo-id", "med-lab/60k")
    assert "med-lab/10k" not in ada.files("med-lab/60k")["README.md"].decode()
    ada.publish(root, "--all", "--org", "med-lab")
    assert "med-lab/10k" not in ada.files("med-lab/60k")["README.md"].decode()
    assert "med-lab/60k" in ada.files("med-lab/10k")["README.md"].decode()


def test_an_empty_folder_is_a_wrong_call(ada: Client, tmp_path: Path) -> None:
    run = ada.publish(tmp_path, "--all", "--org", "med-lab")
    assert run.code == 2
    assert "holds no dataset's folder" in run.err


def test_another_users_name_is_refused(ada: Client, root: Path) -> None:
    assert (
        "eve is neither this user nor one of their organisations"
        in ada.publish(root, "--all", "--org", "eve").error()
    )
