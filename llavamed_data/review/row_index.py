"""What is known of all rows of a dataset under review: their ids and domains, and what was decided about them."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from llavamed_data.agreement import wilson
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import SEEN_COLUMNS, images_part, row_digest, texts_part
from llavamed_data.review.following import Reviewed
from llavamed_data.review.search import rows_with_words, rows_with_words_in_either

UNDECIDED_BY_ME = "undecided by me"
"""The state of rows on which the reviewer who asks has given no verdict, whatever others decided."""

STATES = (
    "all",
    "undecided",
    UNDECIDED_BY_ME,
    "accepted",
    "rejected",
    "edited",
    "noted",
    "reviewers disagree",
    "to be seen again",
)
"""The states that rows can be chosen by; a row is to be seen again if it has changed since it was decided about."""


@dataclass(frozen=True, slots=True)
class RowState:
    """What has been decided about a row.

    Attributes:
        verdict: `accept`, `reject`, or "" where there is none.
        edited: whether its texts or domain are changed.
        noted: whether there is a note.
        disagree: whether reviewers have come to different verdicts.
        again: whether it is to be seen again.
        reviewers: who has given a verdict.
    """

    verdict: str = ""
    edited: bool = False
    noted: bool = False
    disagree: bool = False
    again: bool = False
    reviewers: tuple[str, ...] = ()

    @classmethod
    def of(cls, reviewed: Reviewed, *, again: bool) -> "RowState":
        """The state of a row, and whether it is to be seen again."""
        review = reviewed.review
        return cls(
            reviewed.verdict,
            review.changes,
            bool(review.notes),
            review.disagree,
            again,
            tuple(review.verdicts),
        )

    def names(self, reviewer: str = "") -> set[str]:
        """The `STATES` that the row is in for a reviewer."""
        verdicts = {"accept": "accepted", "reject": "rejected"}
        flags = {
            "edited": self.edited,
            "noted": self.noted,
            "reviewers disagree": self.disagree,
            "to be seen again": self.again,
            UNDECIDED_BY_ME: reviewer not in self.reviewers,
        }
        return {
            "all",
            verdicts.get(self.verdict, "undecided"),
            *(name for name, held in flags.items() if held),
        }


UNDECIDED = RowState()
"""The state of a row that nothing was decided about."""


class RowIndex:
    """What is known of all rows of a dataset as its files are: a few bytes a row.

    Args:
        dataset: the dataset.
        other: the dataset that it is compared with, or None.
        file: the decisions.

    Raises:
        LlavaMedError: the dataset has no ids or no conversations, or a shard cannot be read.

    Attributes:
        dataset, other, file: as given.
        ids, domains: of the rows, in order.
        other_numbers: id → number of the first row of the other dataset that has it.
        shared: numbers of the rows that the other dataset has too; of all rows if there is no other.
        numbers: id that there are decisions about → numbers of its rows.
        states: number of a row that there are decisions about → its state.
        compared: id → who has compared its row.
    """

    def __init__(self, dataset: Dataset, other: Dataset | None, file: DecisionFile) -> None:
        names = dataset.schema.names
        if "id" not in names or "messages" not in names:
            raise LlavaMedError(f"{dataset.name} has no column id or messages: run validate")
        self.dataset, self.other, self.file = dataset, other, file
        self._files = _files(dataset, other)
        self.ids = _column(dataset, "id")
        self.domains = (
            _column(dataset, "domain") if "domain" in names else pa.nulls(len(self.ids), pa.string())
        )
        self.shared: Sequence[int] = range(len(self.ids))
        self.other_numbers: dict[str, int] = {}
        search: Callable[[tuple[str, ...]], Sequence[int]] = partial(rows_with_words, dataset)
        if other:
            theirs = _column(other, "id").to_pylist()
            self.other_numbers = {
                name: number for number, name in reversed([*enumerate(theirs)]) if name is not None
            }
            known = pa.array(self.other_numbers, pa.string())
            self.shared = pc.indices_nonzero(pc.is_in(self.ids, value_set=known)).to_pylist()
            places = {number: self.other_numbers[self.ids[number].as_py()] for number in self.shared}
            search = partial(rows_with_words_in_either, dataset, other, places)
        self._search = lru_cache(maxsize=32)(search)
        self.numbers: dict[str, list[int]] = {}
        self.states: dict[int, RowState] = {}
        self.compared: dict[str, frozenset[str]] = {}
        self._verdicts = Counter[tuple[str | None, str]]()
        """(domain, verdict) → rows."""
        self.take_in(set(file.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def is_current(self) -> bool:
        """Whether the files of the datasets are those that were read."""
        return _files(self.dataset, self.other) == self._files

    def rows_with_words(self, words: tuple[str, ...]) -> Sequence[int]:
        """The numbers of the rows that hold all of the words, in one of the datasets if two are compared.

        The results of the last few searches are kept.
        """
        return self._search(words) if words else self.shared

    def number_of(self, row_id: str) -> int | None:
        """The number of the first row of an id; None if there is none."""
        if row_id in self.numbers:
            return next(iter(self.numbers[row_id]), None)
        found = pc.index(self.ids, pa.scalar(row_id, pa.string())).as_py()
        return None if found < 0 else int(found)

    def known(self, names: Iterable[str]) -> list[str]:
        """Those of the ids that rows of the dataset have."""
        asked = pa.array(sorted(set(names)), pa.string())
        return [str(each) for each in asked.filter(pc.is_in(asked, value_set=self.ids)).to_pylist()]

    def progress(self, domain: str = "") -> tuple[int, int, int, float, float]:
        """Rows, those with a verdict, those rejected, and the 95 % interval of the share that is rejected."""
        rows = len(self) if not domain else pc.sum(pc.equal(self.domains, domain)).as_py() or 0
        verdicts = Counter[str]()
        for (of, verdict), count in self._verdicts.items():
            if verdict and (not domain or of == domain):
                verdicts[verdict] += count
        decided = verdicts.total()
        return rows, decided, verdicts["reject"], *wilson(verdicts["reject"], decided)

    def set_state(self, number: int, state: RowState) -> None:
        """Takes the state of a row in."""
        domain = self.domains[number].as_py()
        if before := self.states.get(number):
            self._verdicts[domain, before.verdict] -= 1
        self.states[number] = state
        self._verdicts[domain, state.verdict] += 1

    def take_in(self, names: set[str]) -> None:
        """Takes in the rows of these ids, whose states are told by their texts alone; images are not read."""
        if not names:
            return
        for name in names:
            self.numbers[name] = []
            self.take_preferences_in(name)
        wanted, start = pc.is_in(self.ids, value_set=pa.array(sorted(names), pa.string())), 0
        with _garbage_collection_paused():
            for batch in self.dataset.batches(SEEN_COLUMNS):
                hits = pc.indices_nonzero(wanted.slice(start, batch.num_rows))
                for hit, row in zip(hits.to_pylist(), batch.take(hits).to_pylist(), strict=True):
                    self.numbers.setdefault(row["id"], []).append(start + hit)
                    self.set_state(start + hit, self._state_by_texts(row))
                start += batch.num_rows
        for numbers in (self.numbers[name] for name in names):
            states = [self.states[number] for number in numbers]
            if any(state.again for state in states) and not all(state.again for state in states):
                for number, state in zip(numbers, states, strict=True):
                    self.set_state(number, replace(state, again=False))

    def take_preferences_in(self, name: str) -> None:
        """Takes in who has compared the row of an id with that of the other dataset."""
        if self.other and name in self.other_numbers:
            self.compared[name] = frozenset(
                each.reviewer
                for each in self.file.preferences(name)
                if each.fields["other_dataset"] == self.other.bare_name
            )
        else:
            self.compared[name] = frozenset()

    def _state_by_texts(self, row: Row) -> RowState:
        decisions = self.file.about(row["id"])
        texts = texts_part(row_digest(row, ""))
        images = next(
            (
                images_part(digest)
                for each in decisions
                for digest in (each.row, each.after)
                if texts_part(digest) == texts
            ),
            None,
        )
        if images is None:
            return RowState(again=bool(decisions))
        return RowState.of(self.file.review(row, images, texts + images), again=False)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pauses the collector, which would look through all decisions and rows again and again as new rows are read.

    Rows are freed without it, as they do not refer to themselves.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _column(dataset: Dataset, name: str) -> pa.Array:
    """A column of all rows as text."""
    batches = [batch.column(0).cast(pa.string()) for batch in dataset.batches([name], size=50_000)]
    return pa.concat_arrays(batches) if batches else pa.array([], pa.string())


def _files(*datasets: Dataset | None) -> tuple[tuple[str, int, int], ...]:
    """What tells the files of datasets from those that may replace them."""
    found = []
    for shard in (shard for dataset in datasets if dataset for shard in dataset.shards):
        try:
            state = shard.path.stat()
        except OSError:
            found.append((shard.name, 0, 0))
        else:
            found.append((shard.name, state.st_mtime_ns, state.st_size))
    return tuple(found)
