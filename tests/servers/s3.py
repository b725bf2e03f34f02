"""A real S3 protocol server (moto) on this machine, with a public-read bucket."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3 import s3_backends
from moto.s3.models import get_canned_acl
from moto.server import ThreadedMotoServer


@contextmanager
def bucket(name: str, objects: Mapping[str, bytes]) -> Iterator[str]:
    """The endpoint of a server that holds `objects` in the bucket `name`.

    They are put in through moto's own interface, for thousands of them over HTTP take longer than the tests.
    """
    held = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    held.create_bucket(name, "us-east-1").set_acl(get_canned_acl("public-read"))
    for key, data in objects.items():
        held.put_object(name, key, data).set_acl(get_canned_acl("public-read"))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        held.delete_objects(name, [{"Key": key} for key in objects])
        held.delete_bucket(name)
