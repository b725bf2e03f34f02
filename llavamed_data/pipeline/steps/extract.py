"""Articles → pairs: one row a figure with its caption, the sentences that mention it, and where its image is.

Section 3 of the paper: figure–caption pairs of PubMed Central, with "sentences that mention the image" as context.
Each task reads a contiguous part of the articles, parses each, and writes a row for every figure that has a caption.
"""

import itertools
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.engine import Engine, FetchCounter, LocalEngine, number_of_tasks, share
from llavamed_data.figures import caption_is_single_plot, domain_of
from llavamed_data.io.atomic import atomic_path, write_text
from llavamed_data.io.dropped import DROPPED, write_dropped
from llavamed_data.io.parquet import read_batches, row_writer
from llavamed_data.jats import Article, Figure, parse_article
from llavamed_data.pipeline.steps.step import (
    MANIFEST,
    Step,
    StepOutput,
    StepResult,
    fingerprint,
    read_manifest,
)
from llavamed_data.pipeline.steps.unchanged import ETAGS, ArticleResult, EarlierExtraction
from llavamed_data.reasons import Drop, Dropped, Reason, Tally, total
from llavamed_data.sources import ArticleList, ArticleSource, HasETags, ReportsFetches, SourceArticle
from llavamed_data.sources.article import resolve_graphic
from llavamed_data.sources.article_choice import article_number
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
"""One row a figure. `image` is the source's locator of its image, null if the source has none."""

LEAST_ARTICLES, MOST_ARTICLES = 32, 5_000
"""Articles of a task: few enough to use all cores on some hundred, many enough for millions."""

ROW_GROUP = 2_000
"""Rows of a row group of the pairs: few groups, so that later steps read a few columns of all pairs quickly."""

_HANDLES = "handles.txt"
_NOT_IN_SOURCE = "dropped-listed.parquet"


@dataclass(frozen=True)
class Extracted(StepOutput):
    """The pairs of a source, in the order of its articles."""

    @property
    def pair_files(self) -> list[Path]:
        """The Parquet files of pairs (schema `PAIRS`), in order."""
        return sorted(self.folder.glob("pairs-*.parquet"))

    @property
    def dropped_files(self) -> list[Path]:
        """The Parquet files that list dropped articles and figures."""
        return sorted(self.folder.glob("dropped-*.parquet"))

    def take(self, rows: npt.NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """The pairs with the numbers `rows`, in that order; the files are read once.

        Args:
            rows: numbers of rows over all files, from 0.
            columns: which columns; all if None.
        """
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        found: list[pa.RecordBatch] = []
        first = 0
        for path in self.pair_files:
            stop = first + pq.read_metadata(path).num_rows
            if np.searchsorted(ascending, first) < np.searchsorted(ascending, stop):
                for batch in read_batches([path], columns, rows=ROW_GROUP):
                    start, end = np.searchsorted(ascending, [first, first + batch.num_rows])
                    if end > start:
                        found.append(batch.take(pa.array(ascending[start:end] - first)))
                    first += batch.num_rows
            first = stop
        schema = PAIRS if columns is None else pa.schema([PAIRS.field(name) for name in columns])
        table = pa.Table.from_batches(found).cast(schema) if found else schema.empty_table()
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return table.take(pa.array(back))


def extract(
    source: ArticleSource,
    folder: Path,
    *,
    limit: int | None = None,
    articles: ArticleList | None = None,
    update: bool = False,
    engine: Engine | None = None,
) -> Extracted:
    """Reads every article of `source` and writes its pairs to `folder`.

    Args:
        source: where articles come from.
        folder: the step's folder.
        limit: read at most this many articles, in the source's order.
        articles: read only these; those that the source lacks are dropped.
        update: take the rows of articles whose ETag has not changed from the extraction that is in `folder`.
        engine: what runs the tasks; all cores by default.

    Raises:
        UsageError: the source holds nothing.
        LlavaMedError: the work cannot be done; finished tasks are kept.
    """
    chosen = [] if articles is None else [articles.digest()]
    state = source.fingerprint()
    stated = fingerprint("extract", source.name, state, limit, *chosen)
    earlier = EarlierExtraction.find(folder) if update else None

    def work(unfinished: Path) -> StepResult:
        listing = unfinished / _HANDLES
        if not listing.exists():
            _list_articles(source, listing, limit, articles)
        parts = _parts(listing)
        (engine or LocalEngine()).map(
            partial(_extract_part, source, earlier),
            parts,
            name="extract",
            folder=unfinished,
            objects=sum(part.articles for part in parts),
        )
        return _gather(source, state, listing, parts, articles)

    manifest = Step(folder, stated, resumable=True).run(work)
    return Extracted(folder, manifest)


def earlier_facts(folder: Path) -> Mapping[str, Any]:
    """What the extraction in the step's folder states; nothing if there is none."""
    try:
        return read_manifest(folder / MANIFEST).facts
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _list_articles(
    source: ArticleSource, listing: Path, limit: int | None, articles: ArticleList | None
) -> None:
    """Writes down which articles to read, one a line, and which articles of the list the source lacks."""
    known = source.etags() if isinstance(source, HasETags) else zip(source.handles(), itertools.repeat(""))
    lines: Iterator[str] = (f"{handle}\t{etag}" for handle, etag in known)
    lines = lines if articles is None else articles.choose(lines)
    with atomic_path(listing) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in itertools.islice(lines, limit))
        if articles is not None:
            deque(lines, maxlen=0)  # those beyond the limit are in the source, too
            missing = (Dropped(pmcid, Reason.NOT_IN_SOURCE.value, "") for pmcid in articles.missing())
            write_dropped(listing.with_name(_NOT_IN_SOURCE), missing)


@dataclass(frozen=True, slots=True)
class _Part:
    """A task: `articles` lines of the listing from the byte `start` on; its `output` holds the counts."""

    number: int
    listing: Path
    start: int
    articles: int

    @property
    def output(self) -> Path:
        return self.listing.with_name(f"counts-{self.number:05d}.json")

    def etags(self) -> dict[str, str]:
        """The handles of its articles, each with its ETag; "" if the source has none."""
        with self.listing.open("rb") as file:
            file.seek(self.start)
            lines = (line.decode().rstrip("\n") for line in itertools.islice(file, self.articles))
            return {handle: etag for handle, _, etag in (line.rpartition("\t") for line in lines)}


def _parts(listing: Path) -> list[_Part]:
    starts = [0]
    with listing.open("rb") as file:
        starts += itertools.accumulate(len(line) for line in file)
    articles = len(starts) - 1
    tasks = number_of_tasks(articles, least=LEAST_ARTICLES, most=MOST_ARTICLES)
    spans = (share(articles, number, tasks) for number in range(tasks))
    return [_Part(number, listing, starts[span.start], len(span)) for number, span in enumerate(spans)]


def _extract_part(source: ArticleSource, earlier: EarlierExtraction | None, part: _Part) -> None:
    """Reads, parses and writes the articles of one part; the counts come last."""
    articles, figures, unchanged = Tally(), Tally(), 0
    etags = part.etags()
    beside = partial(_beside, part)
    with (
        row_writer(beside("pairs"), PAIRS, batch_rows=ROW_GROUP) as add_pair,
        row_writer(beside("dropped"), DROPPED) as add_dropped,
    ):
        results = []
        for result in _read_and_parse(source, earlier, etags, part.output):
            unchanged += result.unchanged
            if result.reason is None:
                articles.keep()
                figures.keep(len(result.rows))
                for line in result.dropped:
                    figures.drop(Reason(line.reason))
            else:
                articles.drop(Reason(result.reason))
            for row in result.rows:
                add_pair(row)
            for line in result.dropped:
                add_dropped(asdict(line))
            results.append(_etag_row(result, etags[result.handle]))
    if isinstance(source, HasETags):
        with row_writer(beside("etags"), ETAGS) as add_etag:
            for row in results:
                add_etag(row)
    counts = {"articles": asdict(articles), "figures": asdict(figures), "unchanged": unchanged}
    write_text(part.output, json.dumps(counts))


def _beside(part: _Part, what: str) -> Path:
    return part.output.with_name(f"{what}-{part.number:05d}.parquet")


def _read_and_parse(
    source: ArticleSource, earlier: EarlierExtraction | None, etags: Mapping[str, str], output: Path
) -> Iterator[ArticleResult]:
    """What becomes of each article, in order: read and parsed, or as an earlier extraction left it."""
    counter = FetchCounter(output)
    if isinstance(source, ReportsFetches):
        source = source.reporting_to(counter.update_retries)
    unchanged, taken = earlier.unchanged(etags) if earlier else (frozenset[str](), iter(()))
    read = source.read([handle for handle in etags if handle not in unchanged])
    for handle in etags:
        if handle in unchanged:
            counter.add(0)
            yield next(taken)
            continue
        article = next(read)
        counter.add(len(article.xml) if isinstance(article, SourceArticle) else 0)
        try:
            if not isinstance(article, SourceArticle):
                raise article[1]
            yield _parsed(handle, article)
        except Drop as drop:
            yield ArticleResult(handle, drop.reason.value, (), [Dropped.of(handle, drop)])
    counter.close()


def _parsed(handle: str, read: SourceArticle) -> ArticleResult:
    """The rows of an article's figures; a figure without a caption of its own is dropped."""
    article = parse_article(read.xml)
    rows, dropped = [], []
    for figure in article.figures:
        row = _row(read, article, figure)
        if figure.caption and not figure.shares_caption:
            rows.append(row)
        else:
            reason = Reason.SHARED_CAPTION if figure.caption else Reason.NO_CAPTION
            dropped.append(Dropped(row["pair_id"], reason.value, figure.label))
    return ArticleResult(handle, None, rows, dropped)


def _row(read: SourceArticle, article: Article, figure: Figure) -> dict[str, Any]:
    pmcid, pmid = read.pmcid or article.pmcid, read.pmid or article.pmid
    file, *place = read.handle.split("#")
    return {
        "pair_id": f"{pmid or pmcid or '-'.join([Path(file).stem, *place])}_{figure.figure_id}",
        "pmcid": pmcid,
        "pmid": pmid,
        "figure_id": figure.figure_id,
        "figure_label": figure.label,
        "caption": figure.caption,
        "inline_mentions": list(figure.inline_mentions),
        "image": _locator(read, figure.graphics),
        "license": article.license if read.license is None else read.license or None,
        "single_plot": caption_is_single_plot(figure.caption),
        "domain": domain_of(figure.caption),
    }


def _locator(read: SourceArticle, graphics: Sequence[str]) -> str | None:
    """The first graphic that the source has; in an archive that breaks off, where it would have been."""
    found = (resolve_graphic(href, read.media) for href in graphics)
    return next(filter(None, found), None) or (
        f"{read.handle}#{graphics[0]}" if read.incomplete and graphics else None
    )


def _etag_row(result: ArticleResult, etag: str) -> dict[str, Any]:
    """The row of `ETAGS` for an article."""
    return {
        "handle": result.handle,
        "number": article_number(result.handle),
        "etag": etag,
        "reason": result.reason,
        "pairs": len(result.rows),
        "dropped": len(result.dropped),
    }


def _gather(
    source: ArticleSource, state: str, listing: Path, parts: Sequence[_Part], articles: ArticleList | None
) -> StepResult:
    """Adds up the counts of all parts, and removes what only the parts needed."""
    counts = [json.loads(part.output.read_text(encoding="utf-8")) for part in parts]
    tallies = {unit: total(Tally(**each[unit]) for each in counts) for unit in ("articles", "figures")}
    if articles is not None:
        missing = pq.read_metadata(listing.with_name(_NOT_IN_SOURCE)).num_rows
        tallies["articles"].drop(Reason.NOT_IN_SOURCE, missing)
    for path in (listing, *(part.output for part in parts)):
        path.unlink()
    facts = {
        "source": source.name,
        "source_date": source.date,
        "source_state": state,
        "unchanged": sum(each["unchanged"] for each in counts),
    }
    return StepResult(tallies, facts | ({"etags_by": __version__} if isinstance(source, HasETags) else {}))
