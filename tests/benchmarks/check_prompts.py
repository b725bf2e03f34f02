"""Calls the functions with which other kits make their prompts beside ours, on odd questions too.

    python -m tests.benchmarks.check_prompts MEDEVALKIT LMMS_EVAL

Both are folders of their repositories (github.com/alibaba-damo-academy/MedEvalKit, github.com/EvolvingLMMs-Lab/
lmms-eval). Of their files only the functions that make prompts are run; nothing of them is installed.
"""

import ast
import os
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from llavamed_trainer.evaluation.questions import PromptForm, Question, prompt_of

TEXTS = ("Is it?", " Which {plane}\n is shown? ", "是否有病变？")
REFERENCES = ("Yes", "no", "axial", "是")
CHOICES = ("CT", "MRI {x}", "5")


def functions(path: Path, **names: Any) -> Callable[[str], Any]:
    """The functions of a source file, without running anything else in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept: list[ast.stmt] = [
        each for each in tree.body if isinstance(each, ast.FunctionDef) and not each.decorator_list
    ]
    future = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module(future + kept, []), str(path), "exec"), names)
    return names.__getitem__


def settings(path: Path) -> dict[str, str]:
    """`lmms_eval_specific_kwargs` of a task of lmms-eval."""

    class Loader(yaml.SafeLoader):
        """YAML whose `!function` tags are left out."""

    Loader.add_multi_constructor("!function", lambda *_: None)
    stated: dict[str, str] = yaml.load(path.read_text(encoding="utf-8"), Loader)["lmms_eval_specific_kwargs"][
        "default"
    ]
    return stated


def main(medevalkit: Path, lmms_eval: Path) -> None:
    """Compares every kind of prompt, and stops at the first that differs."""
    os.environ["REASONING"] = "False"
    formats = functions(medevalkit / "utils/question_formats.py")
    mmmu = functions(medevalkit / "utils/MMMU/data_utils.py", os=os)
    tasks = lmms_eval / "lmms_eval/tasks"
    slake, lmms_mmmu = functions(tasks / "slake/utils.py"), functions(tasks / "mmmu/utils.py", ast=ast)
    languages = {
        "en": settings(tasks / "slake/_default_template_yaml"),
        "zh": settings(tasks / "slake/slake_zh.yaml"),
    }
    stated = settings(tasks / "mmmu/mmmu_val.yaml")
    for_mmmu = (stated["multiple_choice_prompt"], stated["open_ended_prompt"], stated["prompt_type"])
    compared = 0

    def compare(question: Question, form: PromptForm, benchmark: str, theirs: str) -> None:
        nonlocal compared
        ours = prompt_of(question, form, benchmark)[0]
        if ours != theirs:
            raise SystemExit(f"{form}, {benchmark}: {ours!r} is not {theirs!r}")
        compared += 1

    for text, language, reference, is_open in product(TEXTS, languages, REFERENCES, (True, False)):
        asked = Question("1", text, reference, "OPEN" if is_open else "CLOSED", language=language)
        says = "get_judgement_prompt" if reference.lower() in ("yes", "no") else "get_open_ended_prompt"
        compare(asked, "medevalkit", "vqa-rad", formats(says)(text, False, language))
        short = "get_open_ended_prompt" if is_open else "get_close_ended_prompt"
        compare(asked, "medevalkit", "slake", formats(short)(text, False, language))
        compare(
            asked, "lmms-eval", "slake", slake("slake_doc_to_text")({"question": text}, languages[language])
        )
        if language == "en":
            row = {"question": text, "options": "[]", "question_type": "open", "answer": reference}
            compare(asked, "medevalkit", "mmmu", mmmu("construct_prompt")(row)["empty_prompt"])
            compare(asked, "lmms-eval", "mmmu", lmms_mmmu("construct_prompt")(row, *for_mmmu))
    for text, language in product(TEXTS, languages):
        asked = Question("1", text, "B", "CHOICE", language=language, choices=CHOICES)
        make = formats("get_multiple_choice_prompt")
        listed = [f"{letter}. {choice}" for letter, choice in zip("ABC", CHOICES, strict=True)]
        compare(asked, "medevalkit", "pmc-vqa", make(text, listed, False, language))
        if language == "en":
            close = [each.replace(". ", ".", 1) for each in listed]
            compare(asked, "medevalkit", "medframeqa", make(text, close, False, language))
            row = {
                "question": text,
                "options": repr(list(CHOICES)),
                "question_type": "multiple-choice",
                "answer": "B",
            }
            compare(asked, "medevalkit", "mmmu", mmmu("construct_prompt")(row)["empty_prompt"])
            compare(asked, "lmms-eval", "mmmu", lmms_mmmu("construct_prompt")(row, *for_mmmu))
    print(f"{compared} prompts are the same")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
