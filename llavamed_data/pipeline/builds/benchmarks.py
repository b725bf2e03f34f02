"""Builds a benchmark for visual question answering: read → acquire → assemble, its splits in one dataset."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hub_cards import (
    COUNTED,
    COUNTED_CHOICES,
    CROISSANT_FILE,
    BenchmarkCard,
    SplitSizes,
    render_benchmark_card,
    render_croissant,
)
from llavamed_data.console.printable import counted
from llavamed_data.dataset.choices import MULTIPLE_CHOICE, with_choices
from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.dataset.schema import RowCheck, features
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import read_rows, row_writer
from llavamed_data.pipeline.builds.ending import Build, counts_of, finish
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary, SplitCounts
from llavamed_data.pipeline.steps.assemble import ImageFile, Record, Written
from llavamed_data.pipeline.steps.illustrate import (
    LOST,
    Illustrated,
    ImagesByName,
    ReadRows,
    illustrate,
)
from llavamed_data.pipeline.steps.image_store import digest_of
from llavamed_data.pipeline.steps.step import Step, StepResult, fingerprint
from llavamed_data.reasons import Drop, Dropped, Tally
from llavamed_data.recipes import SPLITS, Benchmark, Counts
from llavamed_data.sources.benchmarks import (
    ALL_LANGUAGES,
    BenchmarkFiles,
    BenchmarkImages,
    BenchmarkQuestion,
    ChoiceQuestion,
    ChoiceReader,
    OriginalTypes,
    QuestionFilter,
    QuestionReader,
    open_benchmark,
)
from llavamed_data.version import __version__

GENERATOR = "released"
"""What wrote the text, for `provenance`: the benchmark's own questions and answers stand as they are."""

QUESTIONS = pa.schema(
    [
        pa.field(name, pa.string(), nullable=name in ("answer_type", "question_type", "domain"))
        for name in BenchmarkQuestion.__slots__
    ]
)
"""A question as it was read."""

CHOICE_QUESTIONS = pa.schema(
    [
        pa.field(
            name,
            pa.list_(pa.string()) if name in ("images", "choices") else pa.string(),
            nullable=name in ("question_type", "domain"),
        )
        for name in ChoiceQuestion.__slots__
    ]
)
"""A multiple-choice question as it was read."""

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


def build_benchmarks(benchmarks: Sequence[Benchmark], build: Build) -> BuildSummary:
    """Builds each benchmark from `--source`; see `build`.

    Raises:
        UsageError: the source holds none of its files, or an option does not fit it.
        LlavaMedError: a file is broken, or the Hub does not give it.
    """
    for benchmark in benchmarks:
        _build_benchmark(benchmark, build)
    return build.summary


def _build_benchmark(benchmark: Benchmark, build: Build) -> None:
    """Builds one benchmark from one place."""
    options, summary, name = build.options, build.summary, benchmark.name
    wanted = _wanted(benchmark, options)
    opened = partial(open_benchmark, benchmark, progress=build.engine.on_progress is not None)
    files = opened(options.source)
    original = opened(options.original) if options.original else None
    place = fingerprint(files.identity, files.names)[:8]
    folder = options.work / f"benchmark-{place}" / name
    read = _read(benchmark, files, original, wanted, folder / "read")
    summary.record("read", read, dataset=name)
    if original and read.facts.get("completed") == 0:
        raise UsageError(
            f"--original does nothing for {name} from {files.name}: no row lacks an answer type that "
            f"{options.original} states; leave it out"
        )
    images = _images(files, read, options, folder)
    illustrated = illustrate(read, images, folder / "acquire", engine=build.engine)
    summary.record("acquire", illustrated, dataset=name)
    if lost := illustrated.facts["lost"]:
        summary.notes.append(
            f"{name}: {counted(lost, 'lost image')}, with reasons: {illustrated.folder / LOST}"
        )
    splits = [split for split in SPLITS if split in illustrated.facts["splits"]]
    counts = _counts(benchmark, wanted, illustrated, splits)
    unanswered = sum(row["answer"] == "" for row in read_rows([illustrated.file], ["answer"]))
    notes = _notes(benchmark, files, original, counts, unanswered) if splits else []
    summary.notes.extend(f"{name}: {note}" for note in notes)
    finish(
        build,
        name,
        {split: partial(_records, benchmark, files, illustrated, split) for split in splits},
        schema=benchmark.schema,
        card=partial(_card, build, benchmark, files, wanted, counts, notes),
        images=illustrated,
        inputs=[asdict(benchmark), illustrated.digest(), files.name],
        work=folder,
        counts=counts,
    )


def _wanted(benchmark: Benchmark, options: BuildOptions) -> QuestionFilter:
    language = options.language or benchmark.languages[0]
    if language not in (*benchmark.languages, ALL_LANGUAGES):
        raise UsageError(
            f"{benchmark.name} has no questions in {language!r}: choose --language from "
            f"{', '.join((*benchmark.languages, ALL_LANGUAGES))}"
        )
    if options.original and benchmark.choices:
        raise UsageError(
            f"--original does nothing for {benchmark.name}, whose files state every answer: leave it out"
        )
    if options.all_phrases and not benchmark.phrases:
        raise UsageError(f"--all-phrases is for vqa-rad alone: rows of {benchmark.name} have no phrase types")
    return QuestionFilter(language, options.all_phrases)


def _read(
    benchmark: Benchmark,
    files: BenchmarkFiles,
    original: BenchmarkFiles | None,
    wanted: QuestionFilter,
    folder: Path,
) -> ReadRows:
    """Reads the questions of all splits; images that come inside rows are kept beside them."""
    parts = (
        "read a benchmark",
        asdict(benchmark),
        files.identity,
        files.version(),
        asdict(wanted),
        original and [str(original.root.absolute()), original.version()],
    )

    def work(unfinished: Path) -> StepResult:
        tally, completed = Tally(), 0
        types = OriginalTypes(benchmark, original.records(lambda *_: "image")) if original else None
        reader: QuestionReader | ChoiceReader = (
            ChoiceReader(benchmark) if benchmark.choices else QuestionReader(benchmark, wanted)
        )
        check = RowCheck(benchmark.schema, ("id", "messages"))
        kept = _EmbeddedImages(unfinished / _EMBEDDED)
        with (
            row_writer(
                unfinished / "rows.parquet", CHOICE_QUESTIONS if benchmark.choices else QUESTIONS
            ) as add_row,
            row_writer(unfinished / "dropped.parquet", DROPPED) as add_dropped,
        ):
            for split, position, record in files.records(kept.keep):
                try:
                    question = reader.read(record, split, position)
                    text = question.text if isinstance(question, ChoiceQuestion) else question.question
                    check.check({"id": question.id, "messages": messages([(text, question.answer)])})
                except Drop as drop:
                    tally.drop(drop.reason)
                    add_dropped(asdict(Dropped.of(reader.label(record, split, position), drop)))
                else:
                    tally.keep()
                    if types and isinstance(question, BenchmarkQuestion):
                        whole = types.complete(question)
                        completed += whole != question
                        question = whole
                    add_row(asdict(question))
        return StepResult({"rows": tally}, {"completed": completed})

    return ReadRows(folder, Step(folder, fingerprint(*parts)).run(work))


@dataclass(frozen=True)
class _EmbeddedImages:
    """Writes the images that come inside rows, each distinct one once."""

    folder: Path
    names: set[str] = field(default_factory=set)

    def keep(self, data: bytes, stated: str | None) -> str:  # noqa: ARG002  (names of rows' images clash)
        """The name of the file that holds `data`: its digest."""
        suffix = next((suffix for start, suffix in _SUFFIXES.items() if data.startswith(start)), ".jpg")
        name = digest_of(data) + suffix
        if name not in self.names:
            self.names.add(name)
            self.folder.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(data)
        return name


def _images(files: BenchmarkFiles, read: ReadRows, options: BuildOptions, folder: Path) -> ImagesByName:
    """Where the images are: where the user says, in the rows themselves, or beside the files.

    Raises:
        UsageError: there is no such place.
    """
    if options.images:
        root = within = Path(options.images).expanduser()
    elif files.embedded:
        root = within = read.folder / _EMBEDDED
    else:
        root, within = files.root, files.within or files.root
    return ImagesByName(BenchmarkImages(root, within=within), folder / "images")


def _records(
    benchmark: Benchmark, files: BenchmarkFiles, illustrated: Illustrated, split: str
) -> Iterator[Record]:
    """The rows of one split, each with the file of its image, or the files of its images."""
    store = illustrated.store
    assert store is not None
    for row in read_rows([illustrated.file]):
        if row["split"] != split:
            continue
        if not benchmark.choices:
            yield Record(
                _columns(benchmark, files, row),
                image=store.path(row["locator"]),
                image_name=row["image"],
                image_bytes=row["image_bytes"],
                image_digest=row["image_digest"],
            )
            continue
        first, *more = (
            ImageFile(store.path(locator), name, size, digest)
            for locator, name, size, digest in zip(
                row["locators"], row["images"], row["image_sizes"], row["image_digests"], strict=True
            )
        )
        columns = _columns(benchmark, files, row) | {"question": row["question"], "choices": row["choices"]}
        yield Record(columns, first.path, first.name, first.bytes, first.digest, tuple(more))


def _columns(benchmark: Benchmark, files: BenchmarkFiles, row: Mapping[str, Any]) -> dict[str, Any]:
    text = with_choices(row["question"], row.get("choices") or ())
    return {
        "messages": messages([(text, row["answer"])], images=len(row.get("images") or ("image",))),
        "id": row["id"],
        "domain": row["domain"],
        "caption": "",
        "inline_mentions": [],
        "figure_label": "",
        "pmcid": None,
        "pmid": None,
        "license": benchmark.license,
        "provenance": provenance(benchmark.name, files.name, None, GENERATOR),
        "answer_type": row["answer_type"],
        "question_type": row["question_type"],
        "language": row["language"],
    }


def _counts(
    benchmark: Benchmark, wanted: QuestionFilter, illustrated: Illustrated, splits: Sequence[str]
) -> list[SplitCounts]:
    """The counts of each split beside those of Table 8 or of the authors, if these count the same rows."""
    image = "images" if benchmark.choices else "image"
    table = pq.read_table(illustrated.file, columns=["split", image, "answer_type"])
    comparable = wanted.language == benchmark.languages[0] and not wanted.all_phrases
    paper = benchmark.counts if comparable else {}
    counts = []
    for split in splits:
        rows = table.filter(pc.equal(table["split"], split))
        types = Counter(rows["answer_type"].to_pylist())
        names = pc.list_flatten(rows[image]) if benchmark.choices else rows[image]
        built = Counts(
            images=pc.count_distinct(names).as_py(),
            rows=rows.num_rows,
            open=None if None in types else types["OPEN"],
            closed=None if None in types or benchmark.choices else types["CLOSED"],
            choices=types[MULTIPLE_CHOICE] if benchmark.choices else None,
        )
        counts.append(SplitCounts(split, built, paper.get(split), types[None]))
    return counts


def _notes(
    benchmark: Benchmark,
    files: BenchmarkFiles,
    original: BenchmarkFiles | None,
    counts: Sequence[SplitCounts],
    unanswered: int,
) -> list[str]:
    """Sentences for the card and the summary; `unanswered` rows have an empty answer."""
    notes = [*benchmark.errata, *benchmark.notes]
    if files.embedded and benchmark.hub.note:
        notes.append(benchmark.hub.note)
    if missing := [split for split in files.missing if split not in {each.split for each in counts}]:
        notes.append(f"The source has no file of the split {', '.join(missing)}.")
    if unanswered:
        have = "row has" if unanswered == 1 else "rows have"
        notes.append(
            f"{unanswered:,} {have} an empty answer in the source. Table 8 counts such rows, so they are here; "
            "training leaves them out."
        )
    rows = sum(each.built.rows or 0 for each in counts)
    if unknown := sum(each.unknown for each in counts):
        known = "It was joined from the original files by question and answer where these tell it"
        ask = "--original PATH joins it from the original files"
        notes.append(
            f"The source does not state the answer type of {unknown:,} of {rows:,} rows: it is null there, and "
            f"open and closed cannot be counted. {known if original else ask}."
        )
    elif original:
        notes.append("Types that the source does not state were joined from the original files.")
    return notes


def _card(
    build: Build,
    benchmark: Benchmark,
    files: BenchmarkFiles,
    wanted: QuestionFilter,
    counts: Sequence[SplitCounts],
    notes: Sequence[str],
    written: Mapping[str, Written],
) -> dict[str, str]:
    card = BenchmarkCard(
        name=benchmark.name,
        title=benchmark.title,
        about=benchmark.about,
        license=benchmark.card_license,
        license_note=benchmark.license_note,
        homepage=benchmark.homepage,
        citation=benchmark.citation,
        bibtex=benchmark.bibtex,
        published=benchmark.published,
        languages=benchmark.languages if wanted.language == ALL_LANGUAGES else (wanted.language,),
        features=features(benchmark.schema)._to_yaml_list(),
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
        source=files.name,
        steps=[counts_of(step) for step in build.summary.steps_of(benchmark.name)],
        notes=notes,
        version=__version__,
        example=next(iter(written.values())).example,
        counted=COUNTED_CHOICES if benchmark.choices else COUNTED,
        counts_source="its authors state" if benchmark.choices else "Table 8 of the LLaVA-Med paper states",
    )
    shards = {name: digest for each in written.values() for name, digest in each.shards.items()}
    return {"README.md": render_benchmark_card(card), CROISSANT_FILE: render_croissant(card, shards)}
