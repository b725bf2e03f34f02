"""The evaluation set's articles are unseen in training: which articles a set must not have, given its neighbours."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from llavamed_data.dataset.layout import UNREADABLE, Shard, articles_of, find_shards, recipe_of
from llavamed_data.dataset.schema import kind_of
from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Fault, Finding
from llavamed_data.validation.rows import Row, shown

TRAINING = ("alignment", "instruct")


def articles_elsewhere(
    kind: str, shards: Sequence[Shard], beside: Iterable[Path]
) -> tuple[dict[str, str], list[Fault]]:
    """Articles (`pmcid` or `pmid`) that a set may not have → the set beside it that has them.

    For a training set these are the articles of the evaluation sets beside it. For an evaluation set they are
    those of its own that a training set has too: what is kept does not grow with the training sets.

    Args:
        kind: of the set in question.
        shards: of the set in question.
        beside: folders of the other sets.
    """
    if kind not in (*TRAINING, "eval"):
        return {}, []
    rivals = TRAINING if kind == "eval" else ("eval",)
    own = _articles(shards) if kind == "eval" else None
    elsewhere: dict[str, str] = {}
    faults: list[Fault] = []
    for folder in beside:
        try:
            others, _ = find_shards(folder)
            if others and _kind(others[0].path) in rivals:
                found = (article for shard in others for article in articles_of(shard.path))
                elsewhere |= {article: folder.name for article in found if own is None or article in own}
        except UNREADABLE as error:
            reason = f"{folder.name}, beside it, cannot be read, so its articles are not known: {error}"
            faults.append(Fault(Check.ARTICLES, reason[:300]))
    return elsewhere, faults


def article_findings(row: Row, elsewhere: Mapping[str, str]) -> list[Finding]:
    """The row's article, if a set beside it has it and one of the two is for evaluation."""
    return [
        Finding(Check.ARTICLES, name, f"{shown(row[name])} is an article of {elsewhere[row[name]]} too")
        for name in ("pmcid", "pmid")
        if isinstance(row.get(name), str) and row[name] in elsewhere
    ][:1]


def _kind(path: Path) -> str | None:
    """The kind of the set that `path` is a shard of; None if it is nobody's we know."""
    names = pq.read_schema(path).names
    return kind_of(names, recipe_of(path)) if "provenance" in names and "messages" in names else None


def _articles(shards: Sequence[Shard]) -> set[str]:
    articles: set[str] = set()
    for shard in shards:
        try:
            articles.update(articles_of(shard.path))
        except UNREADABLE:
            continue  # told as unreadable when its rows are read
    return articles
