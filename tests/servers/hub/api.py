"""The calls that answer in JSON: accounts, repositories, commits, branches, tags and collections."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

import yaml

from tests.servers.hub.hub import Hub
from tests.servers.hub.objects import blob_oid
from tests.servers.hub.repositories import Commit, Entry, Refused, is_large
from tests.servers.hub.wire import Answer, Call, Problem, Route, as_json

_REPO = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_PAGE = 1000


def api_routes(hub: Hub) -> list[Route]:
    """Method, address and what serves it."""
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
    """The calls over one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def whoami(self, call: Call) -> Answer:
        return as_json(self.hub.someone(call).whoami())

    def create(self, call: Call) -> Answer:
        login, wanted = self.hub.someone(call), call.json()
        namespace = wanted.get("organization") or login.user
        kind = f"{wanted.get('type') or 'model'}s"
        name = f"{namespace}/{wanted['name']}"
        if not login.writes_to(namespace):
            raise Problem(
                403, f"You don't have the rights to create a {kind[:-1]} under the namespace {namespace!r}"
            )
        with self.hub.lock:
            repository = self.hub.repository(kind, name)
            place = {
                "url": f"{call.base}/{'' if kind == 'models' else kind + '/'}{name}",
                "name": name,
                "id": name,
            }
            if repository.exists:
                return as_json({"error": f"You already created this {kind[:-1]} repo", **place}, 409)
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            repository.create(private=private, author=login.user)
        return as_json(place)

    def delete(self, call: Call) -> Answer:
        wanted = call.json()
        login = self.hub.someone(call)
        call.parts = {
            "kind": f"{wanted.get('type') or 'model'}s",
            "name": f"{wanted.get('organization') or login.user}/{wanted['name']}",
        }
        repository, _ = self.hub.writable(call)
        repository.remove()
        return as_json({})

    def settings(self, call: Call) -> Answer:
        repository, _ = self.hub.writable(call)
        wanted = call.json()
        with self.hub.lock:
            if "visibility" in wanted:
                wanted["private"] = wanted["visibility"] == "private"
            repository.state.update({key: wanted[key] for key in ("private", "gated") if key in wanted})
            repository.save()
        return as_json({"private": repository.state["private"]})

    def info(self, call: Call) -> Answer:
        repository = self.hub.readable(call)
        commit = self.hub.commit_of(repository, call.parts["revision"] or "main")
        blobs = call.asked("blobs").lower() in ("true", "1")
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

    def refs(self, call: Call) -> Answer:
        repository = self.hub.readable(call)
        kinds = {"branches": "heads", "tags": "tags"}
        refs: dict[str, list[dict[str, str]]] = {
            kind: [
                {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": oid}
                for name, oid in sorted(repository.state[kind].items())
            ]
            for kind, folder in kinds.items()
        }
        return as_json({**refs, "converts": [], "pullRequests": []})

    def tree(self, call: Call) -> Answer:
        repository = self.hub.readable(call)
        commit = self.hub.commit_of(repository, call.parts["revision"])
        path = call.parts["path"].strip("/")
        entries = self._entries(commit, path, deep=call.asked("recursive").lower() in ("true", "1"))
        if path and not entries:
            raise Problem(404, f"{path} does not exist", "EntryNotFound")
        limit, start = int(call.asked("limit", str(_PAGE))), int(call.asked("cursor", "0"))
        page = entries[start : start + limit]
        if call.asked("expand").lower() in ("true", "1"):
            last = {"id": commit.oid, "title": commit.title, "date": commit.date}
            page = [{**entry, "lastCommit": last} for entry in page]
        headers = {}
        if start + limit < len(entries):
            asked = "&".join(f"{key}={value[0]}" for key, value in call.query.items() if key != "cursor")
            headers["Link"] = f'<{call.base}{call.path}?{asked}&cursor={start + limit}>; rel="next"'
        return as_json(page, headers=headers)

    def paths(self, call: Call) -> Answer:
        repository = self.hub.readable(call)
        commit = self.hub.commit_of(repository, call.parts["revision"])
        body = call.body()
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

    def commits(self, call: Call) -> Answer:
        repository = self.hub.readable(call)
        commit = self.hub.commit_of(repository, call.parts["revision"])
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

    def preupload(self, call: Call) -> Answer:
        repository, _ = self.hub.writable(call)
        commit = self.hub.commit_of(repository, call.parts["revision"])
        files = call.json()["files"]
        if len(files) > 256:
            raise Problem(400, "At most 256 files")
        answer = []
        for file in files:
            path, size = file["path"], file["size"]
            large = is_large(path, size) or b"\0" in base64.b64decode(file.get("sample", ""))
            stated = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if there := commit.files.get(path):
                stated["oid"] = there.lfs or there.oid
            answer.append(stated)
        return as_json({"files": answer, "commitOid": commit.oid})

    def commit(self, call: Call) -> Answer:
        repository, login = self.hub.writable(call)
        lines = [json.loads(line) for line in call.body().splitlines() if line.strip()]
        with self.hub.lock:
            repository = self.hub.repository(repository.kind, repository.name)
            try:
                commit = repository.commit(call.parts["revision"], lines, login.user)
            except Refused as refused:
                code = "RevisionNotFound" if "Invalid rev" in str(refused) else None
                raise Problem(refused.code, str(refused), code) from refused
        prefix = "" if repository.kind == "models" else f"{repository.kind}/"
        url = f"{call.base}/{prefix}{repository.name}/commit/{commit.oid}"
        return as_json({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def branch(self, call: Call) -> Answer:
        self.hub.writable(call)
        name = call.parts["branch"]
        with self.hub.lock:
            repository, _ = self.hub.writable(call)
            branches = repository.state["branches"]
            if call.method == "DELETE":
                if name == "main" or name not in branches:
                    raise Problem(404 if name != "main" else 403, f"Cannot delete the branch {name}")
                del branches[name]
            elif name in branches:
                raise Problem(409, f"Reference already exists: {name}")
            else:
                start = call.json().get("startingPoint") or "main"
                branches[name] = self.hub.commit_of(repository, start).oid
            repository.save()
        return as_json({})

    def tag(self, call: Call) -> Answer:
        with self.hub.lock:
            repository, _ = self.hub.writable(call)
            tags = repository.state["tags"]
            if call.method == "DELETE":
                if tags.pop(call.parts["revision"], None) is None:
                    raise Problem(404, "No such tag", "RevisionNotFound")
            else:
                name = call.json()["tag"]
                if name in tags:
                    raise Problem(409, f"Tag reference exists already: {name}")
                tags[name] = self.hub.commit_of(repository, call.parts["revision"]).oid
            repository.save()
        return as_json({})

    def validate_card(self, call: Call) -> Answer:
        asked = call.json()
        errors = _card_errors(asked["content"], asked.get("repoType"))
        stated = {"errors": [{"message": error} for error in errors], "warnings": []}
        return as_json(stated, 400 if errors else 200)

    def list_collections(self, call: Call) -> Answer:
        owner = call.asked("owner")
        owned = [each for each in self.hub.collections() if each["owner"]["name"] == owner]
        return as_json([{key: each[key] for key in each if key != "position"} for each in owned])

    def get_collection(self, call: Call) -> Answer:
        return as_json(self._collection(self.hub.collections(), call.parts["slug"]))

    def create_collection(self, call: Call) -> Answer:
        login, wanted = self.hub.someone(call), call.json()
        if not login.writes_to(wanted["namespace"]):
            raise Problem(403, f"You don't have the rights to write to {wanted['namespace']}")
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

    def add_to_collection(self, call: Call) -> Answer:
        login, item = self.hub.someone(call), call.json()["item"]
        with self.hub.lock:
            collections = self.hub.collections()
            collection = self._collection(collections, call.parts["slug"])
            if not login.writes_to(collection["owner"]["name"]):
                raise Problem(403, "You don't have the rights to change this collection")
            if not self.hub.repository(f"{item['type']}s", item["id"]).exists:
                raise Problem(404, "Item not found")
            items = collection["items"]
            if any(each["id"] == item["id"] and each["type"] == item["type"] for each in items):
                raise Problem(409, "Item already in collection")
            items.append({"_id": blob_oid(item["id"].encode())[:24], "position": len(items), **item})
            self.hub.keep_collections(collections)
        return as_json(collection)

    def _collection(self, collections: list[dict[str, Any]], slug: str) -> dict[str, Any]:
        for each in collections:
            if each["slug"] == slug:
                return each
        raise Problem(404, "Collection not found")


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
