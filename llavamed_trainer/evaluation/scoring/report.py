"""Scores and comparisons as tables on the terminal."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_trainer.evaluation.scoring.comparison import Comparison
from llavamed_trainer.evaluation.scoring.looking import ImageGain, Looking
from llavamed_trainer.evaluation.scoring.positions import PositionCounts
from llavamed_trainer.evaluation.scoring.scores import METRICS, Estimates, MetricEstimate, Scores

CHINESE_NOTE = (
    "Chinese: the authors' accuracy asks for the English words yes or no, so it is 0 for Chinese answers whatever they "
    "say, and their open scores take all that stands between two blanks for one word. The strict ones know Chinese."
)
"""What to know before the authors' scores of Chinese answers are read."""

LOOKING_NOTE = (
    "With the image and without: word accuracy of closed questions, accuracy of multiple choice, recall of open ones, "
    "in percent. Stays: the share of what is right with the image that is right without it too. Majority answer, "
    "always yes, always no: one answer to all, the most frequent right answer, yes, or no."
)
"""What the columns say of whether a model looks at the image."""

_GROUP_COLUMNS = ("open", "recall", "strict", "closed", "accuracy", "strict")
_CHOICE_COLUMNS = ("choice", "accuracy", "unreadable")

_TYPE_WIDTH = 10
"""Characters of a question type that are always shown."""


def show_scores(scores: Scores, console: Console) -> None:
    """Prints every metric with its interval, then the scores by group."""
    level = f"{scores.resampling.level:g} % interval"
    whose = _short(scores.model) or "answers"
    title = f"{whose} on {scores.benchmark} ({scores.split}, {scores.prompt_form} prompt)"
    notes = [_partial(scores.missing, scores.questions)]
    if scores.images != "real":
        title = f"BLIND, {scores.images} images: {title}"
        notes.append(
            f"the model was shown {scores.images} images instead of the questions' own: this is no result of the "
            "benchmark"
        )
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
            kind = metric.family.lower()
            strict = (
                not metric.released and metric.family != "CHOICE"
            )  # of choices there are no other metrics
            table.add_row(
                kind if kind != before else "",
                metric.label + (" (strict)" if strict else ""),
                f"{found.value:.2f}",
                f"{found.low:.2f} – {found.high:.2f}",
                f"{found.count:,}",
                style="dim" if strict else None,
            )
            before = kind
    console.print(table)
    if scores.positions:
        console.print(_positions(scores.positions))
    for name, values in scores.groups.items():
        console.print(_groups(name.replace("_", " "), values))


def _positions(counts: PositionCounts) -> Table:
    """How often each letter was chosen, beside how often it is right, and what guessing scores."""
    table = Table(
        title="letters chosen",
        title_justify="left",
        caption=f"shuffled choices: {counts.shuffled:,}\nguessing: {counts.chance:.2f}\n"
        f"one letter: {counts.best_letter:.2f}",
        caption_justify="left",
    )
    for column in ("", *counts.chosen, "unreadable"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    table.add_row("chosen", *(f"{count:,}" for count in counts.chosen.values()), f"{counts.unreadable:,}")
    table.add_row("right", *(f"{count:,}" for count in counts.right.values()), "")
    return table


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Prints every metric's difference with its interval and p value, and what the image adds, if that is known."""
    first, second = comparison.models
    forms = " against ".join(dict.fromkeys(comparison.forms))
    names = [_short(first) or "first", _short(second) or "second"]
    if comparison.images[0] != comparison.images[1]:
        names = [f"{name} ({images} images)" for name, images in zip(names, comparison.images, strict=True)]
    elif comparison.images[0] != "real":
        forms = f"{forms}, BLIND: {comparison.images[0]} images"
    who = " minus ".join(names)
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
            _p_value(each.p),
            f"{found.count:,}",
        )
    console.print(table)
    if comparison.looking:
        show_looking(comparison.looking, console)


def show_looking(looking: Looking, console: Console) -> None:
    """Prints what the image adds to the answers, over all questions and by question type."""
    if not looking.overall:
        console.print(
            "Does it look at the image? No question says whether it is open, closed or multiple choice."
        )
        return
    table = Table(
        title=Text(
            f"Does {_short(looking.model) or 'it'} look at the image? {looking.benchmark} ({looking.split}, "
            f"{looking.prompt_form} prompt, {looking.images} images)"
        ),
        title_justify="left",
        caption="\n".join(filter(None, (_partial(looking.missing, looking.questions), LOOKING_NOTE))),
        caption_justify="left",
    )
    interval = f"{looking.resampling.level:g} %"
    for column in ("", "n", "with", "without", "stays", "gain", interval, "p"):
        table.add_column(
            column,
            justify="right" if column else "left",
            no_wrap=bool(column),
            min_width=None if column else _TYPE_WIDTH,
        )
    for kind, overall in looking.overall.items():
        table.add_row(kind, *_gain_cells(overall))
        for name, gains in looking.question_types.items():
            if kind in gains:
                table.add_row(Text(f"  {name}"), *_gain_cells(gains[kind]))
        table.add_section()
    console.print(table)
    blind = Table(title="Answers without looking", title_justify="left")
    for column in ("", "majority answer", "always yes", "always no"):
        blind.add_column(column, justify="right" if column else "left")
    for kind, gain in looking.overall.items():
        shares = map(_share, (gain.majority, gain.always_yes, gain.always_no))
        blind.add_row(kind, *shares)
    console.print(blind)


def _gain_cells(gain: ImageGain) -> Iterator[str]:
    found = gain.gain.estimate
    yield f"{found.count:,}"
    for share in (gain.with_image, gain.without_image, gain.kept):
        yield _share(share)
    yield from (f"{found.value:+.1f}", f"{found.low:.1f} – {found.high:.1f}", _p_value(gain.gain.p))


def _share(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.1f}"


def _p_value(p: float) -> str:
    return f"{p:.4f}" if p >= 1e-4 else "<0.0001"


def _partial(missing: int, questions: int) -> str:
    return f"PARTIAL: {missing:,} of {questions:,} questions have no answer" if missing else ""


def _groups(name: str, values: Mapping[str, Estimates]) -> Table:
    of_choices = any("choice_accuracy" in estimates for estimates in values.values())
    others = not of_choices or any(
        name in estimates for estimates in values.values() for name in ("open_recall", "closed_accuracy")
    )
    table = Table(title=f"by {name}", title_justify="left")
    table.add_column("", no_wrap=True)
    for column in (*(_GROUP_COLUMNS if others else ()), *(_CHOICE_COLUMNS if of_choices else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for value, estimates in values.items():
        opened, closed = estimates.get("open_recall"), estimates.get("closed_accuracy")
        chosen = estimates.get("choice_accuracy")
        cells = (
            str(opened.count) if opened else "",
            _cell(opened),
            _plain(estimates.get("open_multiset_recall")),
            str(closed.count) if closed else "",
            _cell(closed),
            _plain(estimates.get("closed_word_accuracy")),
        )
        of_choice = (
            str(chosen.count) if chosen else "",
            _cell(chosen),
            _plain(estimates.get("choice_unreadable")),
        )
        table.add_row(Text(value), *(cells if others else ()), *(of_choice if of_choices else ()))
    return table


def _cell(found: MetricEstimate | None) -> str:
    return f"{found.value:.1f} ({found.low:.0f}–{found.high:.0f})" if found else ""


def _plain(found: MetricEstimate | None) -> str:
    return f"{found.value:.1f}" if found else ""


def _short(model: str) -> str:
    """The last part of a model's name, without folders or owner."""
    return model.rstrip("/").rpartition("/")[2]
