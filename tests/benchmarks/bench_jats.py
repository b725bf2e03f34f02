"""Processor time of reading articles against XML parsing alone and pubmed_parser, and of the tests of captions.

    python -m tests.benchmarks.bench_jats [FOLDER] [--before CHECKOUT]

Every peer reads its files from disk in every round. `pubmed_parser` here is `parse_pubmed_caption` and
`parse_pubmed_paragraph`, which parse each file once each. With `--before` the packages of another checkout are
measured by the same code.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pubmed_parser
from lxml import etree

from llavamed_data.figures import caption_is_single_plot, domain_of
from llavamed_data.jats import parse_article
from tests.benchmarks.side_by_side import article_arguments, measured_in, medians, show, show_before_and_after

ALONE, OURS, CAPTIONS = "XML parsing alone", "figures, captions, mentions", "with domains and panel marks"
ROUNDS = 7


def peers_over(paths: list[Path]) -> dict[str, Callable[[], object]]:
    """What is compared in every checkout, each over all of `paths`."""

    def alone() -> None:
        for path in paths:
            etree.fromstring(path.read_bytes())

    def ours() -> None:
        for path in paths:
            parse_article(path.read_bytes())

    def captions() -> None:
        for path in paths:
            for figure in parse_article(path.read_bytes()).figures:
                domain_of(figure.caption)
                caption_is_single_plot(figure.caption)

    return {ALONE: alone, OURS: ours, CAPTIONS: captions}


def pubmed_parser_over(paths: list[Path], failed: set[str]) -> None:
    """Captions and paragraphs by pubmed_parser; the files in which it breaks off are added to `failed`."""
    for name in map(str, paths):
        for parse in (pubmed_parser.parse_pubmed_caption, pubmed_parser.parse_pubmed_paragraph):
            try:
                parse(name)
            except (UnboundLocalError, AttributeError, KeyError):  # figures without caption, label or id
                failed.add(name)


def main() -> None:
    """Times the peers over every `.xml` of the folder and prints them."""
    arguments = article_arguments(__doc__)
    paths = sorted(arguments.folder.resolve().glob("*.xml"))
    peers = peers_over(paths)
    if arguments.json:
        json.dump(medians(peers, rounds=ROUNDS, clock=time.process_time), sys.stdout)
        return
    failed: set[str] = set()
    theirs = {"pubmed_parser": lambda: pubmed_parser_over(paths, failed)}
    seconds = medians(peers | theirs, rounds=ROUNDS, clock=time.process_time)
    show(f"{len(paths)} articles, processor time", seconds, amount=len(paths), unit="articles", ours=ALONE)
    print(f"pubmed_parser breaks off in {len(failed)} of the articles")
    if arguments.before:
        before = measured_in(arguments.before, "tests.benchmarks.bench_jats", str(arguments.folder.resolve()))
        show_before_and_after(f"{len(paths)} articles", before, seconds, alone=ALONE)


if __name__ == "__main__":
    main()
