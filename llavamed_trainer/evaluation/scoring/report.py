"""Scores and comparisons as tables on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_trainer.evaluation.scoring.comparison import Comparison
from llavamed_trainer.evaluation.scoring.scores import METRICS, Estimates, MetricEstimate, Scores

CHINESE_NOTE = (
    "Chinese: the authors' accuracy asks for the English words yes or no, so it is 0 for Chinese answers whatever they "
    "say, and their open scores take all that stands between two blanks for one word. The strict ones know Chinese."
)
"""What to know before the authors' scores of Chinese answers are read."""

_GROUP_COLUMNS = ("open", "recall", "strict", "closed", "accuracy", "strict")


def show_scores(scores: Scores, console: Console) -> None:
    """Prints every metric with its interval, then the scores by group."""
    level = f"{scores.resampling.level:g} % interval"
    whose = _short(scores.model) or "answers"
    title = f"{whose} on {scores.benchmark} ({scores.split}, {scores.prompt_form} prompt)"
    notes = [_partial(scores.missing, scores.questions)]
    if scores.limit is not None:
        notes.append(f"the first {scores.limit:,} questions alone were asked (--limit): this is no result")
    if scores.untyped:
        notes.append(
            f"{scores.untyped:,} questions do not say whether they are open or closed, so they have no scores: build "
            "the benchmark from its original file"
        )
    if "zh" in scores.languages:
        notes.append(CHINESE_NOTE)
    table = Table(
        title=Text(title),
        title_justify="left",
        caption="\n".join(note for note in notes if note) or None,
        caption_justify="left",
    )
    for column in ("", "metric", "%", level, "questions"):
        table.add_column(column, justify="left" if column in ("", "metric") else "right")
    before = ""
    for metric in METRICS:
        if (found := scores.overall.get(metric.name)) is not None:
            kind = {"OPEN": "open", "CLOSED": "closed", "ALL": "all"}[metric.family]
            table.add_row(
                kind if kind != before else "",
                metric.label + ("" if metric.released else " (strict)"),
                f"{found.value:.2f}",
                f"{found.low:.2f} – {found.high:.2f}",
                f"{found.count:,}",
                style=None if metric.released else "dim",
            )
            before = kind
    console.print(table)
    for name, values in scores.groups.items():
        console.print(_groups(name.replace("_", " "), values))


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Prints every metric's difference with its interval and p value."""
    first, second = comparison.models
    forms = " against ".join(dict.fromkeys(comparison.forms))
    who = f"{_short(first) or 'first'} minus {_short(second) or 'second'}"
    table = Table(
        title=Text(f"{who}, {comparison.benchmark} ({comparison.split}, {forms})"),
        title_justify="left",
        caption=_partial(comparison.missing, comparison.questions) or None,
        caption_justify="left",
    )
    for column in ("metric", "points", f"{comparison.resampling.level:g} % interval", "p", "questions"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, each in comparison.differences.items():
        found = each.estimate
        table.add_row(
            name,
            f"{found.value:+.2f}",
            f"{found.low:+.2f} – {found.high:+.2f}",
            f"{each.p:.4f}" if each.p >= 1e-4 else "<0.0001",
            f"{found.count:,}",
        )
    console.print(table)


def _partial(missing: int, questions: int) -> str:
    return f"PARTIAL: {missing:,} of {questions:,} questions have no answer" if missing else ""


def _groups(name: str, values: Mapping[str, Estimates]) -> Table:
    table = Table(title=f"by {name}", title_justify="left")
    table.add_column("", no_wrap=True)
    for column in _GROUP_COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for value, estimates in values.items():
        opened, closed = estimates.get("open_recall"), estimates.get("closed_accuracy")
        table.add_row(
            Text(value),
            str(opened.count) if opened else "",
            _cell(opened),
            _plain(estimates.get("open_multiset_recall")),
            str(closed.count) if closed else "",
            _cell(closed),
            _plain(estimates.get("closed_word_accuracy")),
        )
    return table


def _cell(found: MetricEstimate | None) -> str:
    return f"{found.value:.1f} ({found.low:.0f}–{found.high:.0f})" if found else ""


def _plain(found: MetricEstimate | None) -> str:
    return f"{found.value:.1f}" if found else ""


def _short(model: str) -> str:
    """The last part of a model's name, without folders or owner."""
    return model.rstrip("/").rpartition("/")[2]
