"""Pairs of texts of which reviewers prefer one, in the form that TRL's DPO trainer reads.

    {"images": [image], "prompt": [{"role": "user", "content": "What is shown?"}],
     "chosen": [{"role": "assistant", "content": "A chest X-ray."}],
     "rejected": [{"role": "assistant", "content": "A CT."}]}

Pairs come from comparing two datasets (`review A --compare B`), or from edits of answers: the edited answer is chosen,
the one that stood there is rejected.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.dataset.writer import tables_of, write_shards
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import atomic_folder
from llavamed_data.review.decision_file import DecisionFile, decided_rows
from llavamed_data.review.decisions import DecisionKind, row_digest
from llavamed_data.version import __version__

Turns = list[tuple[str, str]]

_README = """\
{pairs} exported by llavamed-data {version} for TRL's DPO trainer.

```python
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

pairs = load_dataset("parquet", data_dir="data", split="train")
DPOTrainer(model, args=DPOConfig("out", max_length=None), train_dataset=pairs, processing_class=processor).train()
```
"""

CHANGED = "about rows that have changed since"
TIES = "ties"
SPLIT = "on which reviewers disagree"
NO_PROMPT = "whose conversations begin with different questions, so that they share no prompt"
SAME = "of equal texts"
NO_IMAGE = "whose row has lost its image"
REJECTED = "whose row is rejected in review"


@dataclass(frozen=True, slots=True)
class PreferenceSummary:
    """What an export of preferences wrote.

    Attributes:
        folder: the folder of the export.
        rows: split → number of pairs.
        left_out: why → how many were left out.
    """

    folder: Path
    rows: Mapping[str, int]
    left_out: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values for `--json`."""
        return {**asdict(self), "folder": str(self.folder), "form": "preference"}


def export_preferences(
    dataset: str, decisions: Path, out: Path, *, against: str | None = None
) -> PreferenceSummary:
    """Writes the pairs that follow from reviewers' decisions into a new folder.

    Args:
        dataset: a folder, or a repository on the Hub: the one that was reviewed.
        decisions: the file of decisions.
        out: the new folder; it appears whole or not at all.
        against: the dataset that it was compared with; None takes the edits of answers as pairs.

    Raises:
        UsageError: no dataset, no file of decisions, or a folder that exists already.
        LlavaMedError: no pair follows from the decisions.
    """
    from datasets import Features, Image, List, Value

    opened, file = Dataset(dataset), DecisionFile(decisions, must_exist=True)
    if out.resolve().is_relative_to(opened.folder.resolve()):
        raise UsageError(f"{out} lies inside the dataset: choose a folder beside it with --out")
    left_out = Counter[str]()
    other = Dataset(against) if against is not None else None
    pairs = _compared(opened, other, file, left_out) if other else _edited(opened, file, left_out)
    turns = List({"role": Value("string"), "content": Value("string")})
    texts = {"prompt": turns, "chosen": turns, "rejected": turns}
    schema = Features({"images": List(Image()), **texts, "id": Value("string")}).arrow_schema
    with atomic_folder(out) as folder:
        count = write_shards(tables_of(pairs, schema), folder / "data", "train", schema)
        if not count:
            why = "; ".join(f"{number:,} {reason}" for reason, number in left_out.items()) or "there are none"
            raise LlavaMedError(f"no pair follows from the decisions in {decisions}: {why}")
        said = f"{count:,} pair{'' if count == 1 else 's'}"
        (folder / "README.md").write_text(_README.format(pairs=said, version=__version__), encoding="utf-8")
    return PreferenceSummary(out, {"train": count}, dict(left_out))


def _edited(dataset: Dataset, file: DecisionFile, left_out: Counter[str]) -> Iterator[Row]:
    """A pair for each answer that reviewers have edited, in a row that they have not rejected."""
    for _, row in decided_rows(dataset, file):
        reviewed = file.review(row)
        if reviewed.row is None or not reviewed.review.texts:
            if not reviewed.applied:
                left_out[CHANGED] += any(each.kind is DecisionKind.EDIT for each in file.of(row["id"]))
            continue
        before, review = turns_of(row["messages"]), reviewed.review
        after = [(role, review.texts.get(number, text)) for number, (role, text) in enumerate(before)]
        gone = {number // 2 for number in review.deleted}
        for number, (role, text) in enumerate(before):
            if role != "assistant" or number not in review.texts or number // 2 in gone:
                continue
            prompt = [each for place, each in enumerate(after[:number]) if place // 2 not in gone]
            yield from _pair(row, prompt, [after[number]], [(role, text)], left_out)


def _compared(dataset: Dataset, other: Dataset, file: DecisionFile, left_out: Counter[str]) -> Iterator[Row]:
    """A pair for each two rows that reviewers have compared, where all prefer the same one and neither is rejected."""
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for _, row in decided_rows(other, file):
        rows[row["id"]].append(row)
    seen, matched = set[str](), set[str]()
    for _, row in decided_rows(dataset, file):
        digest = row_digest(row)
        others = {row_digest(each): each for each in rows[row["id"]]}
        choices: dict[str, dict[str, str]] = {}
        for each in file.preferences(row["id"]):
            seen.add(each.key)
            if each.row == digest and each.fields["other"] in others:
                matched.add(each.key)
                choices.setdefault(each.fields["other"], {})[each.reviewer] = each.fields["choice"]
        for other_digest, by_reviewer in choices.items():
            said = set(by_reviewer.values())
            if len(said) > 1 or said == {"tie"}:
                left_out[SPLIT if len(said) > 1 else TIES] += 1
                continue
            if any(file.review(each).review.verdict == "reject" for each in (row, others[other_digest])):
                left_out[REJECTED] += 1
                continue
            chosen, rejected = turns_of(row["messages"]), turns_of(others[other_digest]["messages"])
            if said == {"other"}:
                chosen, rejected = rejected, chosen
            yield from _of_conversations(row, chosen, rejected, left_out)
    if changed := len(seen - matched):
        left_out[CHANGED] += changed


def _of_conversations(row: Row, chosen: Turns, rejected: Turns, left_out: Counter[str]) -> Iterator[Row]:
    """The pair of two conversations: what they share up to a question is the prompt."""
    differs = (
        number for number, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other
    )
    shared = next(differs, min(len(chosen), len(rejected)))
    if shared == 0:
        left_out[NO_PROMPT] += 1
        return
    prompt = (
        shared if shared % 2 else shared - 1
    )  # where the questions differ, the answer before is in both texts
    yield from _pair(row, chosen[:prompt], chosen[prompt:], rejected[prompt:], left_out)


def _pair(row: Row, prompt: Turns, chosen: Turns, rejected: Turns, left_out: Counter[str]) -> Iterator[Row]:
    if not row.get("images"):
        left_out[NO_IMAGE] += 1
    elif chosen == rejected:
        left_out[SAME] += 1
    else:
        sides = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        turns = {
            side: [{"role": role, "content": text} for role, text in said] for side, said in sides.items()
        }
        yield {"images": row["images"], **turns, "id": row["id"]}
