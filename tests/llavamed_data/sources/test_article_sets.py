"""Files that hold many articles: each is an article of the source, with a handle of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from llavamed_data.engine import LocalEngine
from llavamed_data.jats import parse_article
from llavamed_data.pipeline.steps.extract import extract
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources import JatsFiles, SourceArticle
from llavamed_data.sources.article_choice import article_number

XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'


def article(number: int, *, declared: str = XLINK, meta: str = "", prefix: str = "") -> str:
    """An article whose only figure says its number, with every tag in `prefix`."""
    text = (
        f"<article {declared}><front><article-meta>{meta}</article-meta></front><body><p>See Figure 1.</p>"
        f'<fig id="F1"><label>Figure 1</label><caption><p>Film {number}.</p></caption>'
        '<graphic xlink:href="g1"/></fig></body></article>'
    )
    return text.replace("</", f"</{prefix}").replace("<", f"<{prefix}").replace(f"<{prefix}/", "</")


def captions_in(source: JatsFiles) -> list[str]:
    """The captions of every article, or the reason for which it is dropped."""
    found = []
    for read in source.read(list(source.handles())):
        try:
            if not isinstance(read, SourceArticle):
                raise read[1]
            found += [figure.caption for figure in parse_article(read.xml).figures]
        except Drop as drop:
            found.append(drop.reason.value)
    return found


def pmid(number: int) -> str:
    return f'<article-id pub-id-type="pmid">{number}</article-id>'


EFETCH = (
    '<?xml version="1.0"?>\n<!DOCTYPE pmc-articleset PUBLIC "-//NLM//DTD ARTICLE SET 2.0//EN" "absent.dtd">\n'
    f"<pmc-articleset>{article(1)}\n<!-- </article><article> -->{article(2)}<Reply Id='7' error='none'/>"
    f"{article(3)}</pmc-articleset>"
)
OAI = (
    '<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:j="urn:jats"><ListRecords>'
    + "".join(
        f"<record><header><identifier>oai:{number}</identifier></header><metadata>{one}</metadata></record>"
        for number, one in enumerate(
            [
                article(1),
                article(2, declared=f'xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/" {XLINK}'),
                article(3, prefix="j:"),
            ]
        )
    )
    + "<resumptionToken>x</resumptionToken></ListRecords></OAI-PMH>"
)
DECLARED_AROUND = (
    '<!DOCTYPE set [<!ENTITY film "Film"><!-- <article> -->]>'
    f"<set {XLINK}>{''.join(article(n, declared='').replace('Film', '&film;') for n in (1, 2, 3))}</set>"
)


@pytest.mark.parametrize("text", [EFETCH, OAI, DECLARED_AROUND, "\ufeff" + EFETCH])
def test_every_article_of_a_set_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.xml").write_text(text, encoding="utf-8")
    source = JatsFiles(tmp_path)
    handles = list(source.handles())
    assert len(set(handles)) == 3
    assert all(handle.startswith("set.xml#") for handle in handles)
    assert captions_in(source) == ["Film 1.", "Film 2.", "Film 3."]
    assert captions_in(JatsFiles(tmp_path / "set.xml")) == ["Film 1.", "Film 2.", "Film 3."]


def test_a_file_of_one_article_keeps_the_name_of_the_file_as_its_handle(tmp_path: Path) -> None:
    (tmp_path / "bare.xml").write_text(f"<!-- <article> --><?x <article> ?>{article(1)}")
    (tmp_path / "wrapped.xml").write_text(f"<pmc-articleset>{article(2)}</pmc-articleset>")
    source = JatsFiles(tmp_path)
    assert list(source.handles()) == ["bare.xml", "wrapped.xml"]
    assert captions_in(source) == ["Film 1.", "Film 2."]


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        (f"<set>{article(1)}{article(2)[:-30]}", ["Film 1.", "malformed XML"]),
        (f"<set>{article(1)[:-10]}{article(2)}</set>", ["malformed XML", "Film 2."]),
        (f"<set>{article(1)}<article><b></i></article>{article(3)}</set>", ["Film 1.", "malformed XML", "Film 3."]),
        ("<PubmedArticleSet><PubmedArticle/></PubmedArticleSet>", ["malformed XML"]),
        ("<pmc-articleset></pmc-articleset>", ["malformed XML"]),
        ("", ["malformed XML"]),
    ],
)  # fmt: skip
def test_what_is_broken_in_a_set_is_dropped_alone(tmp_path: Path, text: str, outcomes: list[str]) -> None:
    (tmp_path / "set.xml").write_text(text)
    assert captions_in(JatsFiles(tmp_path)) == outcomes


def test_a_set_in_an_encoding_that_cannot_be_searched_is_dropped_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "set.xml").write_bytes(EFETCH.replace('<?xml version="1.0"?>', "").encode("utf-16"))
    assert captions_in(JatsFiles(tmp_path)) == [Reason.SEVERAL_ARTICLES.value]


def test_extract_counts_and_limits_articles_and_names_pairs_apart(tmp_path: Path) -> None:
    texts = [article(1, meta=pmid(11)), article(2), article(3), "<article><b></article>"]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "set.xml").write_text(f"<set>{''.join(texts)}</set>")
    (tmp_path / "in" / "single.xml").write_text(article(9))
    source = JatsFiles(tmp_path / "in")
    one = extract(source, tmp_path / "one", engine=LocalEngine(workers=1))
    assert one.manifest.tallies["articles"].kept == 4
    assert one.manifest.tallies["articles"].dropped == {"malformed XML": 1}
    pairs = [row for path in one.pair_files for row in pq.read_table(path).to_pylist()]
    assert [row["caption"] for row in pairs] == ["Film 1.", "Film 2.", "Film 3.", "Film 9."]
    ids = [row["pair_id"] for row in pairs]
    assert (ids[0], ids[3]) == ("11_F1", "single_F1")
    assert len(set(ids)) == 4
    two = extract(source, tmp_path / "two", limit=2, engine=LocalEngine(workers=2))
    assert two.manifest.tallies["articles"].entered == 2


def test_an_article_of_a_set_is_not_named_by_the_pmcid_in_the_name_of_the_file() -> None:
    assert article_number("PMC7.xml") == 7
    assert article_number("PMC7.xml#1290") == -1


def test_a_long_set_takes_little_memory(tmp_path: Path) -> None:
    """A set of 300 MB is listed, and its last article is read, by a process that may not grow by more than 64 MB."""
    text = article(1)
    filler = "<p>" + "x" * 2**20 + "</p>"
    with (tmp_path / "set.xml").open("w") as file:
        file.write("<set>")
        for _ in range(300):
            file.write(text.replace("<body>", "<body>" + filler))
        file.write(article(2) + "</set>")
    code = (
        "import json, resource, sys; from llavamed_data.sources import JatsFiles; source = JatsFiles(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; handles = list(source.handles())\n"
        "xml = next(source.read(handles[-1:])).xml\n"
        "print(json.dumps([len(handles), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(xml)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    articles, grown, length = json.loads(done.stdout)
    assert articles == 301
    assert length < 2_000
    assert grown * (1 if sys.platform == "darwin" else 1024) < 64 * 2**20
