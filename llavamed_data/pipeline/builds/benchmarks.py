"""Builds a benchmark for visual question answering: read → acquire → assemble, its splits in one dataset."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hub_cards import BenchmarkCard, SplitSizes, render_benchmark_card, render_croissant
from hub_cards.croissant import FILE_NAME as CROISSANT
from llavamed_data.dataset.columns import features
from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.engine.local import Engine
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import read_rows, row_writer, write_rows
from llavamed_data.pipeline.builds.card import counts_of
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary, Built, SplitCounts
from llavamed_data.pipeline.steps.assemble import Record, Written, assemble_splits
from llavamed_data.pipeline.steps.image_store import Shelf, digest_of
from llavamed_data.pipeline.steps.lost_images import LOST, write_lost
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station, fingerprint
from llavamed_data.reasons import Drop, Dropped, Reason, Tally
from llavamed_data.recipes import SPLITS, Benchmark, Counts
from llavamed_data.sources.benchmarks import (
    ALL_LANGUAGES,
    ImagePlaces,
    OriginalTypes,
    Question,
    Reading,
    Wanted,
    image_files,
    open_benchmark,
)
from llavamed_data.version import __version__

WRITER = "released"
"""Who wrote the text, for `provenance`: the benchmark's own questions and answers stand as they are."""

QUESTIONS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=name in ("answer_type", "question_type", "domain"))
        for name in Question.__slots__
    ]
)
"""A question as it was read."""

ILLUSTRATED = pa.schema(
    [*QUESTIONS, pa.field("image_digest", pa.string()), pa.field("image_bytes", pa.int64())]
)
"""A question whose image is on the shelf."""

_EMBEDDED = "images"
"""Folder of the images that came inside rows."""

_SUFFIXES = {
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"RIFF": ".webp",
    b"BM": ".bmp",
}


def build_benchmarks(benchmarks: Sequence[Benchmark], options: BuildOptions, engine: Engine) -> BuildSummary:
    """Builds each benchmark from `options.source`; see `build`.

    Raises:
        UsageError: the source holds none of its files, or an option does not fit it.
        LlavaMedError: a file is broken, or the Hub does not give it.
    """
    summary = BuildSummary()
    for benchmark in benchmarks:
        _Build(benchmark, options, engine, summary).run()
    return summary


@dataclass(frozen=True, slots=True)
class _Images:
    """The images of one place, for the shelf: opened anew in each process."""

    root: Path
    within: Path

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each name, or why they cannot be had."""
        places = ImagePlaces(self.root, within=self.within)
        for locator in locators:
            yield locator, places.read(locator)

    def version(self) -> str:
        """Changes when an image may have."""
        stats = [(str(path.relative_to(self.root)), path.stat()) for path in image_files(self.root)]
        return fingerprint(
            str(self.root.absolute()), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        )[:12]


class _Build:
    """One benchmark from one place."""

    def __init__(
        self, benchmark: Benchmark, options: BuildOptions, engine: Engine, summary: BuildSummary
    ) -> None:
        self.benchmark = benchmark
        self.options = options
        self.engine = engine
        self.summary = summary
        self.wanted = _wanted(benchmark, options)
        opened = partial(open_benchmark, benchmark, progress=engine.on_progress is not None)
        self.files = opened(options.source)
        self.original = opened(options.original) if options.original else None
        place = fingerprint(self.files.repository or str(self.files.root.absolute()), self.files.names)[:8]
        self.folder = options.work / f"benchmark-{place}" / benchmark.name

    def run(self) -> None:
        name = self.benchmark.name
        read = self.summary.record("read", self._read(), dataset=name)
        illustrated = self.summary.record("acquire", self._acquire(read), dataset=name)
        if lost := illustrated.facts["lost"]:
            where = self.folder / "acquire" / LOST
            self.summary.notes.append(f"{name}: {lost:,} lost images, with reasons: {where}")
        splits = [split for split in SPLITS if split in illustrated.facts["splits"]]
        if not splits:
            self.summary.datasets.append(Built(name, None, SPLITS[0]))
            return
        counts = self._counts(splits)
        notes = self._notes(counts)
        self.summary.notes.extend(f"{name}: {note}" for note in notes)
        out = self.options.out / name
        assembled = assemble_splits(
            {split: partial(self._records, split) for split in splits},
            out,
            schema=self.benchmark.schema,
            card=partial(self._card, counts, notes),
            fingerprint=fingerprint(
                "assemble", asdict(self.benchmark), illustrated.digest(), self.files.name
            ),
            manifest=self.folder / "assemble.json",
            acquired=self.folder / "acquire" / "manifest.json",
        )
        self.summary.record("assemble", assembled, dataset=name)
        self.summary.datasets.append(Built(name, out, splits[0], **assembled.facts, counts=counts))

    def _read(self) -> Manifest:
        parts = (
            "read a benchmark",
            asdict(self.benchmark),
            self.files.repository or str(self.files.root.absolute()),
            self.files.version(),
            asdict(self.wanted),
            self.original and [str(self.original.root.absolute()), self.original.version()],
        )
        return Station(self.folder / "read", fingerprint(*parts)).run(self._read_questions)

    def _read_questions(self, partial: Path) -> Outcome:
        tally, joined = Tally(), OriginalTypes(self.benchmark, self.original) if self.original else None
        reading = Reading(self.benchmark, self.wanted)
        kept = _KeptImages(partial / _EMBEDDED)
        with row_writer(partial / "dropped.parquet", DROPPED) as drop:

            def questions() -> Iterator[dict[str, Any]]:
                for split, position, record in self.files.records(kept.keep):
                    try:
                        question = reading.question(record, split, position)
                    except Drop as reason:
                        tally.drop(reason.reason)
                        name = reading.label(record, split, position)
                        drop(asdict(Dropped.of(name, reason)))
                    else:
                        tally.keep()
                        yield asdict(joined.joined(question) if joined else question)

            write_rows(partial / "rows.parquet", QUESTIONS, questions())
        return Outcome({"rows": tally})

    def _acquire(self, read: Manifest) -> Manifest:
        images = self._images()
        version = images.version()
        stated = fingerprint("acquire", read.digest(), version)
        shelf = Shelf(self.folder / "shelf" / version)
        return Station(self.folder / "acquire", stated).run(
            lambda partial: self._illustrate(images, shelf, version, partial)
        )

    def _images(self) -> _Images:
        if self.options.images:
            root = Path(self.options.images).expanduser()
            return _Images(root, root)
        if self.files.embedded:
            root = self.folder / "read" / _EMBEDDED
            return _Images(root, root)
        return _Images(self.files.root, self.files.within or self.files.root)

    def _illustrate(self, images: _Images, shelf: Shelf, version: str, partial: Path) -> Outcome:
        ImagePlaces(images.root, within=images.within)  # says what is wrong with the place before any work
        source = self.folder / "read" / "rows.parquet"
        names = dict.fromkeys(row["image"] for row in read_rows([source], ["image"]))
        verdicts = shelf.judge(images, names, self.engine)
        tally, splits = Tally(), set[str]()
        with write_lost(partial / LOST) as lost, row_writer(partial / "dropped.parquet", DROPPED) as drop:

            def illustrated() -> Iterator[dict[str, Any]]:
                for row in read_rows([source]):
                    verdict = verdicts[row["image"]]
                    if verdict.reason is None:
                        tally.keep()
                        splits.add(row["split"])
                        yield row | {"image_digest": verdict.digest, "image_bytes": verdict.bytes}
                        continue
                    tally.drop(Reason(verdict.reason))
                    drop({"id": row["id"], "reason": verdict.reason, "detail": verdict.detail})
                    named = {"pair_id": row["image"], "pmcid": None, "file": None, "image": row["image"]}
                    lost.add(named, verdict.reason, verdict.detail)

            write_rows(partial / "rows.parquet", ILLUSTRATED, illustrated())
        facts = {"images_version": version, "lost": lost.count, "splits": sorted(splits)}
        return Outcome({"rows": tally}, facts)

    def _records(self, split: str) -> Iterator[Record]:
        acquired = self.folder / "acquire"
        shelf = Shelf(self.folder / "shelf" / self._images().version())
        for row in read_rows([acquired / "rows.parquet"]):
            if row["split"] == split:
                yield Record(
                    self._columns(row),
                    image=shelf.path(row["image"]),
                    image_name=row["image"],
                    image_bytes=row["image_bytes"],
                    image_digest=row["image_digest"],
                )

    def _columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "messages": messages([(row["question"], row["answer"])]),
            "id": row["id"],
            "domain": row["domain"],
            "caption": "",
            "inline_mentions": [],
            "figure_label": "",
            "pmcid": None,
            "pmid": None,
            "license": self.benchmark.license,
            "provenance": provenance(self.benchmark.name, self.files.name, None, WRITER),
            "answer_type": row["answer_type"],
            "question_type": row["question_type"],
            "language": row["language"],
        }

    def _counts(self, splits: Sequence[str]) -> list[SplitCounts]:
        columns = ["split", "image", "answer_type"]
        table = pq.read_table(self.folder / "acquire" / "rows.parquet", columns=columns)
        comparable = self.wanted.language == self.benchmark.languages[0] and not self.wanted.all_phrases
        paper = self.benchmark.table_8 if comparable else {}
        counts = []
        for split in splits:
            rows = table.filter(pc.equal(table["split"], split))
            unknown = rows["answer_type"].null_count
            counts.append(SplitCounts(split, _counted(rows), paper.get(split), unknown))
        return counts

    def _notes(self, counts: Sequence[SplitCounts]) -> list[str]:
        notes = list(self.benchmark.errata)
        if self.files.embedded and self.benchmark.hub.note:
            notes.append(self.benchmark.hub.note)
        if missing := [split for split in self.files.missing if split not in {each.split for each in counts}]:
            notes.append(f"The source has no file of the split {', '.join(missing)}.")
        rows = sum(each.built.rows for each in counts)
        if unknown := sum(each.unknown for each in counts):
            known = "It was joined from the original files by question and answer where these tell it"
            ask = "--original PATH joins it from the original files"
            notes.append(
                f"The source does not state the answer type of {unknown:,} of {rows:,} rows: it is null there, and "
                f"open and closed cannot be counted. {known if self.original else ask}."
            )
        elif self.original:
            notes.append("Types that the source does not state were joined from the original files.")
        return notes

    def _card(
        self, counts: Sequence[SplitCounts], notes: Sequence[str], written: Mapping[str, Written]
    ) -> dict[str, str]:
        stated = self.benchmark
        card = BenchmarkCard(
            name=stated.name,
            title=stated.title,
            about=stated.about,
            license=stated.card_license,
            license_note=stated.license_note,
            homepage=stated.homepage,
            citation=stated.citation,
            published=stated.published,
            languages=stated.languages if self.wanted.language == ALL_LANGUAGES else (self.wanted.language,),
            features=features(stated.schema)._to_yaml_list(),
            splits=[
                SplitSizes(
                    each.split,
                    built=asdict(each.built),
                    paper=asdict(each.paper) if each.paper else None,
                    num_bytes=written[each.split].bytes,
                    download_bytes=written[each.split].download_bytes,
                )
                for each in counts
            ],
            domains=sum((Counter(each.domains) for each in written.values()), Counter[str]()),
            source=self.files.name,
            stations=[counts_of(step) for step in self.summary.steps_of(stated.name)],
            notes=notes,
            version=__version__,
        )
        return {"README.md": render_benchmark_card(card), CROISSANT: render_croissant(card)}


class _KeptImages:
    """Writes the images that come inside rows, each distinct one once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()

    def keep(self, data: bytes, stated: str | None) -> str:  # noqa: ARG002  (names of rows' images clash)
        """The name of the file that holds `data`: its digest."""
        suffix = next((suffix for start, suffix in _SUFFIXES.items() if data.startswith(start)), ".jpg")
        name = digest_of(data) + suffix
        if name not in self._names:
            self._names.add(name)
            self._folder.mkdir(exist_ok=True)
            (self._folder / name).write_bytes(data)
        return name


def _wanted(benchmark: Benchmark, options: BuildOptions) -> Wanted:
    language = options.language or benchmark.languages[0]
    if language not in (*benchmark.languages, ALL_LANGUAGES):
        raise UsageError(
            f"{benchmark.name} has no questions in {language!r}: choose --language from "
            f"{', '.join((*benchmark.languages, ALL_LANGUAGES))}"
        )
    if options.all_phrases and not benchmark.phrases:
        raise UsageError(f"--all-phrases is for vqa-rad alone: rows of {benchmark.name} have no phrase types")
    return Wanted(language, options.all_phrases)


def _counted(rows: pa.Table) -> Counts:
    types = Counter(rows["answer_type"].to_pylist())
    known = None not in types
    return Counts(
        images=pc.count_distinct(rows["image"]).as_py(),
        rows=rows.num_rows,
        open=types["OPEN"] if known else None,
        closed=types["CLOSED"] if known else None,
    )
