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
    console.print(f"{result.candidate or 'the candidate'}, judged by {result.judge}", highlight=False)
    shown = Table(caption=f"relative to the reference answers of the {result.reference}, in percent")
    for title in ("group", "questions", "reference first (Table 1)", "candidate first", "both"):
        shown.add_column(title, justify="left" if title == "group" else "right")
    for name, group in result.groups.items():
        values = (group.reference_first, group.swapped, group.both)
        shown.add_row(_TITLES[name], str(group.questions), *(_percent(value) for value in values))
    console.print(shown)
    if result.bias:
        console.print(
            f"position bias: an answer gains {result.bias.points:+.2f} points by standing first; the winner "
            f"changes with the order in {result.bias.flipped:.0%} of the questions"
        )
    tally = result.tally
    console.print(
        f"{result.groups['overall'].questions} of {result.asked} questions judged; {tally.answered} requests answered, "
        f"{tally.from_journal} from the journal, {tally.retries} retries, {tally.dollars:.4f} dollars"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
