"""Exports a question set for a kit."""

from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.export.lmms_eval import write_lmms_eval
from llavamed_trainer.evaluation.export.task import ExportedTask, ExportOptions, TaskQuestions
from llavamed_trainer.evaluation.export.vlmevalkit import write_vlmevalkit


def export_task(out: Path, options: ExportOptions) -> ExportedTask:
    """Writes what a kit needs to ask the questions of a set, and to score the answers where the kit leaves that to us.

        export_task(Path("tasks"), ExportOptions("vqa-rad", "lmms-eval")).names

    Args:
        out: for lmms-eval the folder that `--include_path` names, for VLMEvalKit the one that `LMUData` names; what
            else is in it stays.
        options: which questions, for which kit.

    Raises:
        UsageError: there is no such set, it does not fit the kit, its images are lost and `options` does not say what
            to do about it, or something of that name is there already.
        LlavaMedError: the set cannot be read, or the export not be written.
    """
    if options.kit not in ("lmms-eval", "vlmevalkit"):
        raise UsageError(f"there is no kit {options.kit!r}: choose lmms-eval or vlmevalkit")
    if options.repo and options.kit != "lmms-eval":
        raise UsageError("--repo is for lmms-eval: VLMEvalKit reads a file of its own folder")
    questions = TaskQuestions(options)
    write = write_lmms_eval if options.kit == "lmms-eval" else write_vlmevalkit
    return write(out, questions)
