"""A prediction run for people."""

from rich.console import Console

from llavamed_trainer.evaluation.predict.options import PredictReport


def show_predictions(report: PredictReport, out: str, console: Console) -> None:
    """Prints the counts; every question is answered or named."""
    lost = sum(report.unanswered.values())
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.unanswered.items())
    console.print(f"{report.questions} questions = {report.answered} answered + {lost} without an answer")
    if reasons:
        console.print(f"  without an answer: {reasons}")
    if report.without_image:
        console.print(f"  asked without their lost image: {report.without_image}")
    if report.cut:
        console.print(f"  cut off at the longest answer allowed: {report.cut}")
    if report.taken_over:
        console.print(f"  answered in an earlier run: {report.taken_over}")
    if report.tally:
        tally = report.tally
        console.print(
            f"  {tally.answered} requests answered, {tally.retries} retries, {tally.dollars:.4f} dollars"
        )
    console.print(out, highlight=False)
