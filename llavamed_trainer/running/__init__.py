"""A training run as a whole: settings, data, log, record, model card, push to the Hub."""

from llavamed_trainer.running.arguments import TrainArguments, TrainingSettings, make_parser, parse_settings
from llavamed_trainer.running.run import run_training
from llavamed_trainer.running.summary import TrainingReport

__all__ = [
    "TrainArguments",
    "TrainingReport",
    "TrainingSettings",
    "make_parser",
    "parse_settings",
    "run_training",
]
