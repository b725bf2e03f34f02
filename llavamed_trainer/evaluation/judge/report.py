"""A judgement for people: Table 1's columns, and what the order did."""

from rich.console import Console
from rich.table import Table

from llavamed_trainer.evaluation.judge.run import Judgement

_TITLES = {
    "conversation": "Conversation",
    "detailed_description": "Description",
    "chest_xray": "CXR",
    "mri": "MRI",
    "histology": "Histology",
    "gross": "Gross",
    "ct_scan": "CT",
    "overall": "Overall",
}


def show_judgement(result: Judgement, console: Console) -> None:
    """Prints the relative scores, the position bias and the cost."""
    shown = Table(
        title=f"Relative scores of {result.candidate or 'the candidate'} by {result.judge}, "
        f"reference: {result.reference}"
    )
    shown.add_column("")
    for name, group in result.groups.items():
        shown.add_column(f"{_TITLES[name]} ({group.questions})", justify="right")
    for label, field in (
        ("reference first (Table 1)", "reference_first"),
        ("candidate first", "swapped"),
        ("both", "both"),
    ):
        values = [getattr(group, field) for group in result.groups.values()]
        if any(value is not None for value in values):
            shown.add_row(label, *("-" if value is None else f"{value:.1f}" for value in values))
    console.print(shown)
    if result.bias:
        console.print(
            f"position bias: an answer gains {result.bias.points:+.2f} points by standing first; the winner "
            f"changes with the order in {result.bias.flipped:.0%} of the questions"
        )
    tally = result.tally
    console.print(
        f"{result.groups['overall'].questions} of {result.asked} questions judged; {tally.answered} requests, "
        f"{tally.from_journal} from the journal, {tally.retries} retries, {tally.dollars:.4f} dollars"
    )
