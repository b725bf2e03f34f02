"""Question sets as other evaluation kits read them: tasks of lmms-eval, and TSV files of VLMEvalKit."""

from llavamed_trainer.evaluation.export.export import export_task
from llavamed_trainer.evaluation.export.task import ExportedTask, ExportOptions, Kit

__all__ = ["ExportOptions", "ExportedTask", "Kit", "export_task"]
