"""A task of lmms-eval: a folder with its YAML file, the code that it names, and the questions as Parquet.

    <name>/<name>.yaml    what lmms-eval's task manager finds with --include_path
    <name>/utils.py       how a question is asked and an answer scored: a copy of `lmms_eval_utils.py`
    <name>/modules/       the modules of this package that score one answer and read an image, copied
    <name>/data/          the questions with their prompts and images, which is also the layout of a dataset on the Hub

The modules are copied as they are, so that an answer has the same scores there as `score` gives it, and no
`llavamed_trainer` has to be installed beside lmms-eval.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.dataset.layout import REPO_ID
from llavamed_data.dataset.writer import tables_of, write_shards
from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_folder, write_text
from llavamed_data.version import __version__
from llavamed_trainer.evaluation.export.task import AskedQuestion, ExportedTask, TaskQuestions
from llavamed_trainer.evaluation.scoring import METRICS

MODULES = "modules"
"""The folder of the copied modules within a task's folder."""

_COPIED = (
    "llavamed_trainer.evaluation.scoring.metrics",
    "llavamed_trainer.evaluation.scoring.choices",
    "llavamed_trainer.collate.rgb",
)
"""The modules that `lmms_eval_utils.py` needs; those of ours that they import are copied with them."""

_OWN_IMPORT = re.compile(r"^from (llavamed_\w+(?:\.\w+)+) import", re.MULTILINE)
_DATA_FILE = re.compile(r'"(\w+\.yaml)"')

_LOWER_IS_BETTER = ("refusal_share", "choice_unreadable")

_LONGEST_ANSWER = 1024
"""Tokens, as `predict` allows by default."""

_README = """# {name}

{written} of {questions} questions of `{benchmark}`, split `{split}`, as a task of lmms-eval, written by
`python -m llavamed_trainer export-task` of llavamed-data {version}. Its licence and sources are those of that dataset.

    lmms-eval --include_path FOLDER_OF_THIS_FOLDER --tasks {name} --model llava_hf \\
        --model_args pretrained=MODEL,device_map=auto

The scores are those of `python -m llavamed_trainer score`, from 0 to 1, of answers without blanks around them.
"""


def write_lmms_eval(out: Path, questions: TaskQuestions) -> ExportedTask:
    """Writes the folder of the task into `out`.

    Raises:
        UsageError: the set does not say which questions are open and which closed; the name of the repository is
            none; something else is in the way.
    """
    options, folder = questions.options, out / questions.name
    if options.repo and not REPO_ID.fullmatch(options.repo):
        raise UsageError(f"{options.repo!r} is no name of a dataset on the Hub: give OWNER/NAME with --repo")
    if "answer_type" not in questions.set.columns:
        raise UsageError(
            f"{options.benchmark} does not say which questions are open and which closed (it has no column "
            "'answer_type'), so that no metric fits: lmms-eval takes the VQA sets, as build makes them"
        )
    _refuse_what_is_there(folder, questions.name, replace=options.replace)
    shown = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal shown
        for asked in questions.asked():
            shown += len(asked.images)
            yield _row(asked)

    with atomic_folder(folder, replace=options.replace) as made:
        schema = _features().arrow_schema
        written = write_shards(tables_of(rows(), schema), made / "data", options.split, schema)
        task = questions.exported((questions.name,), (folder,), shown, written)
        _copy_modules(made / MODULES)
        template = files(__package__).joinpath("lmms_eval_utils.py").read_text(encoding="utf-8")
        write_text(made / "utils.py", template)
        stated = {
            "name": questions.name,
            "written": task.written,
            "questions": task.questions,
            "benchmark": questions.set.name,
            "split": options.split,
            "version": __version__,
        }
        write_text(made / "README.md", _README.format(**stated))
        shards = sorted(path.relative_to(made).as_posix() for path in (made / "data").iterdir())
        write_text(made / f"{questions.name}.yaml", _task_yaml(questions, task, shards))
    return task


class _Function(str):
    """The name of a function as lmms-eval's YAML files have it: `!function utils.doc_to_text`."""

    __slots__ = ()


class _TaskDumper(yaml.SafeDumper):
    """Writes `_Function` with its tag."""


_TaskDumper.add_representer(
    _Function, lambda dumper, name: dumper.represent_scalar("!function", str(name), style="")
)


def _task_yaml(questions: TaskQuestions, task: ExportedTask, shards: list[str]) -> str:
    options = questions.options
    source: dict[str, Any] = (
        {"dataset_path": options.repo}
        if options.repo
        # relative to the YAML file, so that the folder can be moved
        else {"dataset_path": "parquet", "dataset_kwargs": {"data_files": {options.split: shards}}}
    )
    functions = ("doc_to_visual", "doc_to_text", "doc_to_target", "process_results")
    config = {
        "task": task.names[0],
        **source,
        "test_split": options.split,
        "output_type": "generate_until",
        **{name: _Function(f"utils.{name}") for name in functions},
        # no `until`: by default lmms-eval has answers end at their first empty line
        "generation_kwargs": {
            "max_new_tokens": _LONGEST_ANSWER,
            "do_sample": False,
            "temperature": 0,
            "until": [],
        },
        "metric_list": [
            {
                "metric": metric.name,
                "aggregation": "mean",
                "higher_is_better": metric.name not in _LOWER_IS_BETTER,
            }
            for metric in METRICS
            if metric.family == "ALL" or metric.family in task.types
        ],
        # what a request knows of itself is in the same mapping: no split, task, doc_id or repeats here
        "metadata": {
            "version": 1,
            "llavamed_data": __version__,
            "benchmark": questions.set.name,
            "language": options.language,
            "prompt_form": options.prompt,
            "questions": task.questions,
            "asked": task.written,
        },
    }
    return yaml.dump(config, Dumper=_TaskDumper, sort_keys=False, allow_unicode=True, width=110)


def _features() -> Any:
    from datasets import Features, Image, List, Value

    texts = ("id", "question", "prompt", "prompt_form", "answer", "answer_type")
    stated = ("question_type", "domain", "language")
    return Features(
        {
            "images": List(Image()),
            **{name: Value("string") for name in texts},
            "choices": List(Value("string")),
            **{name: Value("string") for name in stated},
        }
    )


def _row(asked: AskedQuestion) -> dict[str, Any]:
    question = asked.question
    return {
        "images": [{"bytes": image.data, "path": image.path} for image in asked.images],
        "id": question.id,
        "question": question.text,
        "prompt": asked.prompt,
        "prompt_form": asked.form,
        "answer": question.reference,
        "answer_type": question.answer_type,
        "choices": list(question.choices),
        "question_type": question.question_type,
        "domain": question.domain,
        "language": question.language,
    }


def _copy_modules(folder: Path) -> None:
    """Copies the modules of ours that a task needs, and the data files that they name, into one package."""
    write_text(folder / "__init__.py", f'"""Modules of llavamed-data {__version__}."""\n')
    waiting = list(_COPIED)
    while waiting:
        module = waiting.pop()
        path = folder / f"{_flat(module)}.py"
        if path.exists():
            continue
        package, _, name = module.rpartition(".")
        source = files(package).joinpath(f"{name}.py").read_text(encoding="utf-8")
        waiting.extend(_OWN_IMPORT.findall(source))
        for data in _DATA_FILE.findall(source):
            write_text(folder / data, files(package).joinpath(data).read_text(encoding="utf-8"))
        write_text(path, _OWN_IMPORT.sub(lambda found: f"from .{_flat(found[1])} import", source))


def _flat(module: str) -> str:
    """The name of a module's copy: modules of several packages are copied into one."""
    return module.replace(".", "_")


def _refuse_what_is_there(folder: Path, name: str, *, replace: bool) -> None:
    """A folder of this name is replaced only if it is a task, and only if that was asked for."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"{folder} exists and is no folder of a task: remove it, or choose another --name")
    if not any(folder.iterdir()):
        return
    if not (folder / f"{name}.yaml").is_file():
        raise UsageError(f"{folder} holds something else than a task: remove it, or choose another --name")
    if not replace:
        raise UsageError(f"{folder} exists already: overwrite it with --replace, or choose another --name")
