"""Follows what reviewers have decided: rows are edited, given another domain, or left out before they are assembled."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from llavamed_data.console.printable import counted
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.jsonl import write_lines
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.pipeline.steps.assemble import Record, Records, read_image
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint
from llavamed_data.reasons import Dropped
from llavamed_data.review.counting import ReviewCount
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import images_digest
from llavamed_data.review.following import Reviewed

AGAIN = "again.jsonl"
"""The file of decisions about rows that have changed since, in the step's folder."""


@dataclass(frozen=True, slots=True)
class ReviewedSplits:
    """What came of following the decisions.

    Attributes:
        output: the step: `dropped.parquet` and `again.jsonl`.
        splits: split → its records; those without a record are left out.
        notes: sentences for the summary.
    """

    output: StepOutput
    splits: Mapping[str, Records]
    notes: Sequence[str]


def follow_decisions(
    decisions: Path, name: str, splits: Mapping[str, Records], folder: Path, inputs: Sequence[object]
) -> ReviewedSplits:
    """Follows the decisions in a file.

    A decision counts for the very row that its reviewer saw. One about a row of this dataset that has changed since is
    not followed; it is listed in `again.jsonl`, and the review page shows its row again.

    Args:
        decisions: the file.
        name: of the dataset.
        splits: split → its records.
        folder: the step's folder.
        inputs: what the records depend on.

    Raises:
        UsageError: the file cannot be read, or is not there.
        ImageChangedError: an image in the store is not what it was when it was fetched.
    """
    file = DecisionFile(decisions, must_exist=True)
    about = fingerprint([decision.to_json() for decision in file.decisions])

    def work(unfinished: Path) -> StepResult:
        count = ReviewCount(name)
        dropped = list[Dropped]()
        by_split = Counter[str]()
        for split, records in splits.items():
            for record, reviewed in _reviewed(records, file):
                count.add(record.row["id"], reviewed)
                by_split[split] += reviewed is None or reviewed.row is not None
                if reviewed and reviewed.drop:
                    dropped.append(Dropped.of(record.row["id"], reviewed.drop))
        again, others = count.not_followed(file)
        write_dropped(unfinished / "dropped.parquet", dropped)
        write_lines(unfinished / AGAIN, (decision.to_json() for decision in again))
        facts = {
            "sentence": count.sentence(file, len(again)),
            "again": len(again),
            "others": others,
            "splits": dict(by_split),
        }
        return StepResult({"rows": count.tally}, facts)

    output = StepOutput(folder, Step(folder, fingerprint("review", name, *inputs, about)).run(work))
    left = {
        split: partial(_records, records, file)
        for split, records in splits.items()
        if output.facts["splits"].get(split)
    }
    return ReviewedSplits(output, left, list(_notes(output, file)))


def review_notes(summary: BuildSummary, name: str) -> list[str]:
    """What the card of a dataset says of its review; nothing where there was none."""
    return [
        step.manifest.facts["sentence"]
        for step in summary.steps_of(name)
        if "sentence" in step.manifest.facts
    ]


def _notes(output: StepOutput, file: DecisionFile) -> Iterator[str]:
    yield output.facts["sentence"]
    if again := output.facts["again"]:
        yield f"{counted(again, 'decision')} to be seen again: {output.folder / AGAIN}"
    if others := output.facts["others"]:
        yield f"{counted(others, 'decision')} in {file.path} about rows that this set does not have"
    yield from file.problems


def _reviewed(records: Records, file: DecisionFile) -> Iterator[tuple[Record, Reviewed | None]]:
    """Each record with what came of the decisions about it; None where there are none."""
    for record in records():
        if not file.of(record.row["id"]):
            yield record, None
            continue
        images = [read_image(record)] if record.image else []
        yield record, file.review(dict(record.row), images_digest(images))


def _records(records: Records, file: DecisionFile) -> Iterator[Record]:
    for record, reviewed in _reviewed(records, file):
        if reviewed is None:
            yield record
        elif reviewed.row is not None:
            yield replace(record, row=reviewed.row)
