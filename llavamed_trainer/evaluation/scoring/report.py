"""Scores and comparisons as tables in the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_trainer.evaluation.scoring.comparison import Comparison
from llavamed_trainer.evaluation.scoring.scores import METRICS, Estimate, Estimates, Scores

_GROUP_COLUMNS = ("open", "recall", "strict", "closed", "accuracy", "strict")


def show_scores(scores: Scores, console: Console) -> None:
    """Every metric with its interval, then the groups."""
    level = f"{scores.resampling.level:g} % interval"
    table = Table(title=_title(scores), title_justify="left", caption=_notes(scores), caption_justify="left")
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
    """Every metric's difference with its interval and p."""
    first, second = comparison.models
    forms = " against ".join(dict.fromkeys(comparison.forms))
    who = f"{_short(first) or 'first'} less {_short(second) or 'second'}"
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


def _title(scores: Scores) -> Text:
    return Text(
        f"{_short(scores.model) or 'predictions'} on {scores.benchmark} ({scores.split}, {scores.prompt_form} prompt)"
    )


def _notes(scores: Scores) -> str | None:
    untyped = (
        f"{scores.untyped:,} questions do not say whether they are open or closed: their scores are not to be had; "
        "build the benchmark from its original file"
        if scores.untyped
        else ""
    )
    return "\n".join(note for note in (_partial(scores.missing, scores.questions), untyped) if note) or None


def _partial(missing: int, questions: int) -> str:
    return f"PARTIAL: {missing:,} of {questions:,} questions have no prediction" if missing else ""


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


def _cell(found: Estimate | None) -> str:
    return f"{found.value:.1f} ({found.low:.0f}–{found.high:.0f})" if found else ""


def _plain(found: Estimate | None) -> str:
    return f"{found.value:.1f}" if found else ""


def _short(model: str) -> str:
    """A model's name without the folders or the owner before it."""
    return model.rstrip("/").rpartition("/")[2]
