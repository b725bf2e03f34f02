"""Scores by several scorers, and explanations of single answers, on the terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llavamed_trainer.evaluation.scorers.comparable import BASELINES, ComparableScores, ScorerResult
from llavamed_trainer.evaluation.scorers.explain import Explanation
from llavamed_trainer.evaluation.scorers.scorer import RuleMetric

_DEFINITIONS = (
    "What answers without looking score: the most common reference among the answered questions of each kind and "
    "language, as the answer to all of these; or that word in their language as the answer to all closed questions."
)


def show_comparable(scores: ComparableScores, console: Console) -> None:
    """Prints one table with the metrics of every scorer, and below it what differs between them."""
    whose = scores.model.rstrip("/").rpartition("/")[2] or "answers"
    shown = "" if scores.images == "real" else f", {scores.images} images"
    title = f"{whose} on {scores.benchmark} ({scores.split}, {scores.prompt_form} prompt{shown})"
    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    level = f"{scores.resampling.level:g} %\ninterval"
    for column in ("scored as", "%", level, "ques-\ntions", "major-\nity", "always\nyes", "always\nno"):
        is_name = column == "scored as"
        table.add_column(column, justify="left" if is_name else "right", no_wrap=not is_name)
    for result in scores.results:
        table.add_row(Text(result.name, style="bold"))
        if result.rule is None:
            table.add_row(Text(f"  {result.unscored.partition(';')[0].partition(':')[0]}"))
        elif not result.estimates:
            table.add_row("  no question that it scores")
        for metric in result.metrics():
            found = result.estimates[metric.name]
            table.add_row(
                f"  {metric.label}",
                f"{found.value:.2f}",
                f"{found.low:.2f}–{found.high:.2f}",
                f"{found.count:,}",
                *_baseline_cells(result, metric),
            )
    console.print(table)
    for name, note in _notes(scores):
        console.print(Text(name, style="bold"))
        console.print(Padding(Text(note), (0, 0, 0, 2)))


def show_baselines(scores: ComparableScores, console: Console) -> None:
    """Prints what answers without looking score, one row for each main metric of each scorer."""
    table = Table(
        title="Answers without looking", title_justify="left", caption=_DEFINITIONS, caption_justify="left"
    )
    for column in ("metric", "majority", "always yes", "always no"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for result in scores.results:
        for metric in result.metrics():
            if metric.is_main:
                table.add_row(f"{metric.label} ({result.name})", *_baseline_cells(result, metric))
    if table.row_count:
        console.print(table)


def show_explanation(explanation: Explanation, console: Console) -> None:
    """Prints an answer with its question and reference, and what each scorer made of it."""
    prediction = explanation.prediction
    question = prediction.question
    shown = [("question", question.text)]
    shown += [(f"choice {chr(ord('A') + place)}", text) for place, text in enumerate(question.choices)]
    shown += [
        ("prompt", f"{prediction.form}: {prediction.prompt}"),
        ("answer", prediction.answer or "(empty)"),
        ("reference", question.reference),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in shown:
        grid.add_row(Text(name), Text(text))
    for each in explanation.scores:
        grid.add_row("", "")
        if each.score is None:
            grid.add_row(Text(each.scorer), Text(each.unscored))
            continue
        values = ", ".join(f"{name} {_value(value)}" for name, value in each.score.values.items())
        grid.add_row(Text(each.scorer), Text(f"{each.score.kind}: {values}"))
        grid.add_row("compared", Text(repr(each.score.compared)))
        grid.add_row("why", Text(each.score.why))
        if each.score.kit_stops:
            grid.add_row("the kit", Text(f"stops here: {each.score.kit_stops}; it counts 0"))
    console.print(Text(question.id, style="bold"))
    console.print(Padding(grid, (0, 0, 1, 2)))


def _baseline_cells(result: ScorerResult, metric: RuleMetric) -> list[str]:
    found = (result.baselines.get(baseline, {}).get(metric.name) for baseline in BASELINES)
    return ["" if value is None else f"{value:.2f}" for value in found]


def _value(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _notes(scores: ComparableScores) -> Iterator[tuple[str, str]]:
    """What to know before the values are compared: of the file, of each scorer, and of the baselines."""
    if scores.missing:
        yield "PARTIAL", f"{scores.missing:,} of {scores.questions:,} questions have no answer."
    if scores.limit is not None:
        yield "--limit", f"The first {scores.limit:,} questions alone were asked: this is no result."
    for result in scores.results:
        yield result.name, " ".join(_differences(result, scores))
    majority = dict.fromkeys(
        f"{reference!r} ({kind})" for result in scores.results for kind, reference in result.majority.items()
    )
    if majority:
        yield "majority, always yes, always no", f"{_DEFINITIONS} Here it is {', '.join(majority)}."


def _differences(result: ScorerResult, scores: ComparableScores) -> Iterator[str]:
    rule = result.rule
    if rule is None:
        yield f"{result.unscored[0].upper()}{result.unscored[1:]}."
        return
    counts = ", ".join(f"{count:,} {kind}" for kind, count in result.counts.items())
    yield f"{rule.kit}, {rule.version}: {rule.source}."
    yield f"Closed questions: {rule.closed} ({counts or 'no questions'})."
    yield f"What is matched: {rule.matched}."
    is_other = rule.prompt_form and rule.prompt_form != scores.prompt_form
    asked = f"; this file was asked in the form {scores.prompt_form}" if is_other else ""
    has_end = rule.prompt.endswith('."') and not asked
    yield f"Prompt: {rule.prompt}{asked}{'' if has_end else '.'}"
    if len(scores.languages) > 1 or "--language" in rule.languages:
        yield f"Languages: {rule.languages}; these are {' and '.join(scores.languages)}."
    if rule.slips:
        yield f"Known errors: {' '.join(rule.slips)}"
    for why, count in result.stops.items():
        yield f"THE KIT STOPS at {count:,} of these answers: {why}."
    for kind in rule.divides_by:
        if kind not in result.counts:
            yield f"THE KIT STOPS on this set, which has no {kind} question (division by zero)."
    if result.left_out:
        yield f"LEFT OUT: {result.left_out:,} questions, of which this rule says nothing."
