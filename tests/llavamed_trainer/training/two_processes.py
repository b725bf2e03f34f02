"""What `accelerate launch` starts in the tests of two processes.

two_processes.py MODEL ROWS OUT ddp|sharded SIZE STAGE [die-at=STEP] [resume]
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import load_from_disk
from transformers import TrainerCallback

from llavamed_trainer.models import Stage, apply_stage
from llavamed_trainer.training import load_sharded
from tests.llavamed_trainer.training.runs import config, load, losses, trainer


class Die(TrainerCallback):
    """Kills the process as the system would, with no chance to tidy up."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(model: str, rows: str, out: str, way: str, size: str, stage: str, *more: str) -> None:
    torch.set_num_threads(1)
    args = config(Path(out), per_device_train_batch_size=int(size), max_steps=6, save_steps=2)
    if way == "sharded":
        llava = load_sharded(model)
        apply_stage(llava, Stage(stage))
    else:
        llava = load(Path(model), Stage(stage))
    made = trainer(llava, Path(model), args, load_from_disk(rows))
    for each in more:
        if each.startswith("die-at="):
            made.add_callback(Die(int(each.removeprefix("die-at="))))
    made.train(resume_from_checkpoint="resume" in more or None)
    made.save_model(str(Path(out) / "final"))
    if made.is_world_process_zero():
        (Path(out) / "losses.json").write_text(json.dumps(losses(made)))


if __name__ == "__main__":
    main(*sys.argv[1:])
