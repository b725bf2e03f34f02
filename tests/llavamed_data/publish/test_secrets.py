"""The token is sent to the Hub in a header, and appears nowhere else."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.llavamed_data.publish.client import Client
from tests.servers.hub import HubFault, HubProcess


def test_the_token_is_in_no_output_file_or_argument(
    hub: HubProcess, tmp_path: Path, repo: str, new_set: Callable[..., Path], xet: bool
) -> None:
    settings = (
        ("HF_DEBUG", "1"),
        ("HF_HUB_VERBOSITY", "debug"),
        ("RUST_LOG", "debug"),
        ("PYTHONFAULTHANDLER", "1"),
    )
    client = Client(hub, tmp_path, xet=xet, settings=settings)
    folder = new_set(first=800)
    token = hub.token("ada")
    hub.faults(HubFault("POST .*/commit/", "hold"))
    command = [sys.executable, "-m", "llavamed_data", "publish", str(folder), "--repo-id", repo]
    with subprocess.Popen(
        command,
        env=client.environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        arguments = ""
        while "llavamed_data" not in arguments:
            arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
            time.sleep(0.01)
        hub.wait_until_held()
        hub.faults()
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 0, out
    assert token not in out
    assert token not in arguments
    assert files_with(token, tmp_path) == []
    assert files_with(token, hub.data) == [hub.data / "accounts.json"]
    assert not any(token.encode() in data for data in client.files(repo).values())


def test_the_token_is_in_no_traceback_of_a_library_call(
    ada: Client, hub: HubProcess, repo: str, new_set: Callable[..., Path]
) -> None:
    hub.faults(HubFault("POST .*/(commit|preupload)/", "status", code=400, times=9))
    script = f"""
        import traceback
        from llavamed_data.publish import publish
        try:
            publish({str(new_set(first=820))!r}, {repo!r})
        except Exception:
            print(traceback.format_exc())
    """
    out = ada.python(script)
    assert "LlavaMedError: the Hub refuses" in out
    assert hub.token("ada") not in out


def test_a_login_stored_by_the_client_is_used(ada: Client, hub: HubProcess, dataset: Path, repo: str) -> None:
    (ada.home / "home").mkdir()
    (ada.home / "home" / "token").write_text(hub.token("ada") + "\n")
    logged_in = replace(ada, account=None)
    assert logged_in.publish(dataset, "--repo-id", repo).code == 0


def files_with(text: str, folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and text.encode() in path.read_bytes()
    ]
