"""What the front matter says: identifiers, title, year, licence."""

import pytest

from tests.llavamed_data.jats.documents import read


def test_front_matter() -> None:
    article = read(
        meta='<article-id pub-id-type="pmcid">PMC9000001</article-id><article-id pub-id-type="pmid">12345</article-id>'
        '<article-id pub-id-type="doi">10.1000/x</article-id><article-id pub-id-type="publisher-id">y</article-id>'
        "<title-group><article-title>A <italic>rare</italic>\n mass<xref>*</xref></article-title></title-group>"
        '<pub-date pub-type="collection"><year>2015</year></pub-date>'
        '<pub-date pub-type="epub"><day>3</day><month>12</month><year>2014</year></pub-date>'
        '<pub-date pub-type="pmc-release"><year>2013</year></pub-date>'
    )
    assert (article.pmcid, article.pmid, article.doi) == ("PMC9000001", "12345", "10.1000/x")
    assert (article.title, article.year) == ("A rare mass*", 2014)


def test_what_is_not_stated_is_none() -> None:
    article = read()
    assert (article.pmcid, article.pmid, article.doi, article.title, article.license, article.year) == (
        None, None, None, "", None, None,
    )  # fmt: skip


def test_older_pmcids_have_no_letters() -> None:
    assert read(meta='<article-id pub-id-type="pmc">123</article-id>').pmcid == "PMC123"


CC = "http://creativecommons.org"
ALI = '<ali:license_ref xmlns:ali="http://www.niso.org/schemas/ali/1.0/">{}</ali:license_ref>'


@pytest.mark.parametrize(
    ("permissions", "code"),
    [
        (f'<license xlink:href="{CC}/licenses/by/4.0/"><license-p>Any words.</license-p></license>', "CC BY"),
        ('<license xlink:href="https://creativecommons.org/licenses/by-nc-nd/3.0/"/>', "CC BY-NC-ND"),
        (f'<license xlink:href="{CC}/licenses/by-nc-sa/4.0"/>', "CC BY-NC-SA"),
        (f'<license xlink:href="{CC}/licenses/by-sa/4.0"/>', "CC BY-SA"),
        (f'<license xlink:href="{CC}/licenses/by-nd/4.0"/>', "CC BY-ND"),
        (f'<license xlink:href="{CC}/publicdomain/zero/1.0/"/>', "CC0"),
        ("<license>" + ALI.format(f"{CC}/licenses/by-nc/4.0/") + "</license>", "CC BY-NC"),
        (ALI.format(f"{CC}/licenses/by/4.0/"), "CC BY"),
        (f'<license><p>See <ext-link xlink:href="{CC}/licenses/by-nc/2.0">here</ext-link></p></license>', "CC BY-NC"),
        (
            f'<license><license-p>Under <ext-link xlink:href="{CC}/licenses/by/4.0">this</ext-link>; the waiver '
            f'<ext-link xlink:href="{CC}/publicdomain/zero/1.0/">CC0</ext-link> is for the data.</license-p></license>',
            "CC BY",
        ),
        ('<license license-type="CC BY-NC-ND"/>', "CC BY-NC-ND"),
        ("<license><license-p>Creative Commons Attribution License, which permits use.</license-p></license>", "CC BY"),
        ("<license><p>Creative Commons Attribution-NonCommercial-ShareAlike 3.0</p></license>", "CC BY-NC-SA"),
        ("<license><p>Creative Commons Attribution Non-Commercial No Derivatives license</p></license>", "CC BY-NC-ND"),
        ("<license><p>made available under the Creative Commons CC0 public domain dedication</p></license>", "CC0"),
        ("<license><p>distributed under a CC-BY 4.0 licence</p></license>", "CC BY"),
        ("<copyright-statement>© 2004. Creative Commons Attribution License.</copyright-statement>", "CC BY"),
        ('<license license-type="open-access"><p>Free to read. All rights reserved.</p></license>', None),
        ("<copyright-statement>© 2004 Elsevier</copyright-statement>", None),
        (
            "<license><license-p>All rights reserved. The data alone are under "
            f'<ext-link xlink:href="{CC}/publicdomain/zero/1.0/">CC0</ext-link>.</license-p></license>',
            None,
        ),
        (
            "<license><p>© The Authors, all rights reserved.</p></license><license "
            f'xlink:href="{CC}/publicdomain/zero/1.0/"><p>A waiver for the datasets.</p></license>',
            None,
        ),
        ("<license><p>The Creative Commons Public Domain Dedication waiver applies to the data.</p></license>", None),
        (
            "<license><p>The CC0 waiver is for the data. The article is under the Creative Commons Attribution "
            "License.</p></license>",
            "CC BY",
        ),
    ],
)  # fmt: skip
def test_license(permissions: str, code: str | None) -> None:
    assert read(meta=f"<permissions>{permissions}</permissions>").license == code
