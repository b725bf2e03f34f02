"""Uploads and downloads: LFS, files by their address, and the Xet store."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from tests.servers.hub.http import HubError, HubRequest, HubResponse, Route, as_json
from tests.servers.hub.hub import Hub
from tests.servers.hub.objects import XetTerm
from tests.servers.hub.repositories import StoredRepository

_SHA256 = r"(?P<oid>[0-9a-f]{64})"
_HOUR = 3600


def transfer_routes(hub: Hub) -> list[Route]:
    """Method, pattern of the path, and the function that serves it."""
    transfer, xet = Transfer(hub), Xet(hub)
    repo = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
    table = [
        (
            "POST",
            r"/(?P<kind>datasets/|spaces/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch",
            transfer.batch,
        ),
        ("PUT", rf"/_lfs/{_SHA256}", transfer.put),
        ("PUT", rf"/_lfs/{_SHA256}/(?P<part>\d+)", transfer.put_part),
        ("POST", rf"/_lfs/{_SHA256}/complete", transfer.complete),
        ("POST", rf"/_lfs/{_SHA256}/verify", transfer.verify),
        (
            "GET|HEAD",
            r"/(?P<kind>datasets/|spaces/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
            transfer.resolve,
        ),
        ("GET", repo + r"/xet-(?P<right>write|read)-token/(?P<revision>[^/]+)", xet.token),
        ("POST", rf"/_xet/v1/xorbs/default/{_SHA256}", xet.put_xorb),
        ("POST", r"/_xet/(v1/)?shards", xet.put_shard),
        ("GET", rf"/_xet/v1/reconstructions/{_SHA256}", xet.reconstruction),
        ("GET", rf"/_xet/xorbs/{_SHA256}", xet.xorb),
    ]
    return [(method, re.compile(pattern), serve) for method, pattern, serve in table]


class Transfer:
    """Files by LFS and by address."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def batch(self, request: HubRequest) -> HubResponse:
        self.hub.writable(request)
        objects = [self._actions(request, each["oid"], each["size"]) for each in request.json()["objects"]]
        return as_json({"transfer": "basic", "objects": objects, "hash_algo": "sha256"})

    def _actions(self, request: HubRequest, oid: str, size: int) -> dict[str, object]:
        """What is to be done to upload an object; nothing if it is there."""
        if self.hub.objects.size_of(oid) is not None:
            return {"oid": oid, "size": size}
        upload: dict[str, object] = {"href": self._signed(request, f"/_lfs/{oid}")}
        if size > self.hub.part_bytes:
            parts = range(1, -(-size // self.hub.part_bytes) + 1)
            addresses = {str(part): self._signed(request, f"/_lfs/{oid}/{part}") for part in parts}
            header = {"chunk_size": str(self.hub.part_bytes), **addresses}
            upload = {"href": self._signed(request, f"/_lfs/{oid}/complete"), "header": header}
        verify = {"href": self._signed(request, f"/_lfs/{oid}/verify")}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def _signed(self, request: HubRequest, path: str) -> str:
        return f"{request.base}{path}?signature={self.hub.accounts.signature(path)}"

    def _check_signature(self, request: HubRequest) -> None:
        if request.asked("signature") != self.hub.accounts.signature(request.path):
            raise HubError(403, "The signature does not match")

    def put(self, request: HubRequest) -> HubResponse:
        self._check_signature(request)
        self._keep(request.parts["oid"], request.read())
        return HubResponse()

    def put_part(self, request: HubRequest) -> HubResponse:
        self._check_signature(request)
        name = f"{request.parts['oid']}-{int(request.parts['part']):05d}"
        path = self.hub.objects.incoming(name)
        _write(path, request.read())
        path.rename(path.with_name(f"{name}.part"))
        return HubResponse(headers={"ETag": f'"{name}"'})

    def complete(self, request: HubRequest) -> HubResponse:
        self._check_signature(request)
        folder, oid = self.hub.objects.root / "incoming", request.parts["oid"]
        numbers = [part["partNumber"] for part in request.json()["parts"]]
        paths = [folder / f"{oid}-{number:05d}.part" for number in numbers]
        self._keep(oid, (path.read_bytes() for path in paths))
        for path in paths:
            path.unlink()
        return as_json({})

    def _keep(self, oid: str, parts: Iterable[bytes]) -> None:
        path = self.hub.objects.incoming(oid)
        _write(path, parts)
        if not self.hub.objects.keep_lfs(oid, path):
            raise HubError(400, "The bytes do not have the stated SHA-256")

    def verify(self, request: HubRequest) -> HubResponse:
        self._check_signature(request)
        stated = request.json()
        if self.hub.objects.size_of(stated["oid"]) != stated["size"]:
            raise HubError(404, "The object is not there")
        return as_json({})

    def resolve(self, request: HubRequest) -> HubResponse:
        repository = self.hub.open(request)
        commit = self.hub.commit_of(repository, request.parts["revision"])
        entry = commit.files.get(request.parts["path"])
        known = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if entry is None:
            raise HubError(404, "Entry not found", "EntryNotFound", **known)
        headers = {**known, "ETag": f'"{entry.lfs or entry.oid}"', "Content-Type": "application/octet-stream"}
        if entry.lfs:
            headers |= {"X-Linked-Etag": f'"{entry.lfs}"', "X-Linked-Size": str(entry.size)}
            headers |= self._xet_headers(request, repository, commit.oid, entry.lfs)
        start, stop, status = 0, entry.size, 200
        if span := request.span(entry.size):
            start, stop = span
            if start >= stop:
                raise HubError(416, "Range not satisfiable", **{"Content-Range": f"bytes */{entry.size}"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
            status = 206
        if entry.lfs:
            return HubResponse(status, self.hub.objects.large(entry.lfs, start, stop), headers, stop - start)
        return HubResponse(status, self.hub.objects.blob(entry.oid)[start:stop], headers)

    def _xet_headers(
        self, request: HubRequest, repository: StoredRepository, commit: str, sha256: str
    ) -> dict[str, str]:
        file = self.hub.objects.xet_file(sha256)
        if file is None:
            return {}
        route = f"{request.base}/api/{repository.kind}/{repository.name}/xet-read-token/{commit}"
        return {
            "X-Xet-Hash": file.xet_hash,
            "X-Xet-Refresh-Route": route,
            "Link": f'<{route}>; rel="xet-auth"',
        }


class Xet:
    """The content-addressed store, behind tokens of its own that hold for an hour."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def token(self, request: HubRequest) -> HubResponse:
        right = request.parts["right"]
        if right == "write":
            self.hub.writable(request)
        else:
            self.hub.open(request)
        ends = int(time.time()) + _HOUR
        stated = f"{right}:{ends}"
        token = f"{stated}:{self.hub.accounts.signature(stated)}"
        address = f"{request.base}/_xet"
        headers = {
            "X-Xet-Cas-Url": address,
            "X-Xet-Access-Token": token,
            "X-Xet-Token-Expiration": str(ends),
        }
        return as_json({"casUrl": address, "accessToken": token, "exp": ends}, headers=headers)

    def _check(self, request: HubRequest, right: str) -> None:
        stated, _, signature = (request.bearer or "").rpartition(":")
        there, _, ends = stated.partition(":")
        if signature != self.hub.accounts.signature(stated) or int(ends) < time.time():
            raise HubError(401, "Not a token of this store")
        if right == "write" and there != "write":
            raise HubError(403, "This token only reads")

    def put_xorb(self, request: HubRequest) -> HubResponse:
        self._check(request, "write")
        return as_json({"was_inserted": self.hub.objects.put_xorb(request.parts["oid"], request.body())})

    def put_shard(self, request: HubRequest) -> HubResponse:
        self._check(request, "write")
        self.hub.objects.put_shard(request.body())
        return as_json({"result": 1})

    def reconstruction(self, request: HubRequest) -> HubResponse:
        self._check(request, "read")
        file = self.hub.objects.xet_file_by_hash(request.parts["oid"])
        if file is None:
            raise HubError(404, "No such file")
        start, stop = request.span(file.size) or (0, file.size)
        if start >= file.size:
            raise HubError(416, "Range not satisfiable")
        wanted: list[XetTerm] = []
        place, skipped = 0, 0
        for term in file.terms:
            if place < stop and place + term.size > start:
                skipped = skipped if wanted else start - place
                wanted.append(term)
            place += term.size
        terms = [
            {
                "hash": term.xorb,
                "unpacked_length": term.size,
                "range": {"start": term.first, "end": term.last},
            }
            for term in wanted
        ]
        fetch = {name: self._fetches(request, name, wanted) for name in {term.xorb for term in wanted}}
        return as_json({"offset_into_first_range": skipped, "terms": terms, "fetch_info": fetch})

    def _fetches(self, request: HubRequest, xorb: str, terms: list[XetTerm]) -> list[dict[str, object]]:
        """The byte ranges of a xorb's chunks, each chunk in one only, for the client uses the first that it finds."""
        path = f"/_xet/xorbs/{xorb}"
        url = f"{request.base}{path}?signature={self.hub.accounts.signature(path)}"
        fetches: list[dict[str, object]] = []
        for first, last in _merged((term.first, term.last) for term in terms if term.xorb == xorb):
            start, end = self.hub.objects.span(xorb, first, last)
            fetches.append(
                {
                    "range": {"start": first, "end": last},
                    "url": url,
                    "url_range": {"start": start, "end": end},
                }
            )
        return fetches

    def xorb(self, request: HubRequest) -> HubResponse:
        if request.asked("signature") != self.hub.accounts.signature(request.path):
            raise HubError(403, "The signature does not match")
        data = self.hub.objects.xorb(request.parts["oid"]).read_bytes()
        start, stop = request.span(len(data)) or (0, len(data))
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        return HubResponse(206, data[start:stop], headers)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _write(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
