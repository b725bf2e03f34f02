"""The check that no article of the evaluation set is in a training set beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from llavamed_data.dataset.layout import UNREADABLE, Shard, articles_of, find_shards, recipe_of
from llavamed_data.dataset.reader import Row
from llavamed_data.dataset.schema import kind_of
from llavamed_data.io.parquet import read_rows
from llavamed_data.validation.report import Check, DatasetFault
from llavamed_data.validation.rows import shorten

_TRAINING_KINDS = ("alignment", "instruct")


def forbidden_articles(
    kind: str, shards: Sequence[Shard], beside: Iterable[Path]
) -> tuple[dict[str, str], list[DatasetFault]]:
    """Articles (`pmcid` or `pmid`) that a dataset must not have → the dataset beside it that has them.

    For a training set these are the articles of the evaluation sets beside it. For an evaluation set they are those
    of its own articles that a training set has too: memory does not grow with the training sets.

    Args:
        kind: kind of the dataset that is validated.
        shards: its shards.
        beside: folders of the other datasets.

    Returns:
        The articles, and a fault for each dataset beside it that cannot be read.
    """
    if kind not in (*_TRAINING_KINDS, "eval"):
        return {}, []
    compared = _TRAINING_KINDS if kind == "eval" else ("eval",)
    own = _articles(shards) if kind == "eval" else None
    forbidden: dict[str, str] = {}
    faults: list[DatasetFault] = []
    for folder in beside:
        try:
            others, _ = find_shards(folder)
            if others and _kind(others[0].path) in compared:
                found = (article for shard in others for article in articles_of(shard.path))
                forbidden |= {article: folder.name for article in found if own is None or article in own}
        except UNREADABLE as error:
            reason = f"{folder.name}, beside it, cannot be read, so its articles are not known: {error}"
            faults.append(DatasetFault(Check.ARTICLES, reason[:300]))
    return forbidden, faults


def article_faults(row: Row, forbidden: Mapping[str, str]) -> list[DatasetFault]:
    """One fault if the row's article, by either identifier, is one of `forbidden_articles`."""
    for name in ("pmcid", "pmid"):
        article = row.get(name)
        if isinstance(article, str) and article in forbidden:
            message = f"{shorten(article)} is an article of {forbidden[article]} too"
            return [DatasetFault(Check.ARTICLES, message, field=name)]
    return []


def count_shared_articles(first: Path, second: Path) -> int:
    """How many articles an evaluation set and a training set have in common; 0 for two sets of other kinds.

    Only the columns `pmcid` and `pmid` are read, and memory does not grow with the training set.

    Args:
        first, second: folders of the two datasets, in either order.

    Raises one of `UNREADABLE` where a shard cannot be read.
    """
    sets = [shards for shards, _ in map(find_shards, (first, second)) if shards]
    by_kind = {_kind(shards[0].path): shards for shards in sets}
    training = next((by_kind[kind] for kind in _TRAINING_KINDS if kind in by_kind), None)
    if training is None or "eval" not in by_kind:
        return 0
    article_of: dict[str, tuple[str, ...]] = {}
    for row in read_rows([shard.path for shard in by_kind["eval"]], ["pmcid", "pmid"]):
        article = tuple(name for name in row.values() if isinstance(name, str))
        article_of |= dict.fromkeys(article, article)
    found = (article_of.get(name) for shard in training for name in articles_of(shard.path))
    return len({article for article in found if article})


def _kind(path: Path) -> str | None:
    """The kind of the dataset that `path` is a shard of; None if it does not have this toolkit's columns."""
    names = pq.read_schema(path).names
    return kind_of(names, recipe_of(path)) if "provenance" in names and "messages" in names else None


def _articles(shards: Sequence[Shard]) -> set[str]:
    articles: set[str] = set()
    for shard in shards:
        try:
            articles.update(articles_of(shard.path))
        except UNREADABLE:
            continue  # reported when its rows are read
    return articles
