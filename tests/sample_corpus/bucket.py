"""What the PMC bucket keeps beside each article: plain text, metadata JSON with checksums, the inventory.

All of it follows from the XML and the image files, so it is made by `write`, never edited by hand.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lxml import etree

BUCKET = "pmc-oa-opendata"
DATE = "2026-11-01T01-00Z"
MODIFIED = "2026-10-31T04:00:00.000Z"
LICENSES = {"by": "CC BY", "by-nc": "CC BY-NC", "by-nc-sa": "CC BY-NC-SA", "zero": "CC0"}

Faults = Mapping[str, Sequence[str]]


def write(root: Path, absent: Mapping[str, bytes], faults: Faults) -> None:
    """Adds text, metadata and inventory to every article folder of `root`.

    Args:
        root: holds `PMC….N/PMC….N.xml` and the media files.
        absent: key → bytes of the media that metadata names although the bucket lacks them.
        faults: what is wrong on purpose, as in faults.yaml.
    """
    names = sorted(folder.name for folder in root.glob("PMC*.*") if folder.is_dir())
    (root / "metadata").mkdir(exist_ok=True)
    for name in names:
        document = (root / name / f"{name}.xml").read_bytes()
        tree = etree.fromstring(
            document, etree.XMLParser(recover=True, resolve_entities="internal", no_network=True)
        )
        text = "\n".join(filter(None, (" ".join(line.split()) for line in _text(tree))))
        (root / name / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        metadata = (
            json.dumps(_metadata(root, name, tree, absent, faults), indent=1, ensure_ascii=False) + "\n"
        )
        for place in (root / name / f"{name}.json", root / "metadata" / f"{name}.json"):
            place.write_text(metadata, encoding="utf-8")
    _inventory(root, names)


def _text(tree: Any) -> list[str]:
    blocks = tree.xpath("//*[local-name()='article-title' or local-name()='title' or local-name()='p']")
    return ["".join(block.itertext()) for block in blocks if not block.xpath("ancestor::*[local-name()='p']")]


def _metadata(
    root: Path, name: str, tree: Any, absent: Mapping[str, bytes], faults: Faults
) -> dict[str, Any]:
    manuscript = name in faults["manuscript"]
    pmcid, version = name.split(".")
    ids = {kind: _first(tree, f"article-id[@pub-id-type='{kind}']") for kind in ("pmid", "doi", "manuscript")}
    place = [_first(tree, part) for part in ("journal-title", "year", "volume", "elocation-id")]
    metadata: dict[str, Any] = {"pmcid": pmcid, "version": int(version)}
    if ids["pmid"]:
        metadata["pmid"] = int(ids["pmid"])
    metadata["doi"] = ids["doi"]
    if manuscript:
        metadata["mid"] = ids["manuscript"]
    metadata |= {
        "title": _first(tree, "article-title"),
        "citation": "{}. {}; {}: {}".format(*place),
        "is_pmc_openaccess": not manuscript,
        "is_manuscript": manuscript,
        "is_historical_ocr": False,
        "is_retracted": name in faults["retracted"],
        "license_code": "TDM" if manuscript else _license(tree),
        "xml_url": _url(f"{name}/{name}.xml", (root / name / f"{name}.xml").read_bytes()),
        "text_url": _url(f"{name}/{name}.txt", (root / name / f"{name}.txt").read_bytes()),
    }
    media = {
        f"{name}/{path.name}": path.read_bytes()
        for path in (root / name).iterdir()
        if path.suffix not in (".xml", ".txt", ".json")
    }
    media |= {key: data for key, data in absent.items() if key.startswith(f"{name}/")}
    if media:
        metadata["media_urls"] = [
            _url(key, data[::-1] if key in faults["wrong_md5"] else data)
            for key, data in sorted(media.items())
        ]
    return metadata


def _first(tree: Any, step: str) -> str:
    """The text of the first such element anywhere, whatever its namespace."""
    name, _, condition = step.partition("[")
    found = tree.xpath(f"//*[local-name()='{name}']" + (f"[{condition}" if condition else ""))
    return " ".join("".join(found[0].itertext()).split()) if found else ""


def _license(tree: Any) -> str:
    address = str(tree.xpath("//*[local-name()='license']/@*[local-name()='href']")[0])
    return LICENSES[address.split("/")[4]]


def _url(key: str, data: bytes) -> str:
    return f"s3://{BUCKET}/{key}?md5={_md5(data)}"


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _inventory(root: Path, names: Sequence[str]) -> None:
    """The S3 inventory: `manifest.json`, which names one gzipped CSV part of bucket, key, modified, ETag."""
    lines = []
    for name in names:
        key = f"metadata/{name}.json"
        lines.append(f'"{BUCKET}","{key}","{MODIFIED}","{_md5((root / key).read_bytes())}"\n')
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as part:
        part.write("".join(lines).encode())
    place = f"inventory-reports/{BUCKET}/metadata"
    data = f"{place}/data/9f6d2c1e-0000-4000-8000-000000000001.csv.gz"
    manifest = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "creationTimestamp": "1793494800000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
        "files": [{"key": data, "size": len(packed.getvalue()), "MD5checksum": _md5(packed.getvalue())}],
    }
    for key, content in (
        (data, packed.getvalue()),
        (f"{place}/{DATE}/manifest.json", (json.dumps(manifest, indent=2) + "\n").encode()),
    ):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(content)
