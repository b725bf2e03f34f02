"""The results file that `tables` reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.scoring.scores import Scores, scores_to_dict

KIND = "llavamed-scores"
"""What tells a results file from other JSON."""


def write_results(
    path: Path, scores: Sequence[Scores], variant: Mapping[str, str | int] | None = None
) -> None:
    """Writes scores where `tables` finds them; complete or not at all.

    Args:
        path: the file; its folder is made.
        scores: of one file of predictions.
        variant: what was trained, in the words of the paper's tables (see `llavamed_trainer.evaluation.tables`).
    """
    stated = {
        "kind": KIND,
        "variant": dict(variant or {}),
        "scores": [scores_to_dict(each) for each in scores],
    }
    write_text(path, json.dumps(stated, indent=1, ensure_ascii=False) + "\n")
