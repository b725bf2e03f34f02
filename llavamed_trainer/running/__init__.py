"""`train` as a whole: arguments, data, run log, model card, push."""

from llavamed_trainer.running.arguments import TrainArguments
from llavamed_trainer.running.parsing import Call, make_parser, parse_call
from llavamed_trainer.running.run import TrainingReport, run_training

__all__ = ["Call", "TrainArguments", "TrainingReport", "make_parser", "parse_call", "run_training"]
