"""Finds the rows of a dataset in whose texts given words stand."""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llavamed_data.dataset.reader import Dataset

SEARCHED_COLUMNS = ("id", "caption", "inline_mentions", "messages")
"""The columns whose texts are searched."""

_BATCH_ROWS = 4_000
"""Rows of a batch of texts: about 10 MB, of which three are in memory at a time."""


def rows_with_words(dataset: Dataset, words: Sequence[str]) -> list[int]:
    """The numbers of the rows that hold all of the words in their id, caption, mentions or turns.

    Args:
        dataset: the dataset.
        words: parts of words count, in upper or lower case.
    """
    found, start = list[int](), 0
    searched = deque[tuple[int, Future[npt.NDArray[np.integer]]]]()
    with ThreadPoolExecutor(max_workers=1) as pool:  # searches one batch while the next is read
        for batch in dataset.batches(SEARCHED_COLUMNS, size=_BATCH_ROWS):
            searched.append((start, pool.submit(_matches, batch, words)))
            start += batch.num_rows
            if len(searched) > 1:
                before, hits = searched.popleft()
                found += (hits.result() + before).tolist()
    for before, hits in searched:
        found += (hits.result() + before).tolist()
    return found


def rows_with_words_in_either(
    dataset: Dataset, other: Dataset, places: Mapping[int, int], words: tuple[str, ...]
) -> list[int]:
    """The numbers of the rows that hold all of the words in one of two datasets.

    Args:
        dataset, other: the datasets.
        places: number of a row that both have → its number in the other.
        words: as `rows_with_words` takes them.
    """
    ours, theirs = set(rows_with_words(dataset, words)), set(rows_with_words(other, words))
    return [number for number, there in places.items() if number in ours or there in theirs]


def _matches(batch: pa.RecordBatch, words: Sequence[str]) -> npt.NDArray[np.integer]:
    """The numbers of the rows of a batch that hold all of the words."""
    holds = np.zeros((len(words), batch.num_rows), np.bool_)
    for column in batch.columns:
        texts, rows = _texts(column)
        for number, word in enumerate(words):
            hits = pc.match_substring(texts, word, ignore_case=True)
            holds[number, rows[pc.indices_nonzero(hits).to_numpy()]] = True
    return np.flatnonzero(holds.all(axis=0))


def _texts(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.integer]]:
    """The texts in a column, however deep they lie in lists, and the number of the row of each."""
    rows: npt.NDArray[np.integer] = np.arange(len(column))
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        rows = rows[pc.list_parent_indices(column).to_numpy()]
        column = pc.list_flatten(column)
        if pa.types.is_struct(column.type):  # a turn, or a part of one
            names = {field.name for field in column.type}
            name = next((name for name in ("content", "text") if name in names), None)
            column = pc.struct_field(column, name) if name else pa.nulls(len(column), pa.string())
    if not pa.types.is_string(column.type):
        try:
            column = column.cast(pa.string())
        except pa.ArrowException:
            column = pa.nulls(len(column), pa.string())
    return column, rows
