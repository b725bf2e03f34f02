"""What a search of PubMed Central finds, through NCBI's E-utilities.

Rules of NCBI (Entrez Programming Utilities Help, chapter 2, "Usage Guidelines and Requirements"): at most 3 requests a
second, 10 with an API key, and every request names its `tool` and, where given, an `email`.
"""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from datetime import date
from http import HTTPStatus
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.io.backoff import backoff_seconds, retry_after_seconds
from llavamed_data.io.patience import say_if_slow
from llavamed_data.sources.locations import safe_address

NCBI = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
TOOL = "llavamed-data"
PAGE = 9_999
"""The most identifiers that can be had of one search of PMC, which are asked for at once (ESearch, `retmax`)."""

_RATE_MARGIN = 1.1
"""How much further apart than the limit requires requests are sent: on their way the gaps may shrink."""

_ERROR_TEXT = re.compile(rb'"ERROR"\s*:\s*"(.*?)"\s*[,}]', re.DOTALL)
_OUTAGE = "backend failed"
"""In the error of a search engine that is away for a moment; for a later page, in that there is no such page."""

_RETRYABLE_STATUSES = (408, 425, 429)
_MAX_RESPONSE_BYTES = 8 * 2**20
_FIRST_DAY, _LAST_DAY = date(1600, 1, 1).toordinal(), date(2200, 12, 31).toordinal()

_ALL_NUMBERS = (1, 10**9)
"""First and last number of a PMCID."""

_LEAST_SHARE = 0.75
"""Of the articles counted that must be had: a smaller rest is stated, a larger one is a failure."""

Span = tuple[int, int]
"""First and last day as ordinals, or first and last number of a PMCID."""


class FoundArticles(set[int]):
    """The numbers of the PMCIDs that a search found.

    Attributes:
        counted: how many articles PMC says that there are, which may be some more.
    """

    counted = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a search: articles that PMC released on some days, or with some numbers, or both; None for all."""

    days: Span | None = None
    numbers: Span | None = None

    def term(self, text: str) -> str:
        """The search for this part as PMC writes it; only articles with open access have images."""
        clauses = [f"({text})", "open_access[Filter]"]
        if self.days:
            first, last = self._dates()
            clauses.append(f"{first}:{last}[pmcrdat]")
        if self.numbers:
            clauses.append("{}:{}[uid]".format(*self.numbers))
        return " AND ".join(clauses)

    def parameters(self) -> dict[str, str | int]:
        """The days once more as parameters of ESearch, for a server that knows them as such alone."""
        if not self.days:
            return {}
        first, last = self._dates()
        return {"datetype": "pmcrdat", "mindate": first, "maxdate": last}

    def _dates(self) -> list[str]:
        return [date.fromordinal(day).strftime("%Y/%m/%d") for day in self.days or ()]

    def halves(self) -> "list[_Part]":
        """The part cut in two, by days as long as there are several; nothing if it cannot be cut."""
        if self.numbers is None:
            first, last = self.days or (_FIRST_DAY, _LAST_DAY)
            if first == last:
                return [replace(self, numbers=half) for half in _halves(_ALL_NUMBERS)]
            return [replace(self, days=half) for half in _halves((first, last))]
        return [replace(self, numbers=half) for half in _halves(self.numbers)]

    def holds_all(self, found: Set[int], count: int) -> bool:
        """Whether the `count` articles of a range of numbers have been found already."""
        if self.days or not self.numbers:
            return False
        first, last = self.numbers
        return sum(first <= number <= last for number in found) >= count


def _halves(span: Span) -> list[Span]:
    first, last = span
    middle = (first + last) // 2
    return [(first, middle), (middle + 1, last)] if first < last else []


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
    _pages_end: bool = field(default=False, init=False, repr=False)

    def search(self, text: str) -> FoundArticles:
        """Finds the articles of the open-access subset that PMC has for `text`.

        Pages are cut from the set that the first response left on NCBI's history server. Where the server gives no
        page beyond some place, as PMC's does beyond 9,999 articles, the search is split by the day on which PMC
        released an article, then by ranges of PMCIDs, which also reach what no date does.

        Raises:
            UsageError: the search is empty, finds nothing, or cannot be understood.
            LlavaMedError: NCBI cannot be reached, or gives far fewer articles than it counts.
        """
        if not text.strip():
            raise UsageError(
                '--query is empty: write a search as on PMC, such as --query "radiology[journal]"'
            )
        found = FoundArticles()
        whole = self._search(text, _Part())
        counted: int = whole["count"]
        if not counted:
            raise UsageError(f"PMC finds nothing for {text!r}: check the search")
        self._pages_end = False
        self._collect(text, _Part(), whole, found)
        if len(found) < counted:
            part = _Part(numbers=_ALL_NUMBERS)
            self._collect(text, part, self._search(text, part), found)
        if len(found) < counted * _LEAST_SHARE:
            raise LlavaMedError(
                f"PMC counts {counted:,} articles for {text!r} and gives {len(found):,}: "
                "rerun the same command later, or search more narrowly"
            )
        found.counted = counted
        return found

    def _collect(self, text: str, part: _Part, first: dict[str, Any], found: set[int]) -> None:
        """Adds the articles of a part of the search, whose first page is there, to `found`."""
        count: int = first["count"]
        numbers = set[int](first["idlist"])
        found |= numbers
        place = len(first["idlist"])
        history = {"WebEnv": first.get("webenv", ""), "query_key": first.get("querykey", "")}
        while place < count and not self._pages_end:
            page = self._search(text, part, retstart=place, **history)
            ids = page.get("idlist")
            if not ids:
                self._pages_end = True
                break
            numbers.update(ids)
            found |= numbers
            place += len(ids)
        if len(numbers) >= count or part.holds_all(found, count):
            return
        halves = [(half, self._search(text, half)) for half in part.halves()]
        if sum(page["count"] for _, page in halves) >= 2 * count:
            return  # the server takes no notice of how the search was split
        for half, page in halves:
            self._collect(text, half, page, found)

    def _search(self, text: str, part: _Part, **page: str | int) -> dict[str, Any]:
        """One response of ESearch, or an empty one if the server has no such page."""
        parameters: dict[str, str | int] = {
            "db": "pmc",
            "term": part.term(text),
            "usehistory": "y",
            "retmode": "json",
            "retmax": PAGE,
            **part.parameters(),
            **page,
        }
        with say_if_slow(f"an answer of the E-utilities at {self.address}"):
            result = self._post("esearch.fcgi", parameters)
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
                    result = _result(response.read(_MAX_RESPONSE_BYTES))
                if "retstart" not in parameters and _OUTAGE in str(result.get("ERROR", "")).lower():
                    raise ValueError(result["ERROR"])
                return result
            except urllib.error.HTTPError as error:
                if error.code == HTTPStatus.BAD_REQUEST and "retstart" in parameters:
                    return {}  # there is no such page
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
    try:
        content = json.loads(body, strict=False)  # NCBI puts raw line breaks into the text of errors
    except ValueError:
        if not (stated := _ERROR_TEXT.search(body)):
            raise
        return {"ERROR": stated.group(1).decode("utf-8", "replace")}
    result = content.get("esearchresult") if isinstance(content, dict) else None
    if not isinstance(result, dict):
        error = content.get("error") if isinstance(content, dict) else None
        raise ValueError(str(error or "its response holds no result")[:200])
    numbers = {"count": int(result.get("count") or 0), "idlist": list(map(int, result.get("idlist") or ()))}
    return {**result, **numbers}
