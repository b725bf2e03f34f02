"""Small synthetic corpora in the layout of the PMC bucket: key → bytes."""

import gzip
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

BUCKET = "pmc-oa-opendata"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def article(
    handle: str,
    media: Mapping[str, bytes] | None = None,
    *,
    absent: Collection[str] = (),
    wrong_md5: Collection[str] = (),
    without_md5: Collection[str] = (),
    xml: bytes | None = None,
    **metadata: object,
) -> dict[str, bytes]:
    """The objects of one article version; `metadata` replaces fields of its JSON, None takes one out."""
    xml = f"<article><body>{handle}</body></article>".encode() if xml is None else xml
    objects = {f"{handle}/{handle}.xml": xml}
    urls = []
    for name, data in (media or {}).items():
        query = "" if name in without_md5 else f"?md5={md5(b'other' if name in wrong_md5 else data)}"
        urls.append(f"s3://{BUCKET}/{handle}/{name}{query}")
        if name not in absent:
            objects[f"{handle}/{name}"] = data
    pmcid, _, version = handle.partition(".")
    content = {
        "pmcid": pmcid,
        "version": int(version),
        "pmid": int(pmcid[3:]) + 10_000_000,
        "is_pmc_openaccess": True,
        "is_retracted": False,
        "license_code": "CC BY",
        "xml_url": f"s3://{BUCKET}/{handle}/{handle}.xml?md5={md5(xml)}",
        "media_urls": urls,
    } | metadata
    text = json.dumps({name: value for name, value in content.items() if value is not None}).encode()
    return objects | {f"{handle}/{handle}.json": text, f"metadata/{handle}.json": text}


def inventory(
    objects: Mapping[str, bytes], date: str = "2026-11-01T01-00Z", parts: int = 2
) -> dict[str, bytes]:
    """The inventory of the metadata in `objects`, its lines dealt out to `parts` files in no order of use."""
    keys = sorted((key for key in objects if key.startswith("metadata/")), key=lambda key: md5(key.encode()))
    written, listed = {}, []
    for number in range(parts):
        lines = "".join(
            f'"{BUCKET}","{key}","2026-10-31T04:00:00.000Z","{md5(objects[key])}"\n'
            for key in keys[number::parts]
        )
        packed = gzip.compress(lines.encode(), mtime=0)
        place = f"inventory-reports/{BUCKET}/metadata/data/{date}-{number}.csv.gz"
        written[place] = packed
        listed.append({"key": place, "size": len(packed), "MD5checksum": md5(packed)})
    manifest = {
        "sourceBucket": BUCKET,
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
        "files": listed,
    }
    return written | {
        f"inventory-reports/{BUCKET}/metadata/{date}/manifest.json": json.dumps(manifest).encode()
    }


def lay_out(objects: Mapping[str, bytes], folder: Path) -> Path:
    """Writes `objects` below `folder`."""
    for key, data in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
