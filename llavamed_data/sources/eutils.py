"""What a search of PubMed Central finds, through NCBI's E-utilities.

Rules of NCBI (Entrez Programming Utilities Help, chapter 2, "Usage Guidelines and Requirements"): at most 3 requests a
second, 10 with an API key, and every request names its `tool` and, where given, an `email`.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.io.backoff import backoff_seconds, retry_after_seconds
from llavamed_data.sources.locations import safe_address

NCBI = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
TOOL = "llavamed-data"
PAGE = 10_000
"""The most identifiers in one response (ESearch, `retmax`)."""

_RATE_MARGIN = 1.1
"""How much further apart than the limit requires requests are sent: on their way the gaps may shrink."""

_RETRYABLE_STATUSES = (408, 425, 429)
_MAX_RESPONSE_BYTES = 8 * 2**20
_FIRST_DAY, _LAST_DAY = date(1600, 1, 1).toordinal(), date(2200, 12, 31).toordinal()

Days = tuple[int, int]
"""First and last day of publication, as ordinals."""


def _environment(name: str, default: str = "") -> Callable[[], str]:
    return lambda: os.environ.get(name, "").strip() or default


@dataclass(slots=True)
class Eutils:
    """A client of the E-utilities; its requests are sent one after another.

    Attributes:
        address: of the service; `NCBI_EUTILS_URL` names another one.
        key: from `NCBI_API_KEY`; sent in the body of requests and shown nowhere.
        email: from `NCBI_EMAIL`, for NCBI to write to.
        attempts: for each request.
        first_pause, longest_pause: bounds of the back-off in seconds; a longer `Retry-After` is cut to the second.
        request_seconds: after which a request without a response has failed.
    """

    address: str = field(default_factory=_environment("NCBI_EUTILS_URL", NCBI))
    key: str = field(default_factory=_environment("NCBI_API_KEY"), repr=False)
    email: str = field(default_factory=_environment("NCBI_EMAIL"), repr=False)
    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 60.0
    request_seconds: float = 60.0
    _next_request: float = field(default=0.0, init=False, repr=False)

    def search(self, text: str) -> set[int]:
        """The numbers of the PMCIDs of all articles that PMC finds for `text`.

        Pages are cut from the set that the first response left on NCBI's history server. If the server gives no
        page beyond some place, as PubMed's does, the search is split by date of publication.

        Raises:
            UsageError: the search is empty, finds nothing, or cannot be understood.
            LlavaMedError: NCBI cannot be reached, or gives fewer articles than it counts.
        """
        if not text.strip():
            raise UsageError(
                '--query is empty: write a search as on PMC, such as --query "radiology[journal]"'
            )
        found = set[int]()
        count = self._collect(text, None, found)
        if not count:
            raise UsageError(f"PMC finds nothing for {text!r}: check the search")
        if len(found) < count:
            raise LlavaMedError(
                f"PMC counts {count:,} articles for {text!r} and gives {len(found):,}: "
                "rerun the same command later, or search more narrowly"
            )
        return found

    def _collect(self, text: str, days: Days | None, found: set[int]) -> int:
        """Adds the articles published in `days` to `found`; returns how many the server counts."""
        first = self._search(text, days)
        count: int = first["count"]
        numbers = set[int](first["idlist"])
        place = len(numbers)
        history = {"WebEnv": first.get("webenv", ""), "query_key": first.get("querykey", "")}
        while place < count:
            page = self._search(text, days, retstart=place, **history)
            ids = page.get("idlist")
            if not ids:
                first_day, last_day = days or (_FIRST_DAY, _LAST_DAY)
                if first_day < last_day:
                    middle = (first_day + last_day) // 2
                    self._collect(text, (first_day, middle), found)
                    self._collect(text, (middle + 1, last_day), found)
                break
            numbers.update(ids)
            place += len(ids)
        found |= numbers
        return count

    def _search(self, text: str, days: Days | None, **page: str | int) -> dict[str, Any]:
        """One response of ESearch, or an empty one if the server has no such page."""
        parameters: dict[str, str | int] = {
            "db": "pmc",
            "term": text,
            "usehistory": "y",
            "retmode": "json",
            "retmax": PAGE,
        }
        if days:
            parameters["datetype"] = "pdat"
            parameters["mindate"], parameters["maxdate"] = (
                date.fromordinal(day).strftime("%Y/%m/%d") for day in days
            )
        result = self._post("esearch.fcgi", {**parameters, **page})
        if error := result.get("ERROR"):
            if "retstart" in page:
                return {}
            raise UsageError(f"PMC cannot search for {text!r}: {one_line(str(error))}")
        if fields := (result.get("errorlist") or {}).get("fieldsnotfound"):
            raise UsageError(
                f"PMC knows no search field {one_line(', '.join(map(str, fields)))}: correct {text!r}"
            )
        return result

    def _post(self, utility: str, parameters: dict[str, str | int]) -> dict[str, Any]:
        parameters["tool"] = TOOL
        if self.email:
            parameters["email"] = self.email
        if self.key:
            parameters["api_key"] = self.key
        url = f"{safe_address(self.address.rstrip('/'))}/{utility}"
        request = urllib.request.Request(url, data=urllib.parse.urlencode(parameters).encode())  # noqa: S310  (safe_address)
        for failures in range(1, self.attempts + 1):
            time.sleep(max(0.0, self._next_request - time.monotonic()))
            self._next_request = time.monotonic() + _RATE_MARGIN / (10 if self.key else 3)
            try:
                with urllib.request.urlopen(request, timeout=self.request_seconds) as response:  # noqa: S310  (safe_address)
                    return _result(response.read(_MAX_RESPONSE_BYTES))
            except urllib.error.HTTPError as error:
                cause, asked = f"it answers {error.code}", retry_after_seconds(error.headers["Retry-After"])
                if error.code < 500 and error.code not in _RETRYABLE_STATUSES:
                    break
            except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
                cause, asked = str(getattr(error, "reason", "")) or one_line(error), None
            if failures < self.attempts:
                pause = backoff_seconds(failures, first=self.first_pause, longest=self.longest_pause)
                time.sleep(max(min(asked or 0.0, self.longest_pause), pause))
        raise LlavaMedError(
            f"the E-utilities at {self.address} cannot be used ({cause}): rerun the same command later"
        )


def _result(body: bytes) -> dict[str, Any]:
    """The result inside a response of ESearch, its count and identifiers as numbers.

    Raises:
        ValueError: it holds none: the response is cut off, a web page, or an error message.
    """
    content = json.loads(body)
    result = content.get("esearchresult") if isinstance(content, dict) else None
    if not isinstance(result, dict):
        error = content.get("error") if isinstance(content, dict) else None
        raise ValueError(str(error or "its response holds no result")[:200])
    numbers = {"count": int(result.get("count") or 0), "idlist": list(map(int, result.get("idlist") or ()))}
    return {**result, **numbers}
