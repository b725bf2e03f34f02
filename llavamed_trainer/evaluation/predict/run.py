"""A benchmark answered from beginning to end: resumable to the batch, in the benchmark's order."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.predict.answer_file import (
    Parts,
    Prediction,
    Unanswered,
    write_answers,
    write_unanswered,
)
from llavamed_trainer.evaluation.predict.answers_in import read_answers
from llavamed_trainer.evaluation.predict.options import Found, PredictOptions, PredictReport, Prompted
from llavamed_trainer.evaluation.predict.prompts import prompt_of
from llavamed_trainer.evaluation.predict.questions import Benchmark


def predict(
    out: Path, options: PredictOptions, on_progress: ProgressCallback | None = None
) -> PredictReport | None:
    """Answers a benchmark into `out`, one line a question in the benchmark's order.

    What is answered is kept as the run goes on (beside `out`, or in the journal), so a run that was killed goes
    on when it is started again and leaves the same bytes. Questions without an answer are listed in `out` with
    `.unanswered.jsonl`; the counts are in `out` with `.run.json`, which is written last. Under `accelerate
    launch` each process answers its share and the first one writes.

    Args:
        out: the file to be.
        options: what answers which questions.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        The report; None in processes other than the first.

    Raises:
        UsageError: no such model or benchmark, a file of another run in the way, lost images without a word what
            to do about them.
        LlavaMedError: the run cannot go on, or a question stayed without an answer.
    """
    benchmark = Benchmark(options.benchmark, options.split, options.language)
    lost = [question for question in benchmark.questions if question.image is None]
    if lost and options.lost_images == "error":
        raise UsageError(
            f"{len(lost)} of {len(benchmark.questions)} questions have lost their image, the first is "
            f"{lost[0].id!r}: leave them out by name with --lost-images skip, or ask without with --lost-images ask"
        )
    skipped = (
        {question.id: Unanswered(question.id, "image lost", "") for question in lost}
        if options.lost_images == "skip"
        else {}
    )
    prompted: Prompted = [
        (question, *prompt_of(question, options.prompt))
        for question in benchmark.questions
        if question.id not in skipped
    ]
    run = _run_key(options, prompted)
    if report := _whole_already(out, run, options):
        return report
    found = _answer(out, options, benchmark, prompted, run, on_progress)
    if found is None:
        return None
    found.unanswered.update(skipped)
    return _finish(out, options, benchmark, prompted, found, run)


def _answer(
    out: Path,
    options: PredictOptions,
    benchmark: Benchmark,
    prompted: Prompted,
    run: str,
    on_progress: ProgressCallback | None,
) -> Found | None:
    """Here or through a server; each loads only what it needs."""
    if options.base_url:
        from llavamed_trainer.evaluation.predict.served import answer_served

        return answer_served(options, benchmark, prompted, on_progress)
    from llavamed_trainer.evaluation.predict.here import answer_here

    return answer_here(out, options, benchmark, prompted, run, on_progress)


def convert(answers: Path, out: Path, options: PredictOptions) -> PredictReport:
    """Checks a file of answers against its benchmark and writes it again, in `options.form`.

    Raises:
        UsageError, LlavaMedError: as `read_answers`.
    """
    benchmark = Benchmark(options.benchmark, options.split, options.language)
    found = read_answers(answers, benchmark.questions, partial=options.partial)
    ordered = [found[question.id] for question in benchmark.questions if question.id in found]
    write_answers(out, ordered, options.form)
    missing = len(benchmark.questions) - len(ordered)
    return PredictReport(
        len(benchmark.questions), len(ordered), 0, 0, {"not in the file": missing} if missing else {}
    )


def _run_key(options: PredictOptions, prompted: Prompted) -> str:
    """Everything that decides the answers; the batch size only decides how fast they come."""
    if options.base_url:
        who = options.model
    else:
        from llavamed_trainer.evaluation.predict.checkpoint import identity

        who = identity(options.model)
    digest = hashlib.sha256()
    digest.update(
        json.dumps([options.model, who, options.max_new_tokens, options.dtype, options.form]).encode()
    )
    for question, prompt, form in prompted:
        digest.update(json.dumps([question.id, prompt, form, question.image]).encode())
    return digest.hexdigest()


def _whole_already(out: Path, run: str, options: PredictOptions) -> PredictReport | None:
    if not out.exists() or options.replace:
        return None
    try:
        stated = json.loads(_manifest_path(out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stated = {}
    if stated.get("run") != run or stated.get("sha256") != hashlib.sha256(out.read_bytes()).hexdigest():
        raise UsageError(
            f"{out} is there and of another run: name another --out, or write over it with --replace"
        )
    if stated["unanswered"] and not options.partial:
        return None
    return PredictReport(**{**stated["report"], "taken_over": stated["report"]["answered"]})


def _finish(
    out: Path,
    options: PredictOptions,
    benchmark: Benchmark,
    prompted: Prompted,
    found: Found,
    run: str,
) -> PredictReport:
    predictions = [
        Prediction(question.id, prompt, found.answers[question.id], form, options.model)
        for question, prompt, form in prompted
        if question.id in found.answers
    ]
    listed = [
        found.unanswered[question.id] for question in benchmark.questions if question.id in found.unanswered
    ]
    write_unanswered(unanswered_path(out), listed)
    failed = [each for each in listed if each.reason != "image lost"]
    if failed and not options.partial:
        raise LlavaMedError(
            f"{len(failed)} of {len(benchmark.questions)} questions have no answer ({failed[0].id!r}: "
            f"{failed[0].reason}; all are in {unanswered_path(out)}): run again for what may pass, or write the "
            "rest with --partial"
        )
    report = PredictReport(
        questions=len(benchmark.questions),
        answered=len(predictions),
        without_image=sum(question.image is None for question, _, _ in prompted),
        cut=len(found.cut),
        unanswered=_counted(listed),
        taken_over=found.taken_over,
        tally=found.tally,
    )
    write_answers(out, predictions, options.form)
    _write_manifest(out, options, benchmark, report, run, failed)
    Parts(out, run).remove()
    return report


def unanswered_path(out: Path) -> Path:
    """Where the questions without an answer are listed."""
    return out.with_suffix(".unanswered.jsonl")


def _manifest_path(out: Path) -> Path:
    return out.with_suffix(".run.json")


def _write_manifest(
    out: Path,
    options: PredictOptions,
    benchmark: Benchmark,
    report: PredictReport,
    run: str,
    failed: Sequence[Unanswered],
) -> None:
    counts = asdict(replace(report, taken_over=0, tally=None))
    stated: dict[str, Any] = {
        "model": options.model,
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "language": options.language,
        "prompt": options.prompt,
        "max_new_tokens": options.max_new_tokens,
        "report": {name: value for name, value in counts.items() if name not in ("taken_over", "tally")},
        "unanswered": len(failed),
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "run": run,
    }
    write_text(_manifest_path(out), json.dumps(stated, indent=1, ensure_ascii=False) + "\n")


def _counted(unanswered: Sequence[Unanswered]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in unanswered:
        counts[each.reason] = counts.get(each.reason, 0) + 1
    return counts
