"""A Hub on this machine, to try `publish` without an account.

    python -m tests.servers.hub --port 8080 --data /tmp/hub

prints the environment under which every Hugging Face client talks to it, and serves until it is stopped. What is
published stays in the folder.
"""

import argparse
from pathlib import Path

from tests.servers.hub.api import api_routes
from tests.servers.hub.http import HubHttpServer
from tests.servers.hub.hub import Hub
from tests.servers.hub.transfer import transfer_routes


def main() -> None:
    """Serves until it is stopped."""
    arguments = _arguments()
    hub = Hub(arguments.data, part_bytes=arguments.part_bytes)
    server = HubHttpServer(
        arguments.port, arguments.data / "requests.jsonl", [*api_routes(hub), *transfer_routes(hub)]
    )
    print(f"export HF_ENDPOINT={server.address}")
    print(f"export HF_TOKEN={hub.accounts.token(arguments.account)}")
    print(f"export HF_HOME={arguments.data.resolve() / 'home'}")
    print(f"# you are {arguments.account.split('-')[0]}, an admin of the organisation med-lab", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.hub", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes any that is free")
    parser.add_argument("--data", type=Path, default=Path("hub-data"), help="folder of all state")
    parser.add_argument("--account", choices=["ada"], default="ada", help="whose token is printed")
    parser.add_argument(
        "--part-bytes", type=int, default=50_000_000, help="LFS objects over it come in parts"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
