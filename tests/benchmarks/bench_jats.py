"""Speed of reading articles: figures, captions and mentions against a bare parse and against pubmed_parser.

Run as `python -m tests.benchmarks.bench_jats [FOLDER]`. Every peer reads its files from disk in every round.
`pubmed_parser` here is `parse_pubmed_caption` and `parse_pubmed_paragraph`, which parse each file once each.
"""

import sys
from pathlib import Path

import pubmed_parser
from lxml import etree

from llavamed_data.jats import parse_article
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA


def main(folder: Path) -> None:
    """Times the peers over every `.xml` of `folder` and prints them."""
    paths = sorted(folder.glob("*.xml"))
    names = [str(path) for path in paths]

    def ours() -> None:
        for path in paths:
            parse_article(path.read_bytes())

    def bare_parse() -> None:
        for name in names:
            etree.parse(name)

    failed: set[str] = set()

    def peer() -> None:
        for name in names:
            for parse in (pubmed_parser.parse_pubmed_caption, pubmed_parser.parse_pubmed_paragraph):
                try:
                    parse(name)
                except (UnboundLocalError, AttributeError, KeyError):  # figures without caption, label or id
                    failed.add(name)

    peers = {"llavamed_data.jats": ours, "lxml.etree.parse alone": bare_parse, "pubmed_parser": peer}
    seconds = medians(peers, rounds=7)
    show(f"{len(paths)} articles", seconds, amount=len(paths), unit="articles", ours="llavamed_data.jats")
    print(f"{seconds['llavamed_data.jats'] / seconds['lxml.etree.parse alone']:.2f} times the bare parse")
    print(
        f"{seconds['pubmed_parser'] / seconds['llavamed_data.jats']:.2f} times as fast as pubmed_parser, "
        f"which breaks off in {len(failed)} of the articles"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED_DATA / "jats")
