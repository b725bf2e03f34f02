"""Articles → pairs: one row a figure with its caption, the sentences that mention it, and where its image lies.

    ReadArticles(source) → FiguresOf → WritePairs

Section 3 of the paper: figure–caption pairs of PubMed Central, with "sentences that mention the image" as context.
"""

import itertools
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from llavamed_data.engine.counters import Counter
from llavamed_data.engine.local import Engine, forget_tasks, share, tasks_for
from llavamed_data.figures import caption_is_single_plot, domain_of
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.parquet import write_rows
from llavamed_data.jats import Article, Figure, parse_article
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.pipeline.steps.unchanged import ETAGS, Earlier, EarlierArticle
from llavamed_data.reasons import Drop, Dropped, Reason, Tally, total
from llavamed_data.sources.article_lists import ArticleList, number_of
from llavamed_data.sources.base import ArticleSource, SourceArticle, TellsChanges
from llavamed_data.sources.fetch import Reporting
from llavamed_data.sources.media import resolve_graphic
from llavamed_data.version import __version__

PAIRS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("pmcid", pa.string()),
        pa.field("pmid", pa.string()),
        pa.field("figure_id", pa.string(), nullable=False),
        pa.field("figure_label", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("inline_mentions", pa.list_(pa.string()), nullable=False),
        pa.field("image", pa.string()),
        pa.field("license", pa.string()),
        pa.field("single_plot", pa.bool_(), nullable=False),
        pa.field("domain", pa.string()),
    ]
)
"""One row a figure: what `extract` leaves. `image` is a locator of the source, null where it offers none."""

HANDLES = "handles.txt"
_MARK = "\t"
"""Between a handle and its ETag in the list of handles, where the source has ETags."""

NOT_IN_SOURCE = "dropped-listed.parquet"
LEAST_ARTICLES, MOST_ARTICLES = 32, 5_000
"""Articles a task: small enough to use all cores on a few hundred, large enough for millions."""


def extract(
    source: ArticleSource,
    folder: Path,
    *,
    limit: int | None = None,
    articles: ArticleList | None = None,
    update: bool = False,
    engine: Engine | None = None,
) -> Manifest:
    """Reads every article of `source` and leaves its pairs in `folder`.

    Args:
        source: where articles come from.
        folder: the station's folder: `pairs-*.parquet` (schema `files.PAIRS`), `dropped-*.parquet`, manifest.
        limit: read at most this many articles, in the source's order.
        articles: read only these; those that the source lacks are dropped.
        update: of articles whose ETag has not changed since the extraction that is in `folder`, take its rows.
        engine: what runs the work; all cores by default.

    Raises:
        UsageError: the source holds nothing.
    """
    chosen = [] if articles is None else [articles.digest()]
    stated = fingerprint("extract", source.name, source.fingerprint(), limit, *chosen)
    station = Station(folder, stated, resumable=True)
    earlier = Earlier.at(folder) if update else None
    return station.run(
        lambda partial: _extract(source, partial, limit, articles, earlier, engine or Engine())
    )


def pair_files(folder: Path) -> list[Path]:
    """The files of pairs that `extract` left, in order."""
    return sorted(folder.glob("pairs-*.parquet"))


def _extract(
    source: ArticleSource,
    partial: Path,
    limit: int | None,
    wanted: ArticleList | None,
    earlier: Earlier | None,
    engine: Engine,
) -> Outcome:
    handles = partial / HANDLES
    if not handles.exists():
        _list_handles(source, partial, limit, wanted)
    with handles.open(encoding="utf-8") as lines:
        articles = sum(1 for _ in lines)
    tasks = tasks_for(articles, least=LEAST_ARTICLES, most=MOST_ARTICLES)
    read = ReadArticles(source, str(handles), articles, earlier)
    blocks = [read, FiguresOf(), WritePairs(str(partial))]
    engine.run("extract", blocks, folder=partial, tasks=tasks, objects=articles)
    counts = [json.loads(path.read_text()) for path in sorted(partial.glob("counts-*.json"))]
    tallies = {unit: total(Tally(**part[unit]) for part in counts) for unit in ("articles", "figures")}
    for path in partial.glob("counts-*.json"):
        path.unlink()
    if wanted is not None:
        tallies["articles"].drop(Reason.NOT_IN_SOURCE, pq.read_metadata(partial / NOT_IN_SOURCE).num_rows)
    handles.unlink()
    forget_tasks(partial)
    facts = {
        "source": source.name,
        "source_date": source.date,
        "unchanged": sum(p["unchanged"] for p in counts),
    }
    if isinstance(source, TellsChanges):
        facts["etags_by"] = __version__
    return Outcome(tallies, facts)


def _list_handles(
    source: ArticleSource, partial: Path, limit: int | None, articles: ArticleList | None
) -> None:
    """Writes down what to read, and which articles of the list the source lacks."""
    handles = _marked_handles(source) if isinstance(source, TellsChanges) else source.handles()
    handles = handles if articles is None else articles.choose(handles)
    with atomic_path(partial / HANDLES) as aside:
        with aside.open("w", encoding="utf-8") as lines:
            lines.writelines(f"{handle}\n" for handle in itertools.islice(handles, limit))
        if articles is not None:
            deque(handles, maxlen=0)  # those beyond the limit are in the source, too
            missing = (Dropped(pmcid, Reason.NOT_IN_SOURCE.value, "") for pmcid in articles.missing())
            write_dropped(partial / NOT_IN_SOURCE, missing)


def _marked_handles(source: TellsChanges) -> Iterator[str]:
    return (f"{handle}{_MARK}{etag}" for handle, etag in source.etags())


def _handle_and_etag(line: str, source: ArticleSource) -> tuple[str, str]:
    handle, _, etag = line.rpartition(_MARK) if isinstance(source, TellsChanges) else (line, "", "")
    return handle, etag


class ReadArticles(PipelineStep):  # type: ignore[misc]
    """Reads this task's share of the articles; a document holds the article, why it was dropped, or earlier rows."""

    name = "read articles"
    type = "reader"

    def __init__(
        self, source: ArticleSource, handles: str, articles: int, earlier: Earlier | None = None
    ) -> None:
        super().__init__()
        self.source = source
        self.handles = handles
        self.articles = articles
        self.earlier = earlier

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Yields one document an article, in the source's order."""
        part = share(self.articles, rank, world_size)
        with Path(self.handles).open(encoding="utf-8") as file:
            lines = (line.rstrip("\n") for line in itertools.islice(file, part.start, part.stop))
            etags = dict(_handle_and_etag(line, self.source) for line in lines)
        known = self.earlier.unchanged(etags) if self.earlier else set[str]()
        taken = self.earlier.articles(known) if self.earlier else iter(())
        counter = Counter(Path(self.handles).parent, rank)
        source = self.source
        if isinstance(source, Reporting):
            source = source.reporting(counter.repeated)
        read = source.read([handle for handle in etags if handle not in known])
        for handle, etag in etags.items():
            got = next(taken) if handle in known else next(read)
            counter.took(len(got.xml) if isinstance(got, SourceArticle) else 0)
            yield Document(text="", id=handle, metadata={"etag": etag} | _contents(got))
        counter.close()


class FiguresOf(PipelineStep):  # type: ignore[misc]
    """Parses an article and makes one row a figure."""

    name = "figures of an article"
    type = "parser"

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Adds `rows` and `dropped` to each document, and an `article_drop` to those given up."""
        for document in data:
            if "read" not in document.metadata:
                yield document
                continue
            read = document.metadata.pop("read")
            try:
                rows, dropped = _figures(read) if isinstance(read, SourceArticle) else _raise(read[1])
                document.metadata.update(rows=rows, dropped=dropped)
            except Drop as drop:
                document.metadata.update(article_drop=drop)
            yield document


class WritePairs(PipelineStep):  # type: ignore[misc]
    """Writes a task's rows, drops and counts; the counts last."""

    name = "write pairs"
    type = "writer"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:  # noqa: ARG002
        """Consumes the documents of one task."""
        articles, figures = Tally(), Tally()
        dropped: list[Dropped] = []
        etags: list[dict[str, Any]] = []
        unchanged = 0
        folder = Path(self.folder)

        def rows() -> Iterator[dict[str, Any]]:
            nonlocal unchanged
            for document in data:
                etags.append(_etag(document))
                unchanged += "earlier" in document.metadata
                if drop := document.metadata.get("article_drop"):
                    articles.drop(drop.reason)
                    dropped.append(Dropped.of(document.id, drop))
                    continue
                articles.keep()
                figures.keep(len(document.metadata["rows"]))
                for line in document.metadata["dropped"]:
                    figures.drop(Reason(line.reason))
                    dropped.append(line)
                yield from document.metadata["rows"]

        write_rows(folder / f"pairs-{rank:05d}.parquet", PAIRS, rows())
        write_dropped(folder / f"dropped-{rank:05d}.parquet", dropped)
        if any(row["etag"] for row in etags):
            write_rows(folder / f"etags-{rank:05d}.parquet", ETAGS, etags)
        counts = {"articles": asdict(articles), "figures": asdict(figures), "unchanged": unchanged}
        with atomic_path(folder / f"counts-{rank:05d}.json") as aside:
            aside.write_text(json.dumps(counts))


def _contents(got: SourceArticle | tuple[str, Drop] | EarlierArticle) -> dict[str, Any]:
    if not isinstance(got, EarlierArticle):
        return {"read": got}
    if got.reason:
        return {"earlier": True, "article_drop": Drop(Reason(got.reason), got.dropped[0].detail)}
    return {"earlier": True, "rows": got.rows, "dropped": got.dropped}


def _etag(document: Document) -> dict[str, Any]:
    """The row of `ETAGS` for a document."""
    drop = document.metadata.get("article_drop")
    return {
        "handle": document.id,
        "number": number_of(document.id),
        "etag": document.metadata["etag"],
        "reason": drop and drop.reason.value,
        "pairs": 0 if drop else len(document.metadata["rows"]),
        "dropped": 1 if drop else len(document.metadata["dropped"]),
    }


def _raise(drop: Drop) -> tuple[list[dict[str, Any]], list[Dropped]]:
    raise drop


def _figures(read: SourceArticle) -> tuple[list[dict[str, Any]], list[Dropped]]:
    article = parse_article(read.xml)
    rows, dropped = [], []
    for figure in article.figures:
        row = _row(read, article, figure)
        if figure.caption:
            rows.append(row)
        else:
            dropped.append(Dropped(row["pair_id"], Reason.NO_CAPTION.value, figure.label))
    return rows, dropped


def _row(read: SourceArticle, article: Article, figure: Figure) -> dict[str, Any]:
    pmcid, pmid = read.pmcid or article.pmcid, read.pmid or article.pmid
    single = len(figure.graphics) <= 1 and caption_is_single_plot(figure.caption)
    return {
        "pair_id": f"{pmid or pmcid or Path(read.handle).stem}_{figure.figure_id}",
        "pmcid": pmcid,
        "pmid": pmid,
        "figure_id": figure.figure_id,
        "figure_label": figure.label,
        "caption": figure.caption,
        "inline_mentions": list(figure.inline_mentions),
        "image": _locator(read, figure.graphics),
        "license": read.license or article.license,
        "single_plot": single,
        "domain": domain_of(figure.caption),
    }


def _locator(read: SourceArticle, graphics: Sequence[str]) -> str | None:
    """The first graphic that the source has; in an archive that breaks off, where it would have been."""
    found = (resolve_graphic(href, read.media) for href in graphics)
    return next(filter(None, found), None) or (
        f"{read.handle}#{graphics[0]}" if read.incomplete and graphics else None
    )
