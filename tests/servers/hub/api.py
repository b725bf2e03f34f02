"""The requests that are answered in JSON: accounts, repositories, commits, branches, tags and collections."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

import yaml

from tests.servers.hub.http import HubError, HubRequest, HubResponse, Route, as_json
from tests.servers.hub.hub import Hub
from tests.servers.hub.objects import blob_oid
from tests.servers.hub.repositories import Commit, Entry, RefusedCommitError, is_large

_REPO = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_PAGE = 1000


def api_routes(hub: Hub) -> list[Route]:
    """Method, pattern of the path, and the function that serves it."""
    api = Api(hub)
    table = [
        ("GET", r"/api/whoami-v2", api.whoami),
        ("POST", r"/api/repos/create", api.create),
        ("DELETE", r"/api/repos/delete", api.delete),
        ("POST", r"/api/validate-yaml", api.validate_card),
        ("GET", r"/api/collections", api.list_collections),
        ("POST", r"/api/collections", api.create_collection),
        ("GET", r"/api/collections/(?P<slug>[^/]+/[^/]+)", api.get_collection),
        ("POST", r"/api/collections/(?P<slug>[^/]+/[^/]+)/items?", api.add_to_collection),
        ("GET", _REPO + r"(/revision/(?P<revision>[^/]+))?", api.info),
        ("PUT", _REPO + r"/settings", api.settings),
        ("GET", _REPO + r"/refs", api.refs),
        ("GET", _REPO + r"/tree/(?P<revision>[^/]+)(/(?P<path>.*))?", api.tree),
        ("POST", _REPO + r"/paths-info/(?P<revision>[^/]+)", api.paths),
        ("GET", _REPO + r"/commits/(?P<revision>[^/]+)", api.commits),
        ("POST", _REPO + r"/preupload/(?P<revision>[^/]+)", api.preupload),
        ("POST", _REPO + r"/commit/(?P<revision>[^/]+)", api.commit),
        ("POST|DELETE", _REPO + r"/branch/(?P<branch>[^/]+)", api.branch),
        ("POST|DELETE", _REPO + r"/tag/(?P<revision>[^/]+)", api.tag),
    ]
    return [(method, re.compile(pattern), serve) for method, pattern, serve in table]


class Api:
    """The requests to one Hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def whoami(self, request: HubRequest) -> HubResponse:
        return as_json(self.hub.logged_in(request).whoami())

    def create(self, request: HubRequest) -> HubResponse:
        login, wanted = self.hub.logged_in(request), request.json()
        namespace = wanted.get("organization") or login.user
        kind = f"{wanted.get('type') or 'model'}s"
        name = f"{namespace}/{wanted['name']}"
        if not login.writes_to(namespace):
            raise HubError(
                403, f"You don't have the rights to create a {kind[:-1]} under the namespace {namespace!r}"
            )
        with self.hub.lock:
            repository = self.hub.repository(kind, name)
            place = {
                "url": f"{request.base}/{'' if kind == 'models' else kind + '/'}{name}",
                "name": name,
                "id": name,
            }
            if repository.exists:
                return as_json({"error": f"You already created this {kind[:-1]} repo", **place}, 409)
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            repository.create(private=private, author=login.user)
        return as_json(place)

    def delete(self, request: HubRequest) -> HubResponse:
        wanted = request.json()
        login = self.hub.logged_in(request)
        request.parts = {
            "kind": f"{wanted.get('type') or 'model'}s",
            "name": f"{wanted.get('organization') or login.user}/{wanted['name']}",
        }
        repository, _ = self.hub.writable(request)
        repository.remove()
        return as_json({})

    def settings(self, request: HubRequest) -> HubResponse:
        repository, _ = self.hub.writable(request)
        wanted = request.json()
        with self.hub.lock:
            if "visibility" in wanted:
                wanted["private"] = wanted["visibility"] == "private"
            repository.state.update({key: wanted[key] for key in ("private", "gated") if key in wanted})
            repository.save()
        return as_json({"private": repository.state["private"]})

    def info(self, request: HubRequest) -> HubResponse:
        repository = self.hub.readable(request)
        commit = self.hub.commit_of(repository, request.parts["revision"] or "main")
        blobs = request.asked("blobs").lower() in ("true", "1")
        return as_json(
            {
                "_id": hashlib.sha1(repository.name.encode()).hexdigest()[:24],
                "id": repository.name,
                "author": repository.namespace,
                "sha": commit.oid,
                "createdAt": repository.state["created"],
                "lastModified": commit.date,
                "private": repository.state["private"],
                "gated": repository.state["gated"],
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": [_sibling(path, entry, blobs) for path, entry in sorted(commit.files.items())],
            }
        )

    def refs(self, request: HubRequest) -> HubResponse:
        repository = self.hub.readable(request)
        kinds = {"branches": "heads", "tags": "tags"}
        refs: dict[str, list[dict[str, str]]] = {
            kind: [
                {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid}
                for name, oid in sorted(repository.state[kind].items())
            ]
            for kind, folder in kinds.items()
        }
        return as_json({**refs, "converts": [], "pullRequests": []})

    def tree(self, request: HubRequest) -> HubResponse:
        repository = self.hub.readable(request)
        commit = self.hub.commit_of(repository, request.parts["revision"])
        path = request.parts["path"].strip("/")
        entries = self._entries(commit, path, deep=request.asked("recursive").lower() in ("true", "1"))
        if path and not entries:
            raise HubError(404, f"{path} does not exist", "EntryNotFound")
        limit, start = int(request.asked("limit", str(_PAGE))), int(request.asked("cursor", "0"))
        page = entries[start : start + limit]
        if request.asked("expand").lower() in ("true", "1"):
            last = {"id": commit.oid, "title": commit.title, "date": commit.date}
            page = [{**entry, "lastCommit": last} for entry in page]
        headers = {}
        if start + limit < len(entries):
            asked = "&".join(f"{key}={value[0]}" for key, value in request.query.items() if key != "cursor")
            headers["Link"] = f'<{request.base}{request.path}?{asked}&cursor={start + limit}>; rel="next"'
        return as_json(page, headers=headers)

    def paths(self, request: HubRequest) -> HubResponse:
        repository = self.hub.readable(request)
        commit = self.hub.commit_of(repository, request.parts["revision"])
        body = request.body()
        wanted = (
            json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode()).get("paths", [])
        )
        found = []
        for path in [wanted] if isinstance(wanted, str) else wanted:
            if path in commit.files:
                found.append(self._file(path, commit.files[path]))
            elif any(name.startswith(f"{path}/") for name in commit.files):
                found.append(_folder(path))
        return as_json(found)

    def _entries(self, commit: Commit, under: str, *, deep: bool) -> list[dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        prefix = f"{under}/" if under else ""
        for path, entry in sorted(commit.files.items()):
            if not path.startswith(prefix):
                continue
            folders = path[len(prefix) :].split("/")[:-1]
            for depth in range(1, len(folders) + 1 if deep else min(len(folders), 1) + 1):
                folder = prefix + "/".join(folders[:depth])
                entries[folder] = _folder(folder)
            if deep or not folders:
                entries[path] = self._file(path, entry)
        return list(entries.values())

    def _file(self, path: str, entry: Entry) -> dict[str, Any]:
        stated: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.lfs:
            stated["lfs"] = {"oid": entry.lfs, "size": entry.size, "pointerSize": 134}
            if file := self.hub.objects.xet_file(entry.lfs):
                stated["xetHash"] = file.xet_hash
        return stated

    def commits(self, request: HubRequest) -> HubResponse:
        repository = self.hub.readable(request)
        commit = self.hub.commit_of(repository, request.parts["revision"])
        return as_json(
            [
                {
                    "id": each.oid,
                    "title": each.title,
                    "message": each.message,
                    "authors": [{"user": each.author}],
                    "date": each.date,
                }
                for each in repository.history(commit)
            ]
        )

    def preupload(self, request: HubRequest) -> HubResponse:
        repository, _ = self.hub.writable(request)
        commit = self.hub.commit_of(repository, request.parts["revision"])
        files = request.json()["files"]
        if len(files) > 256:
            raise HubError(400, "At most 256 files")
        answer = []
        for file in files:
            path, size = file["path"], file["size"]
            large = is_large(path, size) or b"\0" in base64.b64decode(file.get("sample", ""))
            stated = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if there := commit.files.get(path):
                stated["oid"] = there.lfs or there.oid
            answer.append(stated)
        return as_json({"files": answer, "commitOid": commit.oid})

    def commit(self, request: HubRequest) -> HubResponse:
        repository, login = self.hub.writable(request)
        lines = [json.loads(line) for line in request.body().splitlines() if line.strip()]
        with self.hub.lock:
            repository = self.hub.repository(repository.kind, repository.name)
            try:
                commit = repository.commit(request.parts["revision"], lines, login.user)
            except RefusedCommitError as refused:
                code = "RevisionNotFound" if "Invalid rev" in str(refused) else None
                raise HubError(refused.code, str(refused), code) from refused
        prefix = "" if repository.kind == "models" else f"{repository.kind}/"
        url = f"{request.base}/{prefix}{repository.name}/commit/{commit.oid}"
        return as_json({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def branch(self, request: HubRequest) -> HubResponse:
        self.hub.writable(request)
        name = request.parts["branch"]
        with self.hub.lock:
            repository, _ = self.hub.writable(request)
            branches = repository.state["branches"]
            if request.method == "DELETE":
                if name == "main" or name not in branches:
                    raise HubError(404 if name != "main" else 403, f"Cannot delete the branch {name}")
                del branches[name]
            elif name in branches:
                raise HubError(409, f"Reference already exists: {name}")
            else:
                start = request.json().get("startingPoint") or "main"
                branches[name] = self.hub.commit_of(repository, start).oid
            repository.save()
        return as_json({})

    def tag(self, request: HubRequest) -> HubResponse:
        with self.hub.lock:
            repository, _ = self.hub.writable(request)
            tags = repository.state["tags"]
            if request.method == "DELETE":
                if tags.pop(request.parts["revision"], None) is None:
                    raise HubError(404, "No such tag", "RevisionNotFound")
            else:
                name = request.json()["tag"]
                if name in tags:
                    raise HubError(409, f"Tag reference exists already: {name}")
                tags[name] = self.hub.commit_of(repository, request.parts["revision"]).oid
            repository.save()
        return as_json({})

    def validate_card(self, request: HubRequest) -> HubResponse:
        asked = request.json()
        errors = _card_errors(asked["content"], asked.get("repoType"))
        stated = {"errors": [{"message": error} for error in errors], "warnings": []}
        return as_json(stated, 400 if errors else 200)

    def list_collections(self, request: HubRequest) -> HubResponse:
        owner = request.asked("owner")
        owned = [each for each in self.hub.collections() if each["owner"]["name"] == owner]
        return as_json([{key: each[key] for key in each if key != "position"} for each in owned])

    def get_collection(self, request: HubRequest) -> HubResponse:
        return as_json(self._collection(self.hub.collections(), request.parts["slug"]))

    def create_collection(self, request: HubRequest) -> HubResponse:
        login, wanted = self.hub.logged_in(request), request.json()
        if not login.writes_to(wanted["namespace"]):
            raise HubError(403, f"You don't have the rights to write to {wanted['namespace']}")
        with self.hub.lock:
            collections = self.hub.collections()
            slug = re.sub(r"\W+", "-", wanted["title"].lower())
            slug = f"{wanted['namespace']}/{slug}-{hashlib.sha1(slug.encode()).hexdigest()[:24]}"
            if any(each["slug"] == slug for each in collections):
                return as_json({"error": "This collection exists already", "slug": slug}, 409)
            made = {
                "slug": slug,
                "title": wanted["title"],
                "description": wanted.get("description", ""),
                "owner": {"name": wanted["namespace"], "type": "org"},
                "items": [],
                "lastUpdated": "2026-01-01T00:00:00.000Z",
                "position": len(collections),
                "private": bool(wanted.get("private")),
                "theme": "green",
                "upvotes": 0,
            }
            self.hub.keep_collections([*collections, made])
        return as_json(made)

    def add_to_collection(self, request: HubRequest) -> HubResponse:
        login, item = self.hub.logged_in(request), request.json()["item"]
        with self.hub.lock:
            collections = self.hub.collections()
            collection = self._collection(collections, request.parts["slug"])
            if not login.writes_to(collection["owner"]["name"]):
                raise HubError(403, "You don't have the rights to change this collection")
            if not self.hub.repository(f"{item['type']}s", item["id"]).exists:
                raise HubError(404, "Item not found")
            items = collection["items"]
            if any(each["id"] == item["id"] and each["type"] == item["type"] for each in items):
                raise HubError(409, "Item already in collection")
            items.append({"_id": blob_oid(item["id"].encode())[:24], "position": len(items), **item})
            self.hub.keep_collections(collections)
        return as_json(collection)

    def _collection(self, collections: list[dict[str, Any]], slug: str) -> dict[str, Any]:
        for each in collections:
            if each["slug"] == slug:
                return each
        raise HubError(404, "Collection not found")


def _sibling(path: str, entry: Entry, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    lfs = {"lfs": {"sha256": entry.lfs, "size": entry.size, "pointerSize": 134}} if entry.lfs else {}
    return {"rfilename": path, "size": entry.size, "blobId": entry.oid, **lfs}


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}


def _card_errors(content: str, kind: str | None) -> list[str]:
    """What the Hub's validator would say of the commonest faults."""
    match = re.match(r"---\s*\n(.*?)\n---", content, re.DOTALL)
    try:
        metadata = yaml.safe_load(match.group(1)) if match else {}
    except yaml.YAMLError as error:
        return [f"YAML parse error: {error}"]
    if not isinstance(metadata, dict):
        return ["metadata must be an object"]
    errors = [
        f'"{name}" must be an array'
        for name in ("task_categories", "size_categories", "tags", "configs")
        if kind == "dataset" and name in metadata and not isinstance(metadata[name], list)
    ]
    licence = metadata.get("license", "other")
    if not all(
        re.fullmatch(r"[a-z0-9.-]+", str(each))
        for each in (licence if isinstance(licence, list) else [licence])
    ):
        errors.append(f'"license" must be one of the Hub\'s identifiers, not {licence}')
    return errors
