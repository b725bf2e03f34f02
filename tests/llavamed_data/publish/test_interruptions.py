"""Whatever interrupts a publication: a rerun sends the rest, and no reader ever sees half a dataset."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub.hf_api import RepoFile

from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import files_in
from tests.servers.hub import HubFault, HubProcess

pytestmark = pytest.mark.slow

DATA_UPLOAD = {True: "POST /_xet/v1/xorbs", False: "PUT /_lfs"}
QUICK_TO_GIVE_UP = (("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1"), ("HF_XET_CLIENT_RETRY_MAX_DURATION", "1s"))


@pytest.fixture
def own_ada(own_hub: HubProcess, tmp_path: Path, xet: bool) -> Client:
    """A user of a Hub that may be killed."""
    return Client(own_hub, tmp_path, xet=xet, settings=QUICK_TO_GIVE_UP)


def data_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.startswith("data/")}


def check_published_once(client: Client, folder: Path, repo_id: str, *titles: str) -> None:
    """The branch has the dataset byte for byte and one commit for it, and the Hub holds no data twice."""
    assert data_of(client.files(repo_id)) == data_of(files_in(folder))
    assert client.commits(repo_id) == [*titles, "initial commit"]
    objects = client.hub.data / "objects"
    held = sum(path.stat().st_size for kind in ("lfs", "xorbs") for path in (objects / kind).iterdir())
    assert held <= 1.02 * sum(map(len, data_of(files_in(folder)).values()))


def test_a_server_that_crashes_during_the_upload_gets_the_rest_when_it_is_back(
    own_ada: Client, own_hub: HubProcess, new_set: Callable[..., Path], xet: bool
) -> None:
    folder = new_set(rows=24, shard_rows=6)
    own_hub.faults(HubFault(DATA_UPLOAD[xet], "crash"))
    command = own_ada.start(folder, "--repo-id", "med-lab/set", "--tag", "v1")
    assert own_hub.wait(60) == 9
    command.kill()
    own_hub.start()
    assert own_ada.files("med-lab/set") == {}
    since = len(own_hub.log())
    held = sum(1 for _ in (own_hub.data / "objects" / "lfs").iterdir())
    assert own_ada.publish(folder, "--repo-id", "med-lab/set", "--tag", "v1").code == 0
    check_published_once(own_ada, folder, "med-lab/set", "Publish 60k-im v1")
    assert own_ada.files("med-lab/set", "v1") == own_ada.files("med-lab/set")
    if not xet:
        assert held == 3
        assert sum(line["method"] == "PUT" for line in own_hub.log()[since:]) == 1


def test_a_server_that_does_not_come_back_ends_the_command_with_one_line(
    own_hub: HubProcess, tmp_path: Path, new_set: Callable[..., Path]
) -> None:
    """Xet is set to give up soon; by LFS the client waits 25 s and prints the same line."""
    own_hub.faults(HubFault(DATA_UPLOAD[True], "crash"))
    run = Client(own_hub, tmp_path, settings=QUICK_TO_GIVE_UP).publish(new_set(), "--repo-id", "med-lab/set")
    assert "rerun the same command, what was sent is kept" in run.error()


def test_a_server_that_crashes_after_the_commit_before_it_answers(
    own_ada: Client, own_hub: HubProcess, new_set: Callable[..., Path]
) -> None:
    folder = new_set()
    own_hub.faults(HubFault("POST .*/commit/", "crash unanswered"))
    run = own_ada.publish(folder, "--repo-id", "med-lab/set", "--tag", "v1")
    assert "rerun the same command" in run.error()
    own_hub.wait(10)
    own_hub.start()
    report = own_ada.publish(folder, "--repo-id", "med-lab/set", "--tag", "v1", "--json").report
    assert not report["changed"]
    assert report["tagged"]
    check_published_once(own_ada, folder, "med-lab/set", "Publish 60k-im v1")


def test_a_rerun_of_a_killed_command_sends_only_the_rest(
    own_ada: Client, own_hub: HubProcess, new_set: Callable[..., Path], xet: bool
) -> None:
    folder = new_set(rows=24, shard_rows=6)
    own_hub.faults(HubFault("POST .*/commit/", "hold"))
    command = own_ada.start(folder, "--repo-id", "med-lab/set")
    own_hub.wait_until_held()
    command.kill()
    own_hub.kill()
    own_hub.start()
    since = len(own_hub.log())
    assert own_ada.publish(folder, "--repo-id", "med-lab/set").code == 0
    check_published_once(own_ada, folder, "med-lab/set", "Publish 60k-im")
    if xet:
        assert own_hub.received(since) < 0.2 * sum(map(len, files_in(folder).values()))


@pytest.mark.parametrize("code", [500, 503])
def test_a_request_to_a_busy_server_is_repeated(
    own_ada: Client, own_hub: HubProcess, new_set: Callable[..., Path], code: int, xet: bool
) -> None:
    folder = new_set()
    client = replace(own_ada, settings=())
    own_hub.faults(
        HubFault(DATA_UPLOAD[xet], "status", code=code), HubFault("POST .*/preupload/", "status", code=code)
    )
    assert client.publish(folder, "--repo-id", "med-lab/set").code == 0
    check_published_once(client, folder, "med-lab/set", "Publish 60k-im")


def test_a_broken_connection_is_made_again(
    own_ada: Client, own_hub: HubProcess, new_set: Callable[..., Path], xet: bool
) -> None:
    folder = new_set(rows=6)
    own_hub.faults(HubFault(DATA_UPLOAD[xet], "reset"))
    client = replace(own_ada, settings=())
    if client.publish(folder, "--repo-id", "med-lab/set").code:
        assert client.publish(folder, "--repo-id", "med-lab/set").code == 0
    check_published_once(client, folder, "med-lab/set", "Publish 60k-im")


def test_a_commit_that_fails_changes_nothing_and_a_rerun_sends_no_data(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path], xet: bool
) -> None:
    client = replace(ada, xet=xet)
    folder = new_set(first=400)
    hub.faults(HubFault("POST .*/commit/", "status", code=503, times=9))
    error = client.publish(folder, "--repo-id", repo).error()
    assert (
        error
        == "the Hub failed while committing the files (503): rerun the same command, what was sent is kept"
    )
    assert client.files(repo) == {}
    hub.faults()
    since = len(hub.log())
    assert client.publish(folder, "--repo-id", repo).code == 0
    assert data_of(client.files(repo)) == data_of(files_in(folder))
    assert hub.received(since) < 0.1 * sum(map(len, files_in(folder).values()))


def test_a_second_publisher_does_not_overwrite_the_first(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    one, other = new_set("one/60k-im", first=500), new_set("other/60k-im", first=520)
    ada.publish(new_set("base/60k-im"), "--repo-id", repo)
    hub.faults(HubFault(f"POST /api/datasets/{repo}/commit/", "hold"))
    late = ada.start(one, "--repo-id", repo)
    hub.wait_until_held()
    assert replace(ada, home=_home(ada, "other")).publish(other, "--repo-id", repo).code == 0
    hub.faults()
    assert (
        late.finish().error().startswith(f"somebody else changed {repo} meanwhile, and nothing was published")
    )
    assert data_of(ada.files(repo)) == data_of(files_in(other))
    assert ada.publish(one, "--repo-id", repo).code == 0
    assert data_of(ada.files(repo)) == data_of(files_in(one))


def _home(client: Client, name: str) -> Path:
    home = client.home / name
    home.mkdir(exist_ok=True)
    return home


def test_a_reader_sees_the_old_version_or_the_new_one_and_nothing_between(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path], xet: bool
) -> None:
    client = replace(ada, xet=xet)
    old, new = new_set("old/60k-im", first=600), new_set("new/60k-im", first=620, rows=18)
    assert client.publish(old, "--repo-id", repo).code == 0
    hub.faults(HubFault(DATA_UPLOAD[xet], "delay", seconds=0.5, times=9))
    seen: list[dict[str, int]] = []
    command = client.start(new, "--repo-id", repo)

    def look() -> None:
        while command.running:
            tree = client.api.list_repo_tree(repo, repo_type="dataset", recursive=True)
            seen.append({each.path: each.size for each in tree if isinstance(each, RepoFile)})

    reader = threading.Thread(target=look)
    reader.start()
    assert command.finish().code == 0
    reader.join()
    versions = [
        {name: len(data) for name, data in data_of(files_in(folder)).items()} for folder in (old, new)
    ]
    assert len(seen) > 5
    assert all({name: tree[name] for name in tree if name.startswith("data/")} in versions for tree in seen)
