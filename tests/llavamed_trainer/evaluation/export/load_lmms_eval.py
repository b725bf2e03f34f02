"""Loads an exported task with lmms-eval itself, and prints as JSON what it asks and how it scores given answers.

    python load_lmms_eval.py INCLUDE_PATH TASK ANSWERS.json

It runs under the Python of an environment that has lmms-eval, and imports nothing of this project. `ANSWERS.json` holds
one answer for each question.
"""

import hashlib
import json
import sys
from pathlib import Path

from lmms_eval.tasks import TaskManager


def main(include_path: str, name: str, answers: str) -> None:
    manager = TaskManager("ERROR", include_path=include_path, model_name="llava_hf")
    assert name in manager.all_subtasks
    assert manager.match_tasks([name]) == [name]
    task = manager.load_task_or_group([name])[name]
    task.build_all_requests(rank=0, world_size=1)
    docs = task.eval_docs
    asked, metrics = [], {}
    for request, answer in zip(task.instances, json.loads(Path(answers).read_text()), strict=True):
        prompt, generation, to_visual, doc_id, _, _ = request.args
        doc = docs[doc_id]
        images = to_visual(doc)
        asked.append(
            {
                "id": doc["id"],
                "prompt": prompt,
                "target": task.doc_to_target(doc),
                "generation": generation,
                "images": [
                    [*image.size, image.mode, hashlib.sha256(image.tobytes()).hexdigest()] for image in images
                ],
            }
        )
        for metric, value in task.process_results(doc, [answer]).items():
            metrics.setdefault(metric, []).append(value)
    means = {metric: task.aggregation()[metric](values) for metric, values in metrics.items()}
    print(json.dumps({"asked": asked, "metrics": metrics, "means": means}))


if __name__ == "__main__":
    main(*sys.argv[1:])
