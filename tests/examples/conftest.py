"""The trainer's tiny model and drawn rows, for the examples too."""

from tests.llavamed_trainer.conftest import drawn_rows, tiny_llava
from tests.llavamed_trainer.running.conftest import dataset

__all__ = ["dataset", "drawn_rows", "tiny_llava"]
