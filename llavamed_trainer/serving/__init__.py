"""Makes a trained model ready for servers, and checks that it is: merged adapters, files, chat template, end marks."""

from llavamed_trainer.serving.check import check_model
from llavamed_trainer.serving.merge import MergedModel, merge_adapter
from llavamed_trainer.serving.report import ServerSupport, ServingCheck, ServingReport

__all__ = [
    "MergedModel",
    "ServerSupport",
    "ServingCheck",
    "ServingReport",
    "check_model",
    "merge_adapter",
]
