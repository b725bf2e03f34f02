"""The rows of a training run: loaded by name or folder, with images left as bytes, each with its length in tokens."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset, Image, IterableDataset, List, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetNotFoundError, NonMatchingSplitsSizesError
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard import RepoCard
from transformers import ProcessorMixin

from hub_cards import TrainingData
from llavamed_data.engine.engine import cores
from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate import BadRows, ConversationCollator, LengthCounter
from llavamed_trainer.collate.batches import LENGTH, read_lengths
from llavamed_trainer.running.arguments import TrainArguments, TrainingSettings
from llavamed_trainer.running.benchmark_parts import TEST_IDS, BenchmarkPart, SharedImages, leave_out

Rows: TypeAlias = Dataset | IterableDataset

_REQUIRED = ("messages", "images")
_KEPT = ("id", *_REQUIRED)
_EVALUATION_SETS = ("eval", "LLaVA-Med Eval")
"""Datasets of this project that are for evaluation alone: names of folders and repositories, and of cards."""

_ROWS_OF_AN_EXAMPLE = 200
"""The rows at the beginning by which it is told how much room rows need, and what a stream holds."""

_DATA_FILES = (".parquet", ".arrow", ".json", ".jsonl", ".csv")
"""The ends of the names of files with rows."""

_TAIL_BYTES = 65536
"""The bytes at the end of a data file that enter a folder's fingerprint: a Parquet footer changes with the rows."""

_ROWS_OF_A_PROCESS = 4000
"""The rows that one more process must have to count before it is worth its start."""


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """How long rows are, in tokens with those of their images.

    Attributes:
        rows: the number of rows.
        unusable: rows whose messages cannot be trained on; images are only read when their turn comes.
        tokens: the sum over all rows.
        median: of the usable rows.
        high: the 95th percentile of the usable rows.
        longest: of the usable rows.
        cut: rows that reach the greatest length, whose text is cut.
    """

    rows: int
    unusable: int
    tokens: int
    median: int
    high: int
    longest: int
    cut: int


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows of a run.

    Attributes:
        train: rows to train on; with a column `length` unless they are a stream.
        evaluation: rows to evaluate on; None if the run does not evaluate.
        lengths: of the rows to train on; None for a stream.
        max_steps: the number of training steps if it is not left to the number of epochs, else -1.
        for_evaluation: says which of the rows to train on are for evaluation; None if none are known to be.
        shared: what each benchmark part by which the run is scored shares with the rows of the dataset; rows that show
            an image of a held-out part are not in `train`. Empty for a stream, of which it is not known.
    """

    train: Rows
    evaluation: Rows | None
    lengths: LengthSummary | None
    max_steps: int
    for_evaluation: str | None
    shared: Sequence[SharedImages] = ()


def load_training_rows(
    settings: TrainingSettings, processor: ProcessorMixin, parts: Sequence[BenchmarkPart] = ()
) -> TrainingRows:
    """Loads the rows that a run trains on and evaluates on.

    Args:
        settings: of the run.
        processor: of the model.
        parts: the benchmark parts by which the run is scored.

    Raises:
        UsageError: no dataset is given, there is no such dataset or split, or its columns are others.
        LlavaMedError: none of the rows can be trained on.
    """
    arguments, training = settings.arguments, settings.training
    name, revision = arguments.dataset, arguments.dataset_revision
    if not name:
        raise UsageError("give the dataset to train on: --dataset")
    with training.distributed_state.local_main_process_first():  # the others find the rows in the cache
        rows = load_rows(
            name,
            arguments.split,
            revision=revision,
            streaming=arguments.streaming,
            max_rows=arguments.max_rows,
        )
    evaluation = _evaluation_rows(settings, name, processor)
    for_evaluation = evaluation_data(arguments, rows)
    if not arguments.streaming:
        if not len(rows):
            raise UsageError(f"{name} has no rows in {arguments.split!r}: name another --dataset or --split")
        rows, shared = leave_out(rows, parts)
        rows = _count_lengths(settings, rows, processor)
        lengths = rows.with_format("numpy")[LENGTH][:]
        if not lengths.any():
            raise _no_usable_row(settings, rows, processor)
        summary = summarise_lengths(lengths, training.max_length)
        return TrainingRows(rows, evaluation, summary, training.max_steps, for_evaluation, shared)
    max_steps = training.max_steps
    if max_steps <= 0:
        count = _stated_rows(name, arguments.split, revision)
        if arguments.max_rows is not None:
            count = min(arguments.max_rows, count or arguments.max_rows)
        max_steps = steps_of_stream(count, training.num_train_epochs, arguments.global_batch_size, name)
    if arguments.shuffle_buffer:
        rows = rows.shuffle(seed=training.seed, buffer_size=arguments.shuffle_buffer)
    return TrainingRows(rows, evaluation, None, max_steps, for_evaluation)


def evaluation_data(arguments: TrainArguments, rows: Rows | None = None) -> str | None:
    """Says which data for evaluation a run trains on; None if it is not known to train on any.

    It is told by the split, by the name of the dataset (of its folder, and of the card in it), and by the ids of the
    rows, in a stream of the first ones, which tell rows of a benchmark's test split under any other name.
    """
    splits = [part.split("[")[0].strip() for part in arguments.split.split("+")]
    if named := [split for split in splits if split != "train" and not split.startswith("train_")]:
        return f"split {' and '.join(named)} of {arguments.dataset}"
    names = {str(arguments.dataset).rstrip("/").rpartition("/")[2]}
    if (folder := Path(str(arguments.dataset))).is_dir():
        names = {folder.resolve().name, str(_stated(folder / "README.md", "pretty_name"))}
    if names & {*_EVALUATION_SETS}:
        return f"the evaluation set {arguments.dataset}"
    if rows is None or "id" not in rows.features or rows.features["id"].dtype != "string":
        return None
    if isinstance(rows, Dataset):
        ids: Any = rows.data.column("id")
    else:
        ids = pa.array(
            [row["id"] for row in rows.select_columns("id").take(_ROWS_OF_AN_EXAMPLE)], pa.string()
        )
    if found := pc.sum(pc.match_substring_regex(ids, TEST_IDS)).as_py():
        among = "" if isinstance(rows, Dataset) else f" among the first {len(ids):,}"
        return f"{found:,} rows of test splits of benchmarks{among} in {arguments.dataset}"
    return None


def load_rows(
    name: str,
    split: str,
    *,
    revision: str | None = None,
    streaming: bool = False,
    max_rows: int | None = None,
) -> Rows:
    """Loads rows of a dataset in the published form, with images as bytes.

    Args:
        name: what `load_dataset` takes: `llava-med/60k-im` (a folder here, or on the Hub), or a path.
        split: the split of the dataset.
        revision: branch, tag or commit on the Hub.
        streaming: read rows while they are used.
        max_rows: load the first rows only.

    Raises:
        UsageError: there is no such dataset or split, or its columns are others.
    """
    if max_rows is not None and max_rows < 1:
        raise UsageError(f"--max_rows {max_rows} leaves no row: give 1 or more")
    rows = _load(name, split, revision, streaming)
    if rows.features is None:
        rows = rows._resolve_features()
    missing = [column for column in _REQUIRED if column not in rows.features]
    if missing == ["images"] and "image" in rows.features:
        raise UsageError(
            f"{name} has a column image of one image each, in place of images, a list of images for each row: write "
            'it anew with rows.map(lambda row: {"images": [row["image"]]}, remove_columns="image") of datasets'
        )
    if missing:
        raise UsageError(
            f"{name} has no column {' and '.join(missing)} (it has {', '.join(rows.features)}): "
            "python -m llavamed_data import makes a dataset with these columns from the files of other trainers"
        )
    rows = rows.select_columns([column for column in _KEPT if column in rows.features])
    try:
        rows = _with_image_bytes(rows)
    except Exception as error:  # as above
        raise UsageError(
            f"the column images of {name} holds no lists of images: {one_line(error, 300)}"
        ) from error
    return rows.take(max_rows) if max_rows is not None else rows


def _load(name: str, split: str, revision: str | None, streaming: bool) -> Any:
    """What `load_dataset` finds under a name, as it is now."""
    if Path(name).is_dir() and revision is not None:
        raise UsageError(f"{name} is a folder here: --dataset_revision is for datasets on the Hub")
    try:
        rows = load_dataset(name, split=split, revision=revision, streaming=streaming)
        if isinstance(rows, Dataset) and _is_stale(Path(name), rows):
            rows = load_dataset(name, split=split, download_mode="force_redownload")
    except NonMatchingSplitsSizesError as error:
        raise UsageError(
            f"the files of {name} hold other rows than its README.md states: build it anew, or remove dataset_info "
            "from the head of README.md"
        ) from error
    except ConnectionError as error:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else one_line(error, 300)
        raise UsageError(
            f"there is no dataset {name!r} here, and the Hub, where it may be, cannot be reached ({why}): give the "
            "folder of a dataset with --dataset, build one with python -m llavamed_data build, or rerun the same "
            "command with a connection"
        ) from error
    except (DatasetNotFoundError, FileNotFoundError, HfHubHTTPError) as error:
        raise UsageError(
            f"there is no dataset {name!r}{f' at {revision}' if revision else ''}, neither as a folder here nor on the "
            f"Hub: build it with python -m llavamed_data build, or give --dataset ({one_line(error, 300)})"
        ) from error
    except Exception as error:  # datasets and pyarrow raise many kinds of errors on damaged files
        if "corresponds to no data" in str(error):
            raise UsageError(f"{name} has no rows in {split!r}: name another --dataset or --split") from error
        raise UsageError(f"the dataset {name} cannot be read as {split!r}: {one_line(error, 300)}") from error
    return rows


def _is_stale(folder: Path, rows: Dataset) -> bool:
    """Whether the cache of `datasets` holds rows from before the last change of a folder, which it does not notice.

    It tells folders with a README.md apart by that file alone.
    """
    cached = min((Path(each["filename"]).stat().st_mtime for each in rows.cache_files), default=None)
    return cached is not None and any(
        path.stat().st_mtime > cached for path in folder.rglob("*") if path.suffix in _DATA_FILES
    )


def _with_image_bytes(rows: Rows) -> Rows:
    """The rows with images as bytes.

    `cast_column` would write every image into the cache a second time, although a list of images is stored in the same
    way whether it is decoded or not. So only what the dataset says of the column is changed.
    """
    features = rows.features.copy()
    features["images"] = List(Image(decode=False))
    if isinstance(rows, IterableDataset) or rows.features.arrow_schema != features.arrow_schema:
        return rows.cast_column("images", features["images"])
    info = rows.info.copy()
    info.features = features
    fingerprint = hashlib.sha256(f"{rows._fingerprint} images as bytes".encode()).hexdigest()[:16]
    return Dataset(rows.data, info=info, split=rows.split, fingerprint=fingerprint)


def steps_of_stream(rows: int | None, epochs: float, batch: int, name: str) -> int:
    """The number of training steps for a stream, whose length the trainer cannot know.

    Raises:
        UsageError: the number of rows is not known.
    """
    if rows is None:
        raise UsageError(f"{name} does not state how many rows it has: give --max_steps to stream it")
    return ceil(rows * epochs / batch)


def with_lengths(
    rows: Dataset,
    count: Callable[[list[dict[str, Any]]], Sequence[int]],
    depends_on: str,
    processes: int | None,
    columns: Sequence[str] = ("messages",),
) -> Dataset:
    """Adds a column `length`; lengths that were counted before are read from the cache of `datasets`.

    Args:
        rows: the dataset.
        count: a function from rows to the number of tokens of each.
        depends_on: a text that changes with everything but the rows that the lengths depend on.
        processes: the number of processes that count; by default as many as pay.
        columns: what is given to `count` of each row.

    Raises:
        LlavaMedError: a process that counts was ended from outside.
    """
    parent = os.getpid()

    def counted(batch: dict[str, list[Any]]) -> dict[str, Sequence[int]]:
        if os.getpid() != parent:
            # threads of the parent are not there after a fork, and would be waited for
            torch.set_num_threads(1)
        values = zip(*(batch[column] for column in columns), strict=True)
        return {LENGTH: count([dict(zip(columns, row, strict=True)) for row in values])}

    fingerprint = hashlib.sha256(f"{rows._fingerprint} {depends_on}".encode()).hexdigest()[:16]
    try:
        lengths = rows.select_columns(list(columns)).map(
            counted,
            batched=True,
            remove_columns=list(columns),
            num_proc=processes or counting_processes(len(rows)),
            new_fingerprint=fingerprint,
            desc="Counting tokens",
        )
    except RuntimeError as error:
        if "abruptly" not in str(error):
            raise
        raise LlavaMedError(
            "a process that counted tokens was ended from outside, for lack of memory perhaps: rerun the same command "
            "with --dataset_num_proc 1"
        ) from error
    return rows.add_column(LENGTH, lengths.with_format("numpy")[LENGTH][:])


def counting_processes(rows: int) -> int | None:
    """The number of processes that count the tokens of so many rows; None for this process alone.

    Processes are forked, as those of the data loader are, so nothing is loaded or downloaded again. Where the platform
    does not fork (macOS, Windows), a new process would import all and run the user's script again: one process counts.
    """
    if multiprocessing.get_all_start_methods()[0] != "fork":
        return None
    processes = min(cores(), rows // _ROWS_OF_A_PROCESS)
    return processes if processes > 1 else None


def summarise_lengths(lengths: Sequence[int], max_length: int | None) -> LengthSummary:
    """Summarises the lengths of rows, not all 0; a length of 0 is a row that cannot be trained on."""
    counted = np.asarray(lengths)
    usable = counted[counted > 0]
    median, high = np.quantile(usable, [0.5, 0.95])
    return LengthSummary(
        rows=len(counted),
        unusable=len(counted) - len(usable),
        tokens=int(usable.sum()),
        median=int(median),
        high=int(high),
        longest=int(usable.max()),
        cut=int((usable >= max_length).sum()) if max_length else 0,
    )


def describe_dataset(name: str, revision: str | None) -> TrainingData:
    """What a model card states of a dataset: its version, and the licence that its own card states.

    The version is the commit on the Hub, or a fingerprint of the files in a folder.
    """
    folder = Path(name)
    if folder.is_dir():
        shown = "/".join(folder.resolve().parts[-2:])
        return TrainingData(shown, f"files {_fingerprint_of(folder)}", _license(folder / "README.md"))
    api = HfApi()
    try:
        commit = api.dataset_info(name, revision=revision).sha
        card = api.hf_hub_download(name, "README.md", repo_type="dataset", revision=commit)
    except (HfHubHTTPError, OSError):  # the rows may have come from the cache all the same
        return TrainingData(name, revision, "not stated")
    return TrainingData(name, commit, _license(Path(card)))


def _evaluation_rows(settings: TrainingSettings, name: str, processor: ProcessorMixin) -> Rows | None:
    arguments = settings.arguments
    if str(settings.training.eval_strategy) in ("no", "IntervalStrategy.NO"):
        return None
    if not arguments.eval_split:
        raise UsageError("--eval_strategy needs --eval_split, the split to evaluate")
    revision = arguments.dataset_revision if arguments.eval_dataset is None else None
    name = arguments.eval_dataset or name
    rows = load_rows(name, arguments.eval_split, revision=revision)
    rows = _count_lengths(settings, rows, processor) if len(rows) else rows
    if not len(rows) or not any(read_lengths(rows)):
        raise LlavaMedError(
            f"none of the {len(rows):,} rows of split {arguments.eval_split} of {name} can be evaluated: name other "
            "rows with --eval_dataset and --eval_split"
        )
    return rows


def _count_lengths(settings: TrainingSettings, rows: Rows, processor: ProcessorMixin) -> Rows:
    training, text = settings.training, settings.arguments.text
    count = LengthCounter(processor, training.max_length, text)
    tokenizer = hashlib.sha256(processor.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    depends_on = f"{tokenizer} {count.depends_on}"
    with training.distributed_state.local_main_process_first():  # the others find the lengths in the cache
        return with_lengths(rows, count, depends_on, training.dataset_num_proc, count.columns)


def _no_usable_row(settings: TrainingSettings, rows: Dataset, processor: ProcessorMixin) -> LlavaMedError:
    """Says why no row can be trained on: no room for any, and how long rows are, or what is wrong with the first."""
    text = settings.arguments.text
    counter = LengthCounter(processor, None, text)
    shown = rows.take(_ROWS_OF_AN_EXAMPLE).select_columns(list(counter.columns))
    if lengths := sorted(length for length in counter([*shown]) if length):
        return UsageError(
            f"--max_length {settings.training.max_length} has no room for any row: the first {len(lengths):,} take "
            f"{lengths[0]:,} to {lengths[-1]:,} tokens with those of their images: give "
            f"--max_length {lengths[-1]} or more"
        )
    bad_rows = BadRows()
    ConversationCollator(processor, text=text, bad_rows=bad_rows)([rows[0]])
    why = "".join(f", the first of them for this reason: {row.reason} ({row.detail})" for row in bad_rows)
    return LlavaMedError(
        f"none of the {len(rows):,} rows can be trained on{why}: correct them, or name another dataset with --dataset"
    )


def _stated_rows(name: str, split: str, revision: str | None) -> int | None:
    """The number of rows that a dataset's card states for a split; None if it states none."""
    splits = load_dataset_builder(name, revision=revision).info.splits or {}
    return splits[split].num_examples if split in splits else None


def _fingerprint_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"):
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            digest.update(f"{path.relative_to(folder)} {size} ".encode() + file.read())
    return digest.hexdigest()[:12]


def _stated(card: Path, name: str) -> Any:
    """What the head of a card states under a name; None if it states nothing."""
    return RepoCard.load(card, ignore_metadata_errors=True).data.get(name) if card.is_file() else None


def _license(card: Path) -> str:
    stated = _stated(card, "license")
    if isinstance(stated, list):
        return ", ".join(map(str, stated))
    return str(stated) if stated else "not stated"
