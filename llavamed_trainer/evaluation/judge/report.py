"""Judged short answers, and estimates of what judging will take, as text on the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.agreement import Agreement
from llavamed_data.console.printable import counted, printable_line
from llavamed_data.llm import AnswerCounts
from llavamed_data.llm.estimate import RequestEstimate
from llavamed_trainer.evaluation.judge.short_answer_scores import JudgeScore, ShortAnswerScores
from llavamed_trainer.evaluation.scoring.scores import MetricEstimate


def show_short_answers(scores: ShortAnswerScores, console: Console) -> None:
    """Prints the accuracy by each judge, by kind of question, and how far the judges and exact match agree."""
    notes = [_partial(each, scores.questions) for each in scores.judges]
    if scores.empty:
        notes.append(f"{counted(scores.empty, 'answer')} without a word: wrong, and not asked about")
    table = Table(
        title=Text(f"open answers that mean the same as the reference ({scores.prompt_form} prompt)"),
        title_justify="left",
        caption="\n".join(note for note in notes if note) or None,
        caption_justify="left",
    )
    for column in ("", "%", "95 % interval", "questions"):
        table.add_column(column, justify="left" if not column else "right")
    for each in scores.judges:
        _add_row(table, f"judged by {printable_line(each.judge, 40)}", each.accuracy)
    _add_row(table, "exact match (strict)", scores.exact_match)
    if len(scores.judges[0].kinds) > 1:
        table.add_section()
        for kind, estimate in scores.judges[0].kinds.items():
            _add_row(table, kind.replace("_", " "), estimate)
    console.print(table)
    for each in scores.judges:
        if scores.both_orders and each.accuracy:
            _say(console, _disputes(each, each.accuracy))
    for agreement in scores.agreements:
        _say(console, _agreement(agreement))


def show_counts(counts: Mapping[str, AnswerCounts], console: Console) -> None:
    """Prints the requests of each judge and what they cost."""
    for judge, each in counts.items():
        _say(
            console,
            f"{judge}: {counted(each.answered, 'request')} answered, {each.details()}, {each.retries:,} retries, "
            f"{each.dollars:.4f} dollars",
        )


def show_estimates(estimates: Sequence[RequestEstimate], console: Console) -> None:
    """Prints what judging will take, a line a judge, and the prices that it is computed by."""
    for each in estimates:
        time = f", at least {each.minutes:,.1f} min" if each.minutes is not None else ""
        _say(
            console,
            f"{counted(each.requests, 'request')} to {each.model}: {each.usage.prompt_tokens:,} prompt tokens, about "
            f"{each.usage.completion_tokens:,} completion tokens, {each.dollars:,.2f} US dollars{time}",
        )
        if each.reasons:
            _say(console, f"{each.model} reasons, which is paid as completion tokens and not foreseen here")
    if len(estimates) > 1:
        _say(console, f"together {sum(each.dollars for each in estimates):,.2f} US dollars")
    _say(console, f"Prices of {estimates[0].as_of}: {estimates[0].source}")


def _add_row(table: Table, label: str, found: MetricEstimate | None) -> None:
    if found:
        interval = f"{found.low:.2f} – {found.high:.2f}"
        table.add_row(Text(label), f"{found.value:.2f}", interval, f"{found.count:,}")
    else:
        table.add_row(Text(label), "", "", "0")


def _partial(score: JudgeScore, questions: int) -> str:
    if not score.unjudged:
        return ""
    return f"PARTIAL: {score.unjudged:,} of {questions:,} open questions have no verdict of {score.judge}"


def _disputes(score: JudgeScore, accuracy: MetricEstimate) -> str:
    judge = printable_line(score.judge, 40)
    if not score.disputed:
        return f"{judge} gives every verdict in both orders of the answers"
    share = score.disputed / accuracy.count
    return (
        f"{judge} changes its verdict with the order of the answers on {score.disputed:,} of "
        f"{counted(accuracy.count, 'question')} ({share:.1%}): disputed, counted as wrong; counted as right they would "
        f"make {accuracy.value + 100 * share:.2f} %"
    )


def _agreement(found: Agreement) -> str:
    kappa = "not defined" if found.kappa is None else f"{found.kappa:.2f}"
    names = f"{printable_line(found.one, 40)} and {printable_line(found.other, 40)}"
    return f"{names}: the same on {found.same:,} of {counted(found.rows, 'question')}, Cohen's kappa {kappa}"


def _say(console: Console, line: str) -> None:
    console.print(Text(printable_line(line)), soft_wrap=True)
