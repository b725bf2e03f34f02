"""A Hub that speaks the real Hub's protocol to unmodified clients: see `python -m tests.servers.hub --help`.

    with running_hub(tmp_path) as hub:
        environment = hub.environment("ada")  # for a client in a process of its own

The server is a process, so that it can be killed and started again over the same folder.
"""

from tests.servers.hub.http import HubFault
from tests.servers.hub.process import HubProcess, running_hub

__all__ = ["HubFault", "HubProcess", "running_hub"]
