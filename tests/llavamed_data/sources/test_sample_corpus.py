"""What the bundled corpus promises: the bucket's layout, evident invention, faults only where its README says."""

import gzip
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from llavamed_data.jats import parse_article
from llavamed_data.sources import sample
from llavamed_data.sources.sample import corpus_path
from tests.sample_corpus.draw import draw

CORPUS = corpus_path()
README = Path(sample.__file__).with_name("README.md")
ARTICLES = sorted(path.name for path in CORPUS.glob("PMC*"))
MALFORMED = "PMC9000014.1"
SYNTHETIC = "This article is synthetic: it was written to exercise software and describes no patient."
URL = re.compile(r"s3://pmc-oa-opendata/(?P<key>[^?]+)\?md5=(?P<md5>[0-9a-f]{32})")
KEYS = [
    "pmcid", "version", "pmid", "doi", "title", "citation", "is_pmc_openaccess", "is_manuscript",
    "is_historical_ocr", "is_retracted", "license_code", "xml_url", "text_url", "media_urls",
]  # fmt: skip
LICENSES = {"by": "CC BY", "by-nc": "CC BY-NC", "by-nc-sa": "CC BY-NC-SA", "zero": "CC0"}


def metadata(article: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CORPUS / article / f"{article}.json").read_text("utf-8"))
    return found


def xml(article: str) -> bytes:
    return (CORPUS / article / f"{article}.xml").read_bytes()


def tree(article: str) -> etree._Element:
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities="internal")
    return etree.fromstring(xml(article), parser)


def figure_table() -> list[list[str]]:
    """The rows of the README's table of figures."""
    text = README.read_text("utf-8").split("## Figures")[1].split("## Sums")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| PMC")]
    assert all(len(row) == 7 for row in rows)
    return rows


def test_the_corpus_is_small_and_has_enough_articles() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1_500_000
    assert len({article.split(".")[0] for article in ARTICLES}) == 28


def test_every_identifier_is_evidently_invented() -> None:
    for article in ARTICLES:
        about = metadata(article)
        number = int(article.removeprefix("PMC").split(".")[0]) - 9_000_000
        assert 1 <= number <= 28
        assert about["pmcid"] == article.split(".")[0]
        assert about.get("pmid") == (None if article == "PMC9000004.1" else 99_000_000 + number)
        assert about["doi"].startswith("10.5555/")


@pytest.mark.parametrize("article", ARTICLES)
def test_every_article_says_that_it_is_synthetic(article: str) -> None:
    assert SYNTHETIC in xml(article).decode("utf-8")
    assert SYNTHETIC in (CORPUS / article / f"{article}.txt").read_text("utf-8")
    assert "Synthetic Cases" in metadata(article)["citation"]


@pytest.mark.parametrize("article", ARTICLES)
def test_a_folder_holds_what_its_metadata_says(article: str) -> None:
    about = metadata(article)
    assert [key for key in about if key != "mid"] == [key for key in KEYS if key in about]
    assert set(KEYS) - set(about) <= {"pmid", "media_urls"}
    assert f"{about['pmcid']}.{about['version']}" == article
    assert (CORPUS / "metadata" / f"{article}.json").read_bytes() == (
        CORPUS / article / f"{article}.json"
    ).read_bytes()
    media = {URL.fullmatch(url)["key"] for url in about.get("media_urls", [])}  # type: ignore[index]
    here = {f"{article}/{path.name}" for path in (CORPUS / article).iterdir()}
    assert here - media == {f"{article}/{article}.{suffix}" for suffix in ("xml", "json", "txt")}
    assert media - here == ({f"{article}/JSC-1-15-g001.jpg"} if article == "PMC9000015.1" else set())


def test_every_checksum_is_true_but_one() -> None:
    wrong = []
    for article in ARTICLES:
        about = metadata(article)
        for url in (about["xml_url"], about["text_url"], *about.get("media_urls", [])):
            match = URL.fullmatch(url)
            assert match is not None
            path = CORPUS / match["key"]
            if path.exists() and hashlib.md5(path.read_bytes()).hexdigest() != match["md5"]:
                wrong.append(match["key"])
    assert wrong == ["PMC9000019.1/JSC-1-19-g001.jpg"]


def test_the_inventory_lists_every_metadata_object() -> None:
    manifest_key = "inventory-reports/pmc-oa-opendata/metadata/2026-11-01T01-00Z/manifest.json"
    manifest = json.loads((CORPUS / manifest_key).read_text("utf-8"))
    (part,) = manifest["files"]
    packed = (CORPUS / part["key"]).read_bytes()
    assert (len(packed), hashlib.md5(packed).hexdigest()) == (part["size"], part["MD5checksum"])
    assert packed[4:8] == b"\0\0\0\0", "the gzip header holds a time, so that two runs differ"
    rows = [line.split(",") for line in gzip.decompress(packed).decode().replace('"', "").splitlines()]
    assert [row[1] for row in rows] == [f"metadata/{article}.json" for article in ARTICLES]
    for bucket, key, modified, etag in rows:
        assert bucket == "pmc-oa-opendata"
        assert modified == "2026-10-31T04:00:00.000Z"
        assert etag == hashlib.md5((CORPUS / key).read_bytes()).hexdigest()


def test_one_article_is_malformed_and_the_others_are_well_formed() -> None:
    for article in ARTICLES:
        if article == MALFORMED:
            with pytest.raises(etree.XMLSyntaxError):
                tree(article)
        else:
            tree(article)


def test_one_article_is_retracted_and_one_is_not_open_access() -> None:
    about = {article: metadata(article) for article in ARTICLES}
    assert [name for name in ARTICLES if about[name]["is_retracted"]] == ["PMC9000011.1"]
    assert [name for name in ARTICLES if not about[name]["is_pmc_openaccess"]] == ["PMC9000012.1"]
    closed = about["PMC9000012.1"]
    assert (closed["license_code"], closed["is_manuscript"], "media_urls" in closed) == ("TDM", True, False)


def test_the_licence_in_the_metadata_is_that_of_the_xml() -> None:
    codes = set()
    for article in ARTICLES:
        address = re.search(
            rb'<(?:j:)?license [^>]*href="https://creativecommons.org/[a-z]+/([a-z-]+)/', xml(article)
        )
        code = LICENSES[address[1].decode()] if address else "TDM"
        assert metadata(article)["license_code"] == code
        codes.add(code)
    assert codes == {"CC BY", "CC BY-NC", "CC BY-NC-SA", "CC0", "TDM"}


def test_the_current_version_differs_from_the_first() -> None:
    first, second = tree("PMC9000013.1"), tree("PMC9000013.2")
    assert len(list(first.iter("fig"))) == 2
    assert len(list(second.iter("fig"))) == 3


JATS_VARIETY = {
    "figure with label, caption title, paragraph, graphic": "//fig[label][caption/title][caption/p][graphic]",
    "href without extension": "//graphic[@xlink:href='JSC-1-1-g001']",
    "href that ends in .tif": "//graphic[@xlink:href='JSC-1-17-g003.tif']",
    "alternatives": "//fig/alternatives/graphic",
    "several graphics": "//*[local-name()='fig'][count(*[local-name()='graphic']) = 2]",
    "fig-group": "//fig-group[count(fig) = 2]",
    "floats-group": "/article/floats-group/fig",
    "appendix": "//app/fig",
    "sub-article": "//sub-article//fig",
    "boxed text": "//boxed-text/fig",
    "markup in a caption": "//fig/caption//italic",
    "list in a caption": "//fig/caption//list-item",
    "formula in two forms": "//fig/caption//alternatives[tex-math][mml:math]",
    "xref in a caption": "//fig/caption//xref[@ref-type='fig']",
    "superscript and subscript": "//fig/caption//sub/following::sup",
    "no caption": "//fig[not(caption)]",
    "several rids": "//xref[@ref-type='fig'][contains(@rid, ' ')]",
    "range with its ends tagged": "//xref[starts-with(following-sibling::text()[1], '–')]/following-sibling::xref",
    "untagged mentions": "/article[.//fig][not(.//xref)]//p[contains(., '(Fig. 3)')]",
    "sub-figure mention": "//xref[@ref-type='fig'][. = 'Figure 1A']",
    "structured abstract": "//abstract/sec/title",
    "article without PMID": "//article-meta[not(article-id[@pub-id-type='pmid'])]",
    "article-id with the letters PMC": "//article-id[@pub-id-type='pmcid'][starts-with(., 'PMC')]",
    "article-id of digits only": "//article-id[@pub-id-type='pmc'][number(.) > 0]",
}


@pytest.mark.parametrize("path", JATS_VARIETY.values(), ids=JATS_VARIETY.keys())
def test_each_form_that_jats_takes_occurs(path: str) -> None:
    names = {"xlink": "http://www.w3.org/1999/xlink", "mml": "http://www.w3.org/1998/Math/MathML"}
    assert any(tree(article).xpath(path, namespaces=names) for article in ARTICLES if article != MALFORMED)


def test_documents_differ_in_doctype_namespace_and_entities() -> None:
    tags = {article: tree(article) for article in ARTICLES if article != MALFORMED}
    jats = "{https://jats.nlm.nih.gov/ns/archiving/1.3/}article"
    assert {name: element.prefix for name, element in tags.items() if element.tag == jats} == {
        "PMC9000021.1": None,
        "PMC9000022.1": "j",
    }
    assert [name for name in ARTICLES if b"<!DOCTYPE" not in xml(name)] == ["PMC9000021.1"]
    assert b"<!ENTITY hospital" in xml("PMC9000022.1")
    assert "seen at the Hospital of Sampleton" in "".join(map(str, tags["PMC9000022.1"].itertext()))


@pytest.mark.parametrize("trap", ["Fig. 1", "et al.", "i.e.", "E. coli", "412.5", "Dr. ", "cf. ", "vs. "])
def test_every_abbreviation_that_may_mislead_a_sentence_splitter_occurs(trap: str) -> None:
    assert trap in " ".join("".join(map(str, tree("PMC9000023.1").itertext())).split())


def test_the_readme_lists_every_figure_of_the_articles_that_are_read() -> None:
    left_out = {MALFORMED, "PMC9000011.1", "PMC9000012.1", "PMC9000013.1"}
    figures = [
        (article, figure.get("id"))
        for article in ARTICLES
        if article not in left_out
        for figure in tree(article).iter("{*}fig")
    ]
    assert sorted((row[0], row[1]) for row in figure_table()) == sorted(figures)


def test_the_readme_sums_are_those_of_its_table() -> None:
    rows = figure_table()
    sound = [row for row in rows if row[6] == "sound"]
    domains = ["chest_xray", "mri", "histology", "gross", "ct_scan"]
    assert len(rows) == 64
    assert [sum(row[2] == domain for row in sound) for domain in domains] == [10] * 5
    assert [sum(row[2] == domain and row[4] != "0" for row in sound) for domain in domains] == [9] * 5
    assert all(row[3] == "yes" for row in sound)
    assert sum(row[5] == "brief" for row in rows) == 17


def test_the_mentions_a_person_counts_are_those_that_the_reader_finds() -> None:
    found = {
        (article, figure.figure_id): len(figure.inline_mentions)
        for article in {row[0] for row in figure_table()}
        for figure in parse_article(xml(article)).figures
    }
    assert found == {(row[0], row[1]): int(row[4]) for row in figure_table()}


def test_images_are_what_the_readme_says() -> None:
    broken, not_jpeg = [], []
    for path in sorted(CORPUS.glob("PMC*/*.[jJ][pP][gG]")):
        name = f"{path.parent.name}/{path.name}"
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            if picture.format != "JPEG":
                not_jpeg.append((name, picture.format))
            try:
                picture.load()
            except OSError:
                broken.append(name)
            assert min(picture.size) >= 160, name
    assert broken == ["PMC9000016.1/gr1.jpg"]
    assert not_jpeg == [("PMC9000018.1/JSC-1-18-g001.jpg", "PNG")]


@pytest.mark.slow
def test_drawing_anew_gives_the_same_corpus(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    draw(out)
    kept = {path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*") if path.is_file()}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == kept
    for name in sorted(kept):
        old, new = (CORPUS / name).read_bytes(), (out / name).read_bytes()
        if name.lower().endswith(".jpg"):
            assert_same_picture(name, old, new)
        elif "inventory-reports" not in name:
            assert re.sub(rb"md5=\w+", b"", new) == re.sub(rb"md5=\w+", b"", old), name


def assert_same_picture(name: str, old: bytes, new: bytes) -> None:
    """Equal up to what another release of Pillow, its font renderer or its JPEG library may change."""
    if old == new or name == "PMC9000016.1/gr1.jpg":
        return
    before, after = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float) for data in (old, new)
    )
    assert before.shape == after.shape, name
    assert np.abs(before - after).mean() < 3, name


def test_a_folder_with_something_in_it_is_not_drawn_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not empty"):
        draw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
