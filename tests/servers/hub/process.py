"""A Hub as a process that tests start, break, kill and start again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.hub.http import HubFault
from tests.servers.hub.hub import Accounts

CHECKOUT = Path(__file__).resolve().parents[3]
"""The same as that of `tests.conftest`, which imports pytest: users run the Hub without it."""


class HubProcess:
    """A server over the folder `data`, always at the same address."""

    def __init__(self, data: Path, *, part_bytes: int = 50_000_000) -> None:
        self.data = data
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._part_bytes = part_bytes
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.servers.hub",
            "--port",
            str(self._port),
            "--data",
            str(self.data),
        ]
        command += ["--part-bytes", str(self._part_bytes)]
        self._process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("export")
        for _ in range(3):
            self._process.stdout.readline()

    def kill(self) -> None:
        """Ends the server at once, as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float | None = None) -> int:
        """Waits until the server has ended, by a fault or otherwise, and returns its exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        if self._process.stdout:
            self._process.stdout.close()
        return code

    def token(self, account: str) -> str:
        return Accounts(self.data / "accounts.json").token(account)

    def environment(self, account: str | None, home: Path, *, xet: bool = True) -> dict[str, str]:
        """The environment of a client that is logged in as `account`."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        ours = {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
        if account:
            ours["HF_TOKEN"] = self.token(account)
        return kept | ours | ({} if xet else {"HF_HUB_DISABLE_XET": "1"})

    def faults(self, *faults: HubFault) -> None:
        """Sets what goes wrong from now on, in place of what was set, and releases the requests on hold."""
        body = json.dumps([fault.to_dict() for fault in faults]).encode()
        request = urllib.request.Request(f"{self.address}/_faults", body, method="PUT")
        urllib.request.urlopen(request).close()

    def wait_until_held(self, seconds: float = 60) -> None:
        """Returns when a request is on hold by a fault."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with urllib.request.urlopen(f"{self.address}/_faults") as answer:
                if json.load(answer)["held"]:
                    return
            time.sleep(0.02)
        raise AssertionError(f"no request that is to be held came in {seconds} s")

    def log(self) -> list[dict[str, Any]]:
        """Every request so far: method, path, status (0 if the server died of it), bytes received and sent."""
        return [json.loads(line) for line in (self.data / "requests.jsonl").read_text().splitlines()]

    def received(self, since: int = 0) -> int:
        """Bytes of bodies that clients sent, from the request number `since` on."""
        return sum(line["received"] for line in self.log()[since:])


@contextmanager
def running_hub(data: Path, *, part_bytes: int = 50_000_000) -> Iterator[HubProcess]:
    """Runs a Hub during the block."""
    hub = HubProcess(data, part_bytes=part_bytes)
    hub.start()
    try:
        yield hub
    finally:
        hub.kill()
