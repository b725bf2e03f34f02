"""Lists of articles: from a file, and from a search that a real server answers."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.article_choice import ArticleChoice, ArticleList, read_article_list
from llavamed_data.sources.eutils import Eutils
from tests.servers.eutils import EutilsServer, Response

SECRET = "0123456789abcdef-secret"


def listed(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    return list(read_article_list(tmp_path / "list.txt"))


def test_a_list_takes_pmcids_as_people_write_them(tmp_path: Path) -> None:
    text = "\ufeffPMC12\n7  # seven\n\n# none\npmc12.3\r\n PMC300.1 \n"
    assert listed(tmp_path, text) == ["PMC7", "PMC12", "PMC300"]


@pytest.mark.parametrize("line", ["PMC", "PMID 12", "PMC12x", "12;13", "PMC-1", "PMC١٢", "../PMC12", "=1+1"])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match=r"list\.txt, line 3: .* is no PMCID"):
        listed(tmp_path, f"PMC1\n\n{line}\n")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00"])
def test_a_file_without_a_list_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UsageError, match="give one PMCID a line"):
        read_article_list(tmp_path / "list.txt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_article_list(tmp_path / "none.txt")


@given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40), min_size=1, unique=True))
def test_every_article_of_a_list_is_either_chosen_or_missing(wanted: set[int], held: list[int]) -> None:
    chosen = ArticleList(wanted)
    got = list(chosen.choose(f"PMC{number}.{number % 3 + 1}" for number in held))
    assert got == [f"PMC{number}.{number % 3 + 1}" for number in held if number in wanted]
    assert list(chosen.missing()) == [f"PMC{number}" for number in sorted(wanted - set(held))]


def test_articles_are_found_by_name_in_old_mirrors_too() -> None:
    chosen = ArticleList([12])
    handles = ["00/PMC12.tar.gz", "PMC123.tar.gz", "12.tar.gz"]
    assert list(chosen.choose(handles)) == ["00/PMC12.tar.gz"]
    with pytest.raises(UsageError, match="does not name its articles by PMCID"):
        list(chosen.choose(["journal.pbio.0020188.xml"]))


def days(count: int) -> dict[int, date | None]:
    """So many articles, of which PMC released about 30 a day."""
    return {number: date(2001, 2, 3) + timedelta(number // 30) for number in range(1, count + 1)}


def client(server: EutilsServer, **changes: object) -> Eutils:
    return Eutils(**{"address": server.url, "first_pause": 0.01, "longest_pause": 0.05, **changes})  # type: ignore[arg-type]


def test_all_pages_of_a_search_are_read_from_one_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCBI_API_KEY", SECRET)
    monkeypatch.setenv("NCBI_EMAIL", "someone@example.org")
    with EutilsServer({"cyst[title]": days(25_000)}) as server:
        found = client(server).search("cyst[title]")
    assert len(found) == 25_000
    assert [asked.get("retstart") for asked in server.asked] == [None, "9999", "19998"]
    assert {asked["term"] for asked in server.asked} == {"(cyst[title]) AND open_access[Filter]"}
    assert {asked["tool"] for asked in server.asked} == {"llavamed-data"}
    assert {asked["email"] for asked in server.asked} == {"someone@example.org"}
    assert {asked["api_key"] for asked in server.asked} == {SECRET}
    assert server.asked[0]["usehistory"] == "y"
    assert {asked.get("WebEnv") for asked in server.asked[1:]} == {"MCID_0"}
    assert not any(SECRET in line for line in server.lines)


RAW_LINE_BREAK = (
    b'{"header": {"type": "esearch", "version": "0.3"}, "esearchresult": {"ERROR": "Search Backend failed: '
    b"Exception:\n'retstart' cannot be larger than 998. For PMC, ESearch can only retrieve the first 999 records"
)
BEYOND = {
    "an error": None,
    "a raw line break": Response(200, RAW_LINE_BREAK + b'."}}'),
    "raw marks of quotation": Response(200, RAW_LINE_BREAK.replace(b"retstart'", b'retstart"') + b'."}}'),
    "status 400": Response(400, RAW_LINE_BREAK + b'."}}'),
    "status 400 and a page": Response(400, b"<html>Bad Request</html>"),
}


@pytest.mark.parametrize("beyond", BEYOND)
def test_a_search_is_split_by_date_if_the_server_gives_no_further_page(beyond: str) -> None:
    with EutilsServer({"cyst": days(3_000)}, last_place=998, beyond=BEYOND[beyond]) as server:
        found = client(server, key="key").search("cyst")
    assert found == set(range(1, 3_001))
    assert found.counted == 3_000
    assert sum("retstart" in asked for asked in server.asked) == 1  # what is known of one page holds for all
    assert {asked.get("datetype") for asked in server.asked} == {None, "pmcrdat"}


def test_a_day_with_too_many_articles_is_split_by_their_numbers() -> None:
    one_day = dict.fromkeys(range(9_000_000, 9_003_000), date(2020, 1, 1))
    with EutilsServer({"cyst": one_day | days(50)}, last_place=998) as server:
        found = client(server, key="key").search("cyst")
    assert found == set(one_day) | set(range(1, 51))


def test_articles_that_no_date_reaches_are_found_by_their_numbers() -> None:
    undated = dict.fromkeys(range(1, 51))
    with EutilsServer({"cyst": days(3_000) | undated}, last_place=998) as server:
        found = client(server, key="key").search("cyst")
    assert found == set(range(1, 3_001))


def test_a_small_rest_that_cannot_be_reached_is_stated_and_kept_with_the_articles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undated = dict.fromkeys(range(1, 51))
    monkeypatch.setenv("NCBI_API_KEY", "key")
    choice = ArticleChoice(query="cyst")
    with EutilsServer({"cyst": days(3_000) | undated}, last_place=998, ignores_numbers=True) as server:
        monkeypatch.setenv("NCBI_EUTILS_URL", server.url)
        articles = choice.articles(tmp_path)
    assert articles is not None
    assert list(articles) == [f"PMC{n}" for n in range(1, 3_001) if n not in undated]
    says = ["PMC counts 3,000 articles for the search and gives 2,950: 50 could not be reached"]
    assert choice.shortage(articles, tmp_path) == says
    again = choice.articles(tmp_path)  # nobody is asked
    assert choice.shortage(again, tmp_path) == says


@pytest.mark.slow
def test_a_search_that_cannot_be_listed_completely_is_an_error() -> None:
    one_day: dict[int, date | None] = dict.fromkeys(range(1, 100), date(2020, 1, 1))
    says = pytest.raises(LlavaMedError, match="counts 99 articles for 'cyst' and gives 10")
    with EutilsServer({"cyst": one_day}, last_place=9, ignores_numbers=True) as server, says:
        client(server, key="key").search("cyst")


@pytest.mark.parametrize(("key", "least"), [("", 1 / 3), ("key", 1 / 10)])
def test_requests_keep_to_the_rate_that_ncbi_allows(key: str, least: float) -> None:
    faults = {1: Response(500), 2: Response(502), 3: Response(503)}
    with EutilsServer({"cyst": days(5)}, fault=faults.get) as server:
        client(server, key=key).search("cyst")
    assert len(server.times) == 4
    on_a_loaded_machine = 0.8  # requests may arrive closer together than they were sent
    assert server.times[-1] - server.times[0] >= 3 * least * on_a_loaded_machine


def test_a_busy_or_broken_server_is_asked_again_after_the_time_that_it_states() -> None:
    faults = {
        1: Response(429, headers={"Retry-After": "1"}),
        2: Response(200, b'{"error":"API rate limit exceeded","count":"11"}'),
        3: Response(200, b"<html>maintenance</html>"),
        4: Response(200, b'{"esearchresult": {"cou'),
        5: Response(200, b'{"esearchresult": {"count": "5", "idlist": ["PMC1"]}}'),
        6: Response(
            200, b'{"esearchresult": {"ERROR": "Search Backend failed:\nno server could be resolved"}}'
        ),
    }
    with EutilsServer({"cyst": days(5)}, fault=faults.get) as server:
        assert client(server, key="key", longest_pause=2).search("cyst") == {1, 2, 3, 4, 5}
    assert len(server.asked) == 7
    assert server.times[1] - server.times[0] >= 1


def test_the_key_is_shown_nowhere_when_all_fails() -> None:
    with EutilsServer({}, fault=lambda _: Response(500)) as server:
        asking = client(server, key=SECRET, attempts=3)
        with pytest.raises(LlavaMedError, match="it answers 500") as failed:
            asking.search("cyst")
    assert SECRET not in f"{failed.value!r} {asking!r}"
    with pytest.raises(LlavaMedError, match="rerun the same command later"):
        asking.search("cyst")  # nobody listens any more
    assert len(server.asked) == 3


def test_a_search_that_finds_nothing_or_cannot_be_read_is_an_error_of_usage() -> None:
    wrong = Response(200, b'{"esearchresult": {"ERROR": "Unbalanced parentheses"}}')
    field = Response(200, b'{"esearchresult": {"count": "9", "errorlist": {"fieldsnotfound": ["titel"]}}}')
    with EutilsServer({}, fault={2: wrong, 3: Response(400), 4: field}.get) as server:
        with pytest.raises(UsageError, match="finds nothing for 'cyst'"):
            client(server).search("cyst")
        with pytest.raises(UsageError, match="Unbalanced parentheses"):
            client(server).search("(cyst")
        with pytest.raises(LlavaMedError, match="it answers 400"):
            client(server).search("cyst")
        with pytest.raises(UsageError, match="no search field titel"):
            client(server).search("cyst[titel]")
    with pytest.raises(UsageError, match="--query is empty"):
        Eutils().search(" ")
    with pytest.raises(UsageError, match=re.escape("is not encrypted")):
        Eutils(address="http://example.org").search("cyst")
