"""The rows of a dataset as reviewers go through them: which there are, in which state, and what is shown of one."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from llavamed_data.console.printable import counted
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.dataset.schema import RowCheck, kind_of
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.review.agreement import wilson
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import (
    SEEN_COLUMNS,
    Decision,
    DecisionKind,
    images_part,
    row_digest,
    texts_part,
)
from llavamed_data.review.flags import Flag, flags_of_row
from llavamed_data.review.following import Reviewed
from llavamed_data.review.search import rows_with_words

STATES = (
    "all",
    "undecided",
    "accepted",
    "rejected",
    "edited",
    "noted",
    "reviewers disagree",
    "to be seen again",
)
"""The states that rows can be chosen by; a row is to be seen again if it has changed since it was decided about."""

_MOST_ROWS_BY_ROW = 200
"""If more rows than so many have new decisions, the texts of all rows are read in one go."""

_LONGEST_NAME = 100
"""Characters of a reviewer's name."""

_SHOWN_COLUMNS = (*SEEN_COLUMNS, "images", "pmcid", "pmid", "provenance")


class RowChangedError(UsageError):
    """The row that a decision is about is not as it was when it was shown."""


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which rows are gone through.

    Attributes:
        domain: of the row; "" for any.
        state: one of `STATES`.
        flag: `source` or `source: verdict` of a flag that the row has; "" for any row.
        words: all of them stand in the texts of the row.
        sample: number of rows, drawn at random; 0 for all.
        seed: of the draw: the same seed gives the same rows in the same order, and a larger sample has them first.
    """

    domain: str = ""
    state: str = "all"
    flag: str = ""
    words: str = ""
    sample: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RowState:
    """What has been decided about a row."""

    verdict: str = ""
    edited: bool = False
    noted: bool = False
    disagree: bool = False
    again: bool = False

    def names(self) -> set[str]:
        """The `STATES` that the row is in."""
        verdicts = {"accept": "accepted", "reject": "rejected"}
        flags = {
            "edited": self.edited,
            "noted": self.noted,
            "reviewers disagree": self.disagree,
            "to be seen again": self.again,
        }
        return {
            "all",
            verdicts.get(self.verdict, "undecided"),
            *(name for name, held in flags.items() if held),
        }


@dataclass(frozen=True, slots=True)
class RowView:
    """A row as it is shown.

    Attributes:
        number: of the row.
        row: its columns, as the dataset has them.
        digest: what its decisions are about.
        images: the half of the digest that is of the images.
        reviewed: what was decided about it.
        flags: what rules, checks and judges say of it.
        again: whether decisions were made about an earlier form of it alone.
        other: the row of the other dataset that it is compared with, or None.
    """

    number: int
    row: Row
    digest: str
    images: str
    reviewed: Reviewed
    flags: Sequence[Flag] = ()
    again: bool = False
    other: "RowView | None" = None

    @property
    def mark(self) -> str:
        """What tells this row, with its texts as they are shown, from other rows and from other forms of it."""
        review = self.reviewed.review
        changes = [sorted(review.texts.items()), sorted(review.deleted), review.domain]
        seen = [self.digest, *([self.other.digest] if self.other else changes)]
        return xxhash.xxh3_128_hexdigest(json.dumps(seen).encode())


@dataclass
class _Index:
    """What is known of all rows of one state of the files: ids and domains, a few bytes a row.

    Attributes:
        dataset: the dataset.
        files: what tells its files, and those of the dataset that is compared, from those that may replace them.
        ids, domains: of the rows, in order.
        shared: numbers of the rows that the dataset that is compared has too.
        search: finds the rows that hold all of some words, in one of the datasets if two are compared; it remembers the
            last few results.
        unknown_flags: how many ids there are flags about and no row has.
        numbers: id that there are decisions about → numbers of its rows.
        states: number of a row that there are decisions about → its state.
        verdicts: (domain, verdict) → rows.
        compared: id → who has compared its row.
    """

    dataset: Dataset
    files: tuple[tuple[str, int, int], ...]
    ids: pa.Array
    domains: pa.Array
    shared: Sequence[int]
    search: Callable[[tuple[str, ...]], Sequence[int]]
    unknown_flags: int
    numbers: dict[str, list[int]] = field(default_factory=dict)
    states: dict[int, RowState] = field(default_factory=dict)
    verdicts: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    compared: dict[str, frozenset[str]] = field(default_factory=dict)

    def set_state(self, number: int, state: RowState) -> None:
        """Takes the state of a row in."""
        domain = self.domains[number].as_py()
        if before := self.states.get(number):
            self.verdicts[domain, before.verdict] -= 1
        self.states[number] = state
        self.verdicts[domain, state.verdict] += 1


class ReviewSet:
    """A dataset under review; several threads may use it.

    Args:
        dataset: its folder, or a repository on the Hub.
        decisions: the file that decisions are added to.
        flags: id of a row → its flags.
        compare: another dataset of the same figures, for a blind comparison of their conversations.

    Raises:
        UsageError: there is no such dataset, a file cannot be read, or the two share no id.
        LlavaMedError: a shard cannot be read.

    Attributes:
        file: the decisions.
        flags: as given.
        name: of the dataset.
        other_name: of the dataset that it is compared with, or "".
        generation: how many times the datasets were read: the numbers of rows are those of one generation.
    """

    def __init__(
        self,
        dataset: str,
        decisions: Path,
        *,
        flags: Mapping[str, Sequence[Flag]] | None = None,
        compare: str | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._given, self._compare, self.flags = dataset, compare, flags or {}
        self.file = DecisionFile(decisions)
        self._other: Dataset | None = None
        self._other_numbers: dict[str, int] = {}
        self.other_name, self.generation, self._checks_images = "", 0, False
        self._index = self._open()
        if self._other and self._other.folder.resolve() == self._index.dataset.folder.resolve():
            raise UsageError(f"{dataset} and {compare} are the same dataset: name another one with --compare")
        self.name = self._index.dataset.bare_name
        if not self._index.shared and self._other:
            raise UsageError(
                f"{dataset} and {compare} share no id of a row: name two sets of the same figures"
            )

    @property
    def compares(self) -> bool:
        """Whether two datasets are compared."""
        return self._other is not None

    def __len__(self) -> int:
        return len(self._index.ids)

    def refresh(self) -> bool:
        """Reads what other programs have decided, and the datasets anew if files changed; returns whether they have."""
        with self._lock:
            changed = _files(self._index.dataset, self._other) != self._index.files
            self._take_added(anew=changed)
            return changed

    def domains(self) -> list[str]:
        """The domains that rows have, in alphabetical order."""
        return sorted(each for each in pc.unique(self._index.domains).to_pylist() if each)

    def flag_names(self) -> list[str]:
        """`source` and `source: verdict` of the flags on rows, the most frequent first in each source."""
        counts: dict[str, Counter[str]] = {}
        for name in self._known(self.flags):
            for flag in self.flags[name]:
                counts.setdefault(flag.source, Counter())[flag.verdict] += 1
        return [
            each
            for source, verdicts in sorted(counts.items())
            for each in (
                source,
                *(f"{source}: {verdict}" for verdict, _ in verdicts.most_common() if verdict),
            )
        ]

    def find(self, wanted: ReviewFilter) -> Sequence[int]:
        """The numbers of the rows that are gone through, in their order."""
        index = self._index
        words = tuple(wanted.words.split())
        numbers = index.search(words) if words else index.shared
        if wanted.domain:
            of_domain = set(pc.indices_nonzero(pc.equal(index.domains, wanted.domain)).to_pylist())
            numbers = [each for each in numbers if each in of_domain]
        if wanted.state != "all":
            plain = RowState()
            with self._lock:
                numbers = [each for each in numbers if wanted.state in index.states.get(each, plain).names()]
        if wanted.flag:
            flagged = self._flagged(index.ids, wanted.flag)
            numbers = [each for each in numbers if each in flagged]
        if wanted.sample:
            numbers = _drawn(index.ids, numbers, wanted.sample, wanted.seed)
        return numbers

    def first_undecided(self, numbers: Sequence[int]) -> int:
        """The place of the first of these rows that has no verdict; 0 if all have one."""
        states = self._index.states
        found = (
            place for place, each in enumerate(numbers) if each not in states or not states[each].verdict
        )
        return next(found, 0)

    def first_to_compare(self, numbers: Sequence[int], reviewer: str) -> int:
        """The place of the first of these rows that the reviewer has not compared; 0 if there is none."""
        index = self._index
        done = {
            number
            for name, reviewers in index.compared.items()
            if reviewer.strip() in reviewers
            for number in index.numbers[name]
        }
        return next((place for place, each in enumerate(numbers) if each not in done), 0)

    def number_of(self, row_id: str) -> int:
        """The number of the first row of this id.

        Raises:
            UsageError: there is none.
        """
        if not row_id:
            raise UsageError("no id is given: write one first")
        number = self._number_of(row_id)
        if number is None:
            raise UsageError(f"{self.name} has no row {row_id}")
        return number

    def view(self, number: int) -> RowView:
        """What is shown of a row.

        Raises:
            RowChangedError: there is no row of that number any more.
        """
        if not 0 <= number < len(self._index.ids):
            raise RowChangedError("the row is not there any more: go to another one")
        seen = self._view(self._index.dataset, number)
        there = self._other_numbers.get(seen.row["id"])
        if self._other is None or there is None:
            return seen
        return replace(seen, other=self._view(self._other, there))

    def images(self, number: int, digest: str) -> Sequence[Row | None]:
        """The images of a row; none if they are no longer those of this digest.

        Raises:
            IndexError: there is no row of that number any more.
        """
        row = self._index.dataset.row(number, ["images"])
        return row.get("images") or () if images_part(row_digest(row)) == digest else ()

    def decide(self, view: RowView, kind: DecisionKind, reviewer: str, **fields: Any) -> Decision | None:
        """Adds a decision about a row that was shown; None if it says what holds already.

        Raises:
            RowChangedError: the row, or what others have made of it, has changed since it was shown.
            UsageError: it cannot be made.
            LlavaMedError: it cannot be written.
        """
        with self._lock:
            reviewer = _checked_name(reviewer)
            now = self.view(view.number)
            if now.digest != view.digest:
                raise RowChangedError("the dataset has changed meanwhile: look at the row again")
            if now.mark != view.mark and kind is not DecisionKind.NOTE:
                raise RowChangedError("the row was changed since it was shown here: look at it again")
            if _holds_already(now, kind, reviewer, fields):
                return None
            if kind is DecisionKind.PREFER and self.preference(view, reviewer) == fields["choice"]:
                return None
            made = self.file.decide(
                now.row,
                kind,
                reviewer=reviewer,
                dataset=self.name,
                images=now.images,
                check=partial(self._check, now.row),
                **fields,
            )
            self._take_added()
            return made

    def undo(self, reviewer: str) -> tuple[Decision, int]:
        """Takes back the reviewer's last decision about rows as they are now; the last preference in a comparison.

        Returns:
            The decision that was taken back, and the number of its row.

        Raises:
            UsageError: there is none.
            LlavaMedError: it cannot be written.
        """
        with self._lock:
            reviewer = _checked_name(reviewer)
            own = [each for each in self.file.decisions if each.reviewer == reviewer]
            undone = {each.fields["undoes"] for each in own if each.kind is DecisionKind.UNDO}
            for last in reversed(own):
                if last.kind is DecisionKind.UNDO or last.key in undone:
                    continue
                view = self._decided_view(last)
                if view is None:
                    continue
                self.file.decide(
                    view.row,
                    DecisionKind.UNDO,
                    reviewer=reviewer,
                    dataset=self.name,
                    images=view.images,
                    undoes=last.key,
                )
                self._take_added()
                return last, view.number
            raise UsageError(f"{reviewer} has decided nothing here that could be undone")

    def preference(self, view: RowView, reviewer: str) -> str:
        """What a reviewer prefers of the two rows that are compared: `this`, `other`, `tie`, or "" if nothing yet."""
        if view.other is None:
            return ""
        choices = [
            each.fields["choice"]
            for each in self.file.preferences(view.row["id"])
            if (each.row, each.fields["other"], each.reviewer) == (view.digest, view.other.digest, reviewer)
        ]
        return choices[-1] if choices else ""

    def progress(self, domain: str = "") -> tuple[int, int, int, float, float]:
        """Rows, those with a verdict, those rejected, and the 95 % interval of the share that is rejected."""
        with self._lock:
            index = self._index
            rows = len(index.ids) if not domain else pc.sum(pc.equal(index.domains, domain)).as_py() or 0
            verdicts = Counter[str]()
            for (of, verdict), count in index.verdicts.items():
                if verdict and (not domain or of == domain):
                    verdicts[verdict] += count
            decided = verdicts.total()
            low, high = wilson(verdicts["reject"], decided)
            return rows, decided, verdicts["reject"], low, high

    def compared(self, reviewer: str) -> tuple[int, int]:
        """How many rows can be compared, and how many the reviewer has compared."""
        with self._lock:
            index = self._index
            done = sum(reviewer in each for name, each in index.compared.items() if index.numbers[name])
            return len(index.shared), done

    def problems(self) -> list[str]:
        """What is to be said of the files: lines that were passed over, and decisions and flags about other rows."""
        with self._lock:
            said = list(self.file.problems)
            of_others = sum(not each for each in self._index.numbers.values())
            for what, unknown in (("decisions", of_others), ("flags", self._index.unknown_flags)):
                if unknown:
                    ids = counted(unknown, "id")
                    said.append(f"{what} about {ids} that this dataset does not have are not shown")
            return said

    def check_images_later(self) -> None:
        """Does `check_images` beside the work of others."""
        self._checks_images = True
        threading.Thread(target=self.check_images, args=(0.02,), daemon=True).start()

    def check_images(self, pause: float = 0.0) -> None:
        """Finds the rows whose image alone has changed since they were decided about; slow, as it reads images.

        Args:
            pause: seconds between two rows, for the work of others.
        """
        with self._lock:
            numbers = [number for number, state in self._index.states.items() if not state.again]
        for number in numbers:
            time.sleep(pause)
            with self._lock:
                if number in self._index.states and number < len(self._index.ids):
                    self._index.set_state(number, _state(self._view(self._index.dataset, number)))

    def _open(self) -> _Index:
        dataset, self._replaced = Dataset(self._given), self.file.replaced
        names = dataset.schema.names
        if "id" not in names or "messages" not in names:
            raise LlavaMedError(f"{dataset.name} has no column id or messages: run validate")
        kind = kind_of(names)
        self._row_check = RowCheck(kind, ("id", "messages", "domain"))
        ids = _ids(dataset)
        domains = _column(dataset, "domain") if "domain" in names else pa.nulls(len(ids), pa.string())
        shared: Sequence[int] = range(len(ids))
        search: Callable[[tuple[str, ...]], Sequence[int]] = partial(rows_with_words, dataset)
        other = Dataset(self._compare) if self._compare else None
        if other:
            self._other_numbers = _numbers_of(other)
            self.other_name = other.bare_name
            theirs = pa.array(self._other_numbers, pa.string())
            shared = pc.indices_nonzero(pc.is_in(ids, value_set=theirs)).to_pylist()
            places = {number: self._other_numbers[ids[number].as_py()] for number in shared}
            search = partial(_rows_with_words_in_either, dataset, other, places)
        index = _Index(
            dataset, _files(dataset, other), ids, domains, shared, lru_cache(maxsize=32)(search), 0
        )
        self._index, self._other = index, other
        self.generation += 1
        index.unknown_flags = len(self.flags) - len(self._known(self.flags))
        self._take_in(index, set(self.file.ids))
        return index

    def _take_in(self, index: _Index, names: set[str]) -> None:
        """Takes in the rows of these ids, whose states are told by their texts alone; see `check_images`."""
        if not names:
            return
        index.numbers.update((name, []) for name in names)
        index.compared.update((name, self._compared_by(name)) for name in names)
        wanted, start = pa.array(sorted(names), pa.string()), 0
        for batch in index.dataset.batches(SEEN_COLUMNS):
            ids = batch.column(batch.schema.get_field_index("id")).cast(pa.string())
            hits = pc.indices_nonzero(pc.is_in(ids, value_set=wanted))
            for hit, row in zip(hits.to_pylist(), batch.take(hits).to_pylist(), strict=True):
                index.numbers.setdefault(row["id"], []).append(start + hit)
                index.set_state(start + hit, self._state_by_texts(row))
            start += batch.num_rows
        for numbers in (index.numbers[name] for name in names):
            states = [index.states[number] for number in numbers]
            if any(state.again for state in states) and not all(state.again for state in states):
                for number, state in zip(numbers, states, strict=True):
                    index.set_state(number, replace(state, again=False))

    def _compared_by(self, name: str) -> frozenset[str]:
        """Who has compared the row of an id with that of the other dataset."""
        if name not in self._other_numbers:
            return frozenset()
        return frozenset(
            each.reviewer
            for each in self.file.preferences(name)
            if each.fields["other_dataset"] == self.other_name
        )

    def _state_by_texts(self, row: Row) -> RowState:
        decisions = [each for each in self.file.of(row["id"]) if each.kind is not DecisionKind.PREFER]
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
        return _state_of(self.file.review(row, images, texts + images), again=False)

    def _take_added(self, *, anew: bool = False) -> None:
        """Takes in what was added to the file, by this program too; all of it if another file is there now."""
        added = self.file.refresh()
        if anew or self._replaced != self.file.replaced:
            self._index = self._open()
            if self._checks_images:
                self.check_images_later()
        else:
            self._update(added)

    def _update(self, decisions: Sequence[Decision]) -> None:
        """Takes new decisions into the states of their rows."""
        names = {each.id for each in decisions}
        if len(names) > _MOST_ROWS_BY_ROW:
            self._take_in(self._index, names)
            return
        index = self._index
        for name in names:
            if name not in index.numbers:
                index.numbers[name] = pc.indices_nonzero(pc.equal(index.ids, name)).to_pylist()
            index.compared[name] = self._compared_by(name)
            for number in index.numbers[name]:
                index.set_state(number, _state(self._view(index.dataset, number)))

    def _view(self, dataset: Dataset, number: int) -> RowView:
        row = dataset.row(number, _SHOWN_COLUMNS)
        digest = row_digest(row)
        reviewed = self.file.review(row, digest=digest)
        row_id = row.get("id") if isinstance(row.get("id"), str) else ""
        decided = any(each.kind is not DecisionKind.PREFER for each in self.file.of(row_id or ""))
        again = decided and not reviewed.applied and not self._decided_beside(number, row_id or "")
        flags = flags_of_row(self.flags.get(row_id or "", ()), row)
        return RowView(number, row, digest, images_part(digest), reviewed, flags, again)

    def _decided_beside(self, number: int, row_id: str) -> bool:
        """Whether the decisions about an id are about another row of that id."""
        index = self._index
        return any(
            self.file.review(index.dataset.row(each, _SHOWN_COLUMNS)).applied
            for each in index.numbers.get(row_id, ())
            if each != number
        )

    def _decided_view(self, decision: Decision) -> RowView | None:
        """The row that a decision is about, if the dataset has it as it was then and this page makes such decisions."""
        if (decision.kind is DecisionKind.PREFER) is not self.compares:
            return None
        for number in self._index.numbers.get(decision.id, ()):
            view = self.view(number)
            compared = view.other.digest if view.other else None
            if (view.digest, compared) == (decision.row, decision.fields.get("other")):
                return view
            if (
                not self.compares and decision.key in view.reviewed.applied
            ):  # made before the dataset was built
                return view
        return None

    def _number_of(self, row_id: str) -> int | None:
        if row_id in self._index.numbers:
            return self._index.numbers[row_id][0]
        found = pc.index(self._index.ids, pa.scalar(row_id, pa.string())).as_py()
        return None if found < 0 else int(found)

    def _known(self, names: Iterable[str]) -> list[str]:
        """Those of the ids that rows of the dataset have."""
        asked = pa.array(sorted(set(names)), pa.string())
        return [str(each) for each in asked.filter(pc.is_in(asked, value_set=self._index.ids)).to_pylist()]

    def _flagged(self, ids: pa.Array, flag: str) -> set[int]:
        """The numbers of the rows of these ids that have a flag."""
        source, _, verdict = flag.partition(": ")
        names = [
            name
            for name, flags in self.flags.items()
            if any(each.source == source and (not verdict or each.verdict == verdict) for each in flags)
        ]
        hits = pc.indices_nonzero(pc.is_in(ids, value_set=pa.array(names, pa.string())))
        return set(hits.to_pylist())

    def _check(self, before: Row, after: Row) -> None:
        """Raises Drop for a text or domain that the dataset may not hold."""
        changed = {
            name: after.get(name) for name in ("messages", "domain") if after.get(name) != before.get(name)
        }
        self._row_check.check(changed)


def _rows_with_words_in_either(
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


def _checked_name(reviewer: object) -> str:
    """The name of a reviewer without spaces around it.

    Raises:
        UsageError: it is empty, too long or not one line of text.
    """
    name = reviewer.strip() if isinstance(reviewer, str) else ""
    if not name:
        raise UsageError("the reviewer's name is empty: every decision carries one")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a reviewer's name is one line of at most {_LONGEST_NAME} characters")
    return name


def _holds_already(view: RowView, kind: DecisionKind, reviewer: str, fields: Mapping[str, Any]) -> bool:
    """Whether a decision would change nothing."""
    review = view.reviewed.review
    match kind:
        case DecisionKind.ACCEPT | DecisionKind.REJECT:
            same = review.verdict == kind and review.verdicts.get(reviewer) == kind
            return bool(same and review.reason == fields.get("reason", ""))
        case DecisionKind.EDIT:
            turns = turns_of(view.row.get("messages"))
            turn = fields["turn"]
            if not 0 <= turn < len(turns) or turn // 2 in {number // 2 for number in review.deleted}:
                return False
            return _plain(review.texts.get(turn, turns[turn][1])) == _plain(str(fields["text"]))
        case DecisionKind.DELETE:
            return fields["turn"] // 2 in {number // 2 for number in review.deleted}
        case DecisionKind.DOMAIN:
            return bool((review.domain or view.row.get("domain")) == fields["domain"])
    return False


def _plain(text: str) -> str:
    """The text with the line ends that a browser makes of it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _state(view: RowView) -> RowState:
    return _state_of(view.reviewed, again=view.again)


def _state_of(reviewed: Reviewed, *, again: bool) -> RowState:
    review = reviewed.review
    verdict = "reject" if reviewed.row is None else review.verdict  # it may have lost all its rounds
    return RowState(verdict, review.changes, bool(review.notes), review.disagree, again)


def _drawn(ids: pa.Array, numbers: Sequence[int], count: int, seed: int) -> list[int]:
    """The `count` rows whose id has the smallest keyed hash, in that order."""

    def rank(number: int) -> tuple[int, int]:
        name = ids[number].as_py() or ""
        return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"), seed=seed % 2**64), number

    return sorted(numbers, key=rank)[:count]


def _numbers_of(dataset: Dataset) -> dict[str, int]:
    """id → number of the first row that has it."""
    names = _ids(dataset).to_pylist()
    return {name: number for number, name in reversed(list(enumerate(names))) if name is not None}


def _ids(dataset: Dataset) -> pa.Array:
    return _column(dataset, "id")


def _column(dataset: Dataset, name: str) -> pa.Array:
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
