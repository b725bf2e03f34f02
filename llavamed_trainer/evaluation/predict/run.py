"""A benchmark answered from beginning to end; a run that was stopped goes on where it was."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.predict.options import (
    PredictedAnswers,
    PredictOptions,
    PredictReport,
    QuestionPrompt,
)
from llavamed_trainer.evaluation.predict.parts import AnswerParts
from llavamed_trainer.evaluation.predict.substitutes import ImageSource, SubstituteImages
from llavamed_trainer.evaluation.questions import (
    Prediction,
    Question,
    QuestionSet,
    Unanswered,
    file_sha256,
    load_questions,
    prompt_of,
    read_answers,
    run_report_path,
    shuffle_choices,
    write_answers,
    write_unanswered,
)

_IMAGE_LOST = "image lost"
_NOT_ASKED = "not asked (--limit)"
_WANTED = (_IMAGE_LOST, _NOT_ASKED)
"""Reasons that the options of the run ask for."""

_STATED_COUNTS = ("questions", "answered", "without_image", "truncated", "unanswered")


def predict(
    out: Path, options: PredictOptions, on_progress: ProgressCallback | None = None
) -> PredictReport | None:
    """Answers a benchmark into the file `out`, one line a question in the order of the benchmark.

    With `limit`, only the first questions are asked, and `score` and `tables` take the answers for those of a part.

    Answers are kept as the run goes on (beside `out`, or in the journal), so a run that was killed goes on when it is
    started again, and leaves the same bytes. Questions without an answer are listed in `out` with the suffix
    `.unanswered.jsonl`; the counts are in `out` with `.run.json`, which is written last. Under `accelerate launch`
    each process answers its share and the first one writes.

    Args:
        out: the file of answers.
        options: which model answers which questions, and how.
        on_progress: called with the name of the work, how much of it is done, and of how much.

    Returns:
        The counts; None in processes other than the first.

    Raises:
        UsageError: there is no such model or benchmark, a file of another run is in the way, images are lost and
            `options` does not say what to do about it, or there are too few different ones to exchange them.
        LlavaMedError: the run cannot go on, or some questions have no answer.
    """
    questions = load_questions(options.benchmark, options.split, options.language)
    if questions.images is None:
        raise UsageError(
            f"{options.benchmark} is an original test file, which holds no images: build the set with "
            f"python -m llavamed_data build {questions.name}, and name that"
        )
    source: ImageSource = questions.images
    if options.images == "real":
        digests = questions.images.digests()
    else:
        source = substitutes = SubstituteImages(questions.images, options.images, options.seed)
        digests = substitutes.digests()
    prompts, skipped = _prompts(questions, options, digests)
    run_key = _run_key(options, prompts)
    if report := _finished_report(out, run_key, options):
        return report
    # each way imports only what it needs: no torch for a server, no client for this machine
    if options.base_url:
        from llavamed_trainer.evaluation.predict.served import answer_served

        found: PredictedAnswers | None = answer_served(options, prompts, source, on_progress)
    else:
        from llavamed_trainer.evaluation.predict.local import answer_locally

        found = answer_locally(out, options, prompts, source, run_key, on_progress)
    if found is None:
        return None
    found.unanswered.update(skipped)
    return _write(out, options, questions, prompts, found, run_key)


def convert(answers: Path, out: Path, options: PredictOptions) -> PredictReport:
    """Checks a file of answers against its benchmark and writes it again in `options.file_format`.

    Raises:
        UsageError, LlavaMedError: as `load_questions` and `read_answers`; the answers are in several prompt forms,
            which the released format has no place for.
    """
    questions = load_questions(options.benchmark, options.split, options.language)
    sets = read_answers(answers, questions, partial=options.partial)
    if len(sets) > 1 and options.file_format == "released":
        raise UsageError(
            f"{answers} holds answers in the prompt forms {' and '.join(each.form for each in sets)}, and the released "
            "format has one line a question: write it with --format ours, or remove one form"
        )
    if options.file_format == "released" and any(
        p.question.shuffled for each in sets for p in each.predictions
    ):
        raise UsageError(
            "the released format cannot state the order of shuffled choices: write it with --format ours"
        )
    predictions = list(dict.fromkeys(prediction for each in sets for prediction in each.predictions))
    write_answers(out, predictions, options.file_format)
    answered = len({prediction.question.id for prediction in predictions})
    missing = len(questions.questions) - answered
    return PredictReport(
        len(questions.questions), answered, unanswered={"not in the file": missing} if missing else {}
    )


def default_path(options: PredictOptions, answers: Path | None = None) -> Path:
    """The file of answers where none is named: its name says what was asked, in which form, and what was shown.

    Args:
        options: which model answers which questions, and how.
        answers: a file that is to be written again; then the form and the images are those that it has.

    Raises:
        UsageError, LlavaMedError: as `load_questions` and `read_answers`.
    """
    forms, images = [options.prompt], options.images
    if answers:
        questions = load_questions(options.benchmark, options.split, options.language)
        sets = read_answers(answers, questions, partial=options.partial)
        forms, images = [each.form for each in sets], sets[0].images
    shown = "" if images == "real" else f"-{images}"
    if seed := _seed(options):
        shown += f"-seed{seed}"
    if options.shuffle_choices is not None:
        shown += f"-choices{options.shuffle_choices}"
    first = f"-first{options.limit}" if options.limit else ""
    name = options.benchmark.rstrip("/").rpartition("/")[2]
    return Path("predictions") / f"{name}-{options.split}-{'-'.join(forms)}{shown}{first}.jsonl"


def unanswered_path(out: Path) -> Path:
    """The file that lists the questions without an answer."""
    return out.with_suffix(".unanswered.jsonl")


def _prompts(
    questions: QuestionSet, options: PredictOptions, digests: Mapping[str, tuple[str, ...]]
) -> tuple[list[QuestionPrompt], Mapping[str, Unanswered]]:
    """The prompts of the run, and the questions that are not asked: beyond the limit, or because of their images."""
    asked = _as_shown(questions.questions[: options.limit], options)
    lost = [question for question in asked if len(digests[question.id]) < question.image_count]
    if lost and options.lost_images == "error":
        raise UsageError(
            f"{len(lost)} of {len(asked)} questions have lost their image, the first is "
            f"{lost[0].id!r}: leave them out with --lost-images skip, or ask without it with --lost-images ask"
        )
    skipped = {
        question.id: Unanswered(question.id, _NOT_ASKED, "") for question in questions.questions[len(asked) :]
    }
    if options.lost_images == "skip":
        skipped |= {question.id: Unanswered(question.id, _IMAGE_LOST, "") for question in lost}
    prompts = list[QuestionPrompt]()
    for question in asked:
        images = digests[question.id]
        if len(images) > question.image_count:
            detail = f"{question.image_count} image parts, {len(images)} images"
            skipped[question.id] = Unanswered(question.id, "image count", detail)
        elif question.id not in skipped:
            prompts.append(
                QuestionPrompt(question, *prompt_of(question, options.prompt, questions.name), images)
            )
    return prompts, skipped


def _as_shown(questions: Sequence[Question], options: PredictOptions) -> Sequence[Question]:
    """The questions with their choices in the order in which they are shown.

    Raises:
        UsageError: choices are to be shuffled and there are none, or the format of the file has no place for it.
    """
    seed = options.shuffle_choices
    if seed is None:
        return questions
    if not any(question.choices for question in questions):
        raise UsageError(
            f"--shuffle-options does nothing for {options.benchmark}, which has no choices: leave it out"
        )
    if options.file_format == "released":
        raise UsageError(
            "the released format cannot state the order of shuffled choices: write it with --format ours"
        )
    return [shuffle_choices(question, seed) for question in questions]


def _run_key(options: PredictOptions, prompts: Sequence[QuestionPrompt]) -> str:
    """A hash of everything that decides the answers; the batch size only decides how fast they come."""
    if options.base_url:
        identity = options.model
    else:
        from llavamed_trainer.evaluation.predict.local import checkpoint_identity

        identity = checkpoint_identity(options.model)
    settings = [options.model, identity, options.max_new_tokens, options.dtype, options.file_format]
    if options.images != "real":
        settings += [options.images, _seed(options)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for prompt in prompts:
        asked = [prompt.question.id, prompt.text, prompt.form, *(prompt.images or [None])]
        digest.update(json.dumps(asked).encode())
    return digest.hexdigest()


def _seed(options: PredictOptions) -> int | None:
    """The seed, if what is shown depends on it."""
    return options.seed if options.images in ("noise", "shuffled") else None


def _finished_report(out: Path, run_key: str, options: PredictOptions) -> PredictReport | None:
    """The report of the run if `out` is complete already; None if there is something left to do.

    Raises:
        UsageError: `out` is the file of another run.
    """
    if not out.exists() or options.replace:
        return None
    try:
        stated = json.loads(run_report_path(out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stated = {}
    if stated.get("run") != run_key or stated.get("sha256") != file_sha256(out):
        raise UsageError(f"{out} belongs to another run: name another --out, or overwrite it with --replace")
    if stated["unanswered"] and not options.partial:
        return None
    counts = {name: stated["report"].get(name, 0) for name in _STATED_COUNTS}
    return PredictReport(**counts, reused=counts["answered"])


def _write(
    out: Path,
    options: PredictOptions,
    questions: QuestionSet,
    prompts: Sequence[QuestionPrompt],
    found: PredictedAnswers,
    run_key: str,
) -> PredictReport:
    """Writes the file of answers, the list of unanswered questions and, last, the counts."""
    unanswered = [
        found.unanswered[question.id] for question in questions.questions if question.id in found.unanswered
    ]
    write_unanswered(unanswered_path(out), unanswered)
    failed = [each for each in unanswered if each.reason not in _WANTED]
    if failed and not options.partial:
        raise LlavaMedError(
            f"{len(failed)} of {len(questions.questions)} questions have no answer ({failed[0].id!r}: "
            f"{failed[0].reason}; all are listed in {unanswered_path(out)}): rerun the same command to ask them again, "
            "or write the rest with --partial"
        )
    predictions = [
        Prediction(
            prompt.question,
            prompt.text,
            prompt.form,
            found.answers[prompt.question.id],
            options.model,
            options.images,
        )
        for prompt in prompts
        if prompt.question.id in found.answers
    ]
    report = PredictReport(
        questions=len(questions.questions),
        answered=len(predictions),
        without_image=sum(len(prompt.images) < prompt.question.image_count for prompt in prompts),
        truncated=len(found.truncated),
        unanswered=dict(Counter(each.reason for each in unanswered)),
        reused=found.reused,
        tally=found.tally,
    )
    write_answers(out, predictions, options.file_format)
    stated = {
        "model": options.model,
        "benchmark": questions.name,
        "split": questions.split,
        "language": options.language,
        "limit": options.limit if _NOT_ASKED in report.unanswered else None,
        "prompt": options.prompt,
        "images": options.images,
        "seed": _seed(options),
        **({} if options.shuffle_choices is None else {"shuffle_choices": options.shuffle_choices}),
        "max_new_tokens": options.max_new_tokens,
        "report": {name: getattr(report, name) for name in _STATED_COUNTS},
        "unanswered": len(failed),
        "sha256": file_sha256(out),
        "run": run_key,
    }
    write_text(run_report_path(out), json.dumps(stated, indent=1, ensure_ascii=False) + "\n")
    AnswerParts(out, run_key).remove()
    return report
