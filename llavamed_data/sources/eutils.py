"""What a search of PubMed Central finds, through NCBI's E-utilities.

Rules of NCBI (Entrez Programming Utilities Help, chapter 2, "Usage Guidelines and Requirements"): at most 3 requests a
second, 10 with an API key, and every request names its `tool` and, where given, an `email`.
"""

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.article_lists import ArticleList
from llavamed_data.sources.fetch import seconds_of
from llavamed_data.sources.stores import safe_address

NCBI = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
TOOL = "llavamed-data"
PAGE = 10_000
"""Identifiers of one answer at the most (ESearch, `retmax`)."""

_SPARE = 1.1
"""How much further apart than allowed requests are sent: on their way they may close up."""

_WORTH_REPEATING = (408, 425, 429)
_MOST_BYTES = 8 * 2**20
_FIRST_DAY, _LAST_DAY = date(1600, 1, 1).toordinal(), date(2200, 12, 31).toordinal()

Days = tuple[int, int]
"""First and last day of publication, as ordinals."""


def _environment(name: str) -> Callable[[], str]:
    return lambda: os.environ.get(name, "").strip()


@dataclass(slots=True)
class Eutils:
    """One client of the E-utilities; its requests go out one after another.

    Attributes:
        address: where they are; `NCBI_EUTILS_URL` names another place.
        key: from `NCBI_API_KEY`; sent in the body of requests and shown nowhere.
        email: from `NCBI_EMAIL`, for NCBI to write to.
        attempts: for each request.
        first_pause, longest_pause: seconds; bounds of the back-off, and the longest of `Retry-After`.
        request_seconds: after which a request without an answer has failed.
    """

    address: str = field(default_factory=lambda: os.environ.get("NCBI_EUTILS_URL", "").strip() or NCBI)
    key: str = field(default_factory=_environment("NCBI_API_KEY"), repr=False)
    email: str = field(default_factory=_environment("NCBI_EMAIL"), repr=False)
    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 60.0
    request_seconds: float = 60.0
    _next: float = field(default=0.0, init=False, repr=False)

    def search(self, text: str) -> ArticleList:
        """The articles that PMC finds for `text`, all of them.

        Pages are cut from the set that the first answer left on NCBI's history server. Where the server gives no
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
                "try again, or search more narrowly"
            )
        return ArticleList(found)

    def _collect(self, text: str, days: Days | None, found: set[int]) -> int:
        first = self._search(text, days)
        count: int = first["count"]
        here = set[int](first["idlist"])
        place = len(here)
        history = {"WebEnv": first.get("webenv", ""), "query_key": first.get("querykey", "")}
        while place < count:
            page = self._search(text, days, retstart=place, **history)
            ids = page.get("idlist")
            if not ids:
                self._split(text, days or (_FIRST_DAY, _LAST_DAY), found)
                break
            here.update(ids)
            place += len(ids)
        found |= here
        return count

    def _split(self, text: str, days: Days, found: set[int]) -> None:
        first, last = days
        if first < last:
            middle = (first + last) // 2
            self._collect(text, (first, middle), found)
            self._collect(text, (middle + 1, last), found)

    def _search(self, text: str, days: Days | None, **more: str | int) -> dict[str, Any]:
        """One answer of ESearch, or an empty one where the server has no such page."""
        asked: dict[str, str | int] = {
            "db": "pmc",
            "term": text,
            "usehistory": "y",
            "retmode": "json",
            "retmax": PAGE,
        }
        if days:
            asked["datetype"] = "pdat"
            asked["mindate"], asked["maxdate"] = (date.fromordinal(day).strftime("%Y/%m/%d") for day in days)
        answer = self._post("esearch.fcgi", {**asked, **more})
        if wrong := answer.get("ERROR"):
            if "retstart" in more:
                return {}
            raise UsageError(f"PMC cannot search for {text!r}: {str(wrong)[:200]}")
        if fields := (answer.get("errorlist") or {}).get("fieldsnotfound"):
            raise UsageError(f"PMC knows no search field {', '.join(map(str, fields))[:200]}: mend {text!r}")
        return answer

    def _post(self, utility: str, asked: dict[str, str | int]) -> dict[str, Any]:
        asked["tool"] = TOOL
        if self.email:
            asked["email"] = self.email
        if self.key:
            asked["api_key"] = self.key
        url = f"{safe_address(self.address.rstrip('/'))}/{utility}"
        request = urllib.request.Request(url, data=urllib.parse.urlencode(asked).encode())  # noqa: S310
        for made in range(1, self.attempts + 1):
            self._wait_for_turn()
            try:
                with urllib.request.urlopen(request, timeout=self.request_seconds) as answer:  # noqa: S310
                    return _result(answer.read(_MOST_BYTES))
            except urllib.error.HTTPError as error:
                why, wait = f"it answers {error.code}", seconds_of(error.headers.get("Retry-After", ""))
                if error.code < 500 and error.code not in _WORTH_REPEATING:
                    break
            except (OSError, http.client.HTTPException, ValueError, TypeError) as error:
                why, wait = getattr(error, "reason", None) or str(error) or type(error).__name__, 0.0
            if made < self.attempts:
                time.sleep(max(min(wait, self.longest_pause), self._pause(made)))
        raise LlavaMedError(f"the E-utilities at {self.address} cannot be used ({why}): try again later")

    def _wait_for_turn(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + _SPARE / (10 if self.key else 3)

    def _pause(self, made: int) -> float:
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (made - 1))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311  (jitter, not a secret)


def _result(body: bytes) -> dict[str, Any]:
    """What is inside an answer of ESearch.

    Raises:
        ValueError: it is no such answer: cut off, a page for people, or a complaint in place of a result.
    """
    content = json.loads(body)
    result = content.get("esearchresult") if isinstance(content, dict) else None
    if not isinstance(result, dict):
        told = content.get("error") if isinstance(content, dict) else None
        raise ValueError(str(told or "its answer holds no result")[:200])
    numbers = {"count": int(result.get("count") or 0), "idlist": list(map(int, result.get("idlist") or ()))}
    return {**result, **numbers}
