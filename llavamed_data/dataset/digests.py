"""Digests of a dataset's shards: the SHA-256 of each, as its Croissant metadata state it."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llavamed_data.io.regular_files import open_file

METADATA = "croissant.json"
"""The file of a dataset's Croissant metadata, in its folder."""

_MAX_BYTES = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadMetadataError(ValueError):
    """The metadata cannot be read, or state a digest that is none."""


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits; raises OSError for what is no file."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stated_digests(folder: Path) -> dict[str, str]:
    """Name of a shard → its SHA-256, as the metadata in `folder` state them; {} where they state none.

    Raises:
        BadMetadataError: the metadata cannot be read, or state the digests of some of the
            shards that they name and not of all.
    """
    path = folder / METADATA
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadMetadataError(f"is over {_MAX_BYTES:,} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
    except BadMetadataError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BadMetadataError(f"cannot be read: {error}"[:200]) from error
    found = document.get("distribution") if isinstance(document, Mapping) else None
    files = [each for each in found if _is_shard(each)] if isinstance(found, list) else []
    if not any(each.get("sha256") for each in files):  # as of another tool: its files are not checked
        return {}
    digests = {str(each["contentUrl"]): str(each.get("sha256")).lower() for each in files}
    if wrong := next((name for name, digest in digests.items() if not _SHA256.fullmatch(digest)), None):
        raise BadMetadataError(f"states no sha256 of {wrong[:100]}")
    return digests


def _is_shard(entry: Any) -> bool:
    address = entry.get("contentUrl") if isinstance(entry, Mapping) else None
    return isinstance(address, str) and address.startswith("data/") and address.endswith(".parquet")
