"""`python -m llavamed_trainer.evaluation.sweep FOLDER`: one run, as a job of a cluster starts it."""

import sys
from pathlib import Path

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.sweep.execute import execute

if __name__ == "__main__":
    try:
        execute(Path(sys.argv[1]))
    except LlavaMedError as error:
        sys.exit(f"error: {error}")
