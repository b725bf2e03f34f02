"""Answers by `generate` on the devices here, shared out over the processes of `accelerate launch`."""

from pathlib import Path

import torch
from accelerate import PartialState  # type: ignore[import-untyped]

from llavamed_data.console.progress import ProgressCallback
from llavamed_trainer.evaluation.predict.answer_file import Parts, Unanswered
from llavamed_trainer.evaluation.predict.checkpoint import load_checkpoint
from llavamed_trainer.evaluation.predict.generation import Answerer, Asked
from llavamed_trainer.evaluation.predict.options import Found, PredictOptions, Prompted
from llavamed_trainer.evaluation.predict.questions import Benchmark


def answer_here(
    out: Path,
    options: PredictOptions,
    benchmark: Benchmark,
    prompted: Prompted,
    run: str,
    on_progress: ProgressCallback | None,
) -> Found | None:
    """Answers with a checkpoint on the devices there are; under `accelerate launch`, this process's share.

    Batches are the same whatever was answered before and however many processes share them, so a run that goes
    on gives the answers of one that was never stopped.

    Returns:
        What all processes found; None in processes other than the first.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    parts = Parts(out, run, state.process_index)
    if options.replace and state.is_main_process:
        parts.remove()
    state.wait_for_everyone()
    parts.read()
    taken_over = len(parts.answers)
    state.wait_for_everyone()
    parts.open()
    places = {question.image: question for question, _, _ in prompted if question.image}
    found = Found(taken_over=taken_over)
    asked = [Asked(question.id, prompt, question.image) for question, prompt, _ in prompted]
    if any(each.id not in parts.answers for each in asked):
        answerer = Answerer(
            load_checkpoint(options.model, state.device, options.dtype),
            lambda digest: benchmark.image(places[digest]),
            max_new_tokens=options.max_new_tokens,
        )
        mine = answerer.batches(asked, options.batch_size)[state.process_index :: state.num_processes]
        total = sum(len(batch.rows) for batch in mine)
        left = [batch for batch in mine if any(row.asked.id not in parts.answers for row in batch.rows)]
        done = total - sum(len(batch.rows) for batch in left)
        for batch, said in answerer.answers(left):
            parts.add(said.answers, said.cut)
            for identity, why in said.unreadable.items():
                found.unanswered[identity] = Unanswered(identity, "image unreadable", why)
            done += len(batch.rows)
            if on_progress:
                on_progress("answer", done, total)
    state.wait_for_everyone()
    if not state.is_main_process:
        return None
    parts.read()
    found.answers, found.cut = parts.answers, parts.cut
    for question, _, _ in prompted:
        if question.id not in found.answers and question.id not in found.unanswered:
            found.unanswered[question.id] = Unanswered(question.id, "image unreadable", "")
    return found
