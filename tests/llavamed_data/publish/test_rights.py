"""Who may publish where: whoever may not gets one clear line, and nothing is sent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.llavamed_data.publish.client import Client
from tests.servers.hub import HubFault, HubProcess


@pytest.fixture(autouse=True)
def check_that_nothing_is_sent(hub: HubProcess) -> object:
    since = len(hub.log())
    yield
    refused = (401, 403, 404)
    taken = [
        line
        for line in hub.log()[since:]
        if line["method"] in ("POST", "PUT") and line["status"] not in refused and "/_" in line["path"]
    ]
    assert [line["path"] for line in taken if line["path"] != "/_faults"] == []


def test_no_login(ada: Client, dataset: Path, repo: str) -> None:
    error = replace(ada, account=None).publish(dataset, "--repo-id", repo).error()
    assert error.startswith("publishing needs a login: set HF_TOKEN")


@pytest.mark.parametrize("form", ["one", "all"])
def test_what_is_wrong_here_is_said_before_a_login_is_asked_for(
    ada: Client, new_set: Callable[..., Path], repo: str, tmp_path: Path, form: str
) -> None:
    nobody = replace(ada, account=None)
    where = ("--repo-id", repo) if form == "one" else ("--all", "--org", "ada")
    missing = nobody.publish(tmp_path / "nope", *where, "--dry-run")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith(f"error: {tmp_path / 'nope'} ")
    dataset = new_set()
    (tmp_path / "secret").write_text("secret")
    (dataset / "link").symlink_to(tmp_path / "secret")
    linked = nobody.publish(dataset if form == "one" else dataset.parent, *where, "--dry-run")
    assert "is a link that leads out of" in linked.err


def test_a_token_that_nobody_has(ada: Client, dataset: Path, repo: str) -> None:
    token = "hf_" + "x" * 34
    run = replace(ada, settings=(("HF_TOKEN", token),)).publish(dataset, "--repo-id", repo)
    assert run.error().startswith("the Hub does not know the token in use")
    assert token not in run.out + run.err


@pytest.mark.parametrize("token", ["hf_two words", "hf_Ü\a"])
def test_a_text_that_cannot_be_a_token(ada: Client, dataset: Path, repo: str, token: str) -> None:
    run = replace(ada, settings=(("HF_TOKEN", token),)).publish(dataset, "--repo-id", repo)
    error = run.error()
    assert error.startswith(("the token in use has characters", "the Hub does not know the token"))
    assert token not in run.out + run.err


def test_a_token_that_can_only_read(ada: Client, dataset: Path) -> None:
    error = replace(ada, account="ada-read").publish(dataset, "--repo-id", "ada/set").error()
    assert error.startswith(
        "the token in use can only read: to publish ada/set, set HF_TOKEN to one with the right to write"
    )


def test_a_fine_grained_token_without_the_right(ada: Client, dataset: Path, repo: str) -> None:
    error = replace(ada, account="ada-fine").publish(dataset, "--repo-id", repo).error()
    assert error.startswith(f"this login has no right to {repo} (making the repository): ")


def test_an_organisation_that_the_user_does_not_belong_to(ada: Client, dataset: Path) -> None:
    error = ada.publish(dataset, "--repo-id", "other-org/set").error()
    assert error == (
        "ada may not publish other-org/set: other-org is neither this user nor one of their organisations "
        "(choose from ada, med-lab)"
    )


def test_an_organisation_in_which_the_user_can_only_read(ada: Client, dataset: Path, repo: str) -> None:
    error = replace(ada, account="ben").publish(dataset, "--repo-id", repo).error()
    assert error.startswith(f"ben may not publish {repo}: in med-lab this user can only read")


def test_another_users_private_repository(ada: Client, hub: HubProcess, dataset: Path) -> None:
    replace(ada, account="eve").api.create_repo("eve/hidden", repo_type="dataset", private=True)
    assert "eve is neither this user nor" in ada.publish(dataset, "--repo-id", "eve/hidden").error()
    error = replace(ada, account="ada-fine").publish(dataset, "--repo-id", "eve/hidden").error()
    assert error.startswith("this login has no right to eve/hidden (making the repository): ")


def test_another_users_gated_repository(ada: Client, dataset: Path) -> None:
    eve = replace(ada, account="eve").api
    eve.create_repo("eve/gated", repo_type="dataset", exist_ok=True)
    eve.upload_file(
        path_or_fileobj=b"hello", path_in_repo="README.md", repo_id="eve/gated", repo_type="dataset"
    )
    eve.update_repo_settings("eve/gated", repo_type="dataset", gated="manual")
    error = replace(ada, account="ada-fine").publish(dataset, "--repo-id", "eve/gated").error()
    assert error.startswith("eve/gated is gated and this login has no access: ask for it at http")


@pytest.mark.parametrize("kind", ["model", "space"])
def test_a_name_that_a_model_or_space_has(ada: Client, dataset: Path, repo: str, kind: str) -> None:
    sdk = "static" if kind == "space" else None
    ada.api.create_repo(repo, repo_type=kind, space_sdk=sdk)
    error = ada.publish(dataset, "--repo-id", repo).error()
    assert error.startswith(f"{repo} is a {kind} repository, not a dataset: choose another name")
    ada.api.create_repo(repo, repo_type="dataset")
    assert ada.publish(dataset, "--repo-id", repo, "--dry-run").code == 0


def test_no_server_at_the_address(ada: Client, dataset: Path, repo: str) -> None:
    gone = replace(ada, settings=(("HF_ENDPOINT", "http://127.0.0.1:9"),))
    error = gone.publish(dataset, "--repo-id", repo).error()
    assert error.startswith("the Hub at http://127.0.0.1:9 cannot be reached while logging in")


def test_offline_mode(ada: Client, dataset: Path, repo: str) -> None:
    error = replace(ada, settings=(("HF_HUB_OFFLINE", "1"),)).publish(dataset, "--repo-id", repo).error()
    assert error.startswith("HF_HUB_OFFLINE is set")


@pytest.mark.parametrize(
    ("code", "line"),
    [(429, "the Hub asks to slow down while logging in"), (500, "the Hub failed while logging in")],
)
def test_a_server_that_is_busy_or_fails(
    ada: Client, hub: HubProcess, dataset: Path, repo: str, code: int, line: str
) -> None:
    hub.faults(HubFault("GET /api/whoami", "status", code=code, times=99))
    assert ada.publish(dataset, "--repo-id", repo).error().startswith(line)
