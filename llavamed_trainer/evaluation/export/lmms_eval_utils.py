"""How lmms-eval asks the questions of a task and scores the answers.

`python -m llavamed_trainer export-task` writes this file, named `utils.py`, into the folder of a task. lmms-eval runs
it once for each function that the task's YAML file names. It needs no `llavamed_trainer`: the modules beside it are
copies of those by which `score` scores one answer and by which `predict` reads an image.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parent
_PACKAGE = f"llavamed_task_{hashlib.sha256(str(_FOLDER).encode()).hexdigest()[:16]}"
"""The name under which the modules of this folder are imported: tasks of several versions may run together."""


def _module(name: str) -> Any:
    """The copy of a module of `llavamed_trainer`, imported once."""
    if _PACKAGE not in sys.modules:
        modules = _FOLDER / "modules"
        spec = importlib.util.spec_from_file_location(
            _PACKAGE, modules / "__init__.py", submodule_search_locations=[str(modules)]
        )
        assert spec
        assert spec.loader
        package = importlib.util.module_from_spec(spec)
        sys.modules[_PACKAGE] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_PACKAGE}.{name.replace('.', '_')}")


def doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """The images of a question, upright and in RGB as `predict` reads them."""
    rgb = _module("llavamed_trainer.collate.rgb")
    return [rgb.to_rgb(rgb.upright(image)) for image in doc["images"]]


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> str:
    """The prompt; texts before and behind it may be set in the YAML file as `pre_prompt` and `post_prompt`."""
    around = lmms_eval_specific_kwargs or {}
    prompt: str = doc["prompt"]
    return f"{around.get('pre_prompt', '')}{prompt}{around.get('post_prompt', '')}"


def doc_to_target(doc: Mapping[str, Any]) -> str:
    """The right answer."""
    answer: str = doc["answer"]
    return answer


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Metric → value from 0 to 1 of the one answer in `results`: those metrics that fit the type of the question."""
    metrics = _module("llavamed_trainer.evaluation.scoring.metrics")
    answer, reference = results[0] if results else "", doc["answer"]
    values = {"refusal_share": float(metrics.is_refusal(answer))}
    if doc["answer_type"] == "OPEN":
        score = metrics.score_open(answer, reference)
        values |= {
            "open_recall": score.recall,
            "open_precision": score.precision,
            "open_f1": score.f1,
            "open_exact_match": score.exact_match,
            "open_bleu": score.bleu,
            "open_multiset_recall": score.multiset_recall,
        }
    elif doc["answer_type"] == "CLOSED":
        closed = metrics.score_closed(answer, reference)
        values |= {
            "closed_accuracy": float(closed.accuracy),
            "closed_word_accuracy": float(closed.word_accuracy),
        }
    elif doc["answer_type"] == "CHOICE":
        letter = _module("llavamed_trainer.evaluation.scoring.choices").read_choice(answer, doc["choices"])
        values |= {"choice_accuracy": float(letter == reference), "choice_unreadable": float(letter is None)}
    return values
