"""Serves the pictures of rows under review, each at an address that only who was shown the row knows."""

import hmac
import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from llavamed_data.dataset.reader import Row
from llavamed_data.errors import LlavaMedError
from llavamed_data.review.review_set import ReviewSet
from llavamed_data.review.row_view import RowView
from llavamed_data.show.image_files import image_type, thumbnail_jpeg

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

_SHOWN = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"})
_LONGEST = 1600
_MOST_IMAGE_BYTES = 3_000_000
"""Of an image that is shown as it is; a larger one is shown as a JPEG of at most 1,600 pixels a side."""

_MOST_KEPT_BYTES = 32_000_000
"""Of the pictures that were shown last, which browsers are about to ask for."""

_HEADERS = {
    "Cache-Control": "private, max-age=86400, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class _Picture(NamedTuple):
    """What a browser is sent."""

    data: bytes
    media_type: str


class Pictures:
    """The pictures of a dataset under review; several threads may use it.

    An address holds a secret of this run, as requests for pictures carry no login, and the digest of the row's images,
    so that no other picture is ever shown in place of one.
    """

    def __init__(self, review: ReviewSet) -> None:
        self._review = review
        self._secret = secrets.token_urlsafe(16)
        self._kept = OrderedDict[tuple[int, int, str], _Picture]()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def addresses(self, view: RowView) -> list[str]:
        """The address of each image of a row, relative to that of the page; "" for one that cannot be shown."""
        return [
            f"pictures/{self._secret}/{view.images}/{view.number}/{place}"
            if self._keep((view.number, place, view.images), image)
            else ""
            for place, image in enumerate(view.row.get("images") or ())
        ]

    def route(self) -> "Route":
        """What answers requests for these addresses."""
        from starlette.routing import Route

        return Route("/pictures/{secret}/{images}/{number:int}/{place:int}", self._answer)

    async def _answer(self, request: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        asked = request.path_params
        picture = None
        if hmac.compare_digest(asked["secret"].encode("utf-8", "replace"), self._secret.encode()):
            key = asked["number"], asked["place"], asked["images"]
            picture = self._kept.get(key) or await run_in_threadpool(self._read, *key)
        if picture is None:
            return Response(status_code=404, headers=_HEADERS | {"Cache-Control": "no-store"})
        return Response(picture.data, media_type=picture.media_type, headers=_HEADERS)

    def _read(self, number: int, place: int, digest: str) -> _Picture | None:
        try:
            images = self._review.images(number, digest)
        except (LlavaMedError, IndexError, OSError):
            return None
        return self._keep((number, place, digest), images[place]) if place < len(images) else None

    def _keep(self, key: tuple[int, int, str], image: Row | None) -> _Picture | None:
        """The picture of an image, which is kept for a while; None for one that cannot be shown."""
        picture = self._kept.get(key) or _picture(image)
        if picture is None:
            return None
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._kept_bytes += len(picture.data)
            self._kept.move_to_end(key)
            while self._kept_bytes > _MOST_KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest.data)
        return picture


def _picture(image: Row | None) -> _Picture | None:
    data = image.get("bytes") if image else None
    if not isinstance(data, bytes):
        return None
    kind = image_type(data)[1]
    if kind in _SHOWN and len(data) <= _MOST_IMAGE_BYTES:
        return _Picture(data, kind)
    small = thumbnail_jpeg(data, _LONGEST)
    return None if small is None else _Picture(small, "image/jpeg")
