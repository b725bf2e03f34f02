from .assembly import assemble, assemble_tiny, convert_legacy
from .collate import BadRows, ConversationCollator, LlavaMedCollator, pack_plan, token_lengths
from .evaluation.judge import JudgeOptions, judge
from .evaluation.predict import PredictOptions, predict
from .evaluation.questions import load_questions
from .evaluation.scoring import score_predictions
from .models import TEMPLATES, Stage, apply_stage, load_llava, load_model, lora_config, save_checkpoint
from .planning import TrainingPlan, find_gpu, make_plan
from .recipes import RECIPES, TrainingRecipe, find_recipe, load_recipe
from .running import TrainingReport, TrainingSettings, parse_settings, run_training
from .serving import MergedModel, ServingReport, check_model, merge_adapter
from .training import LlavaMedTrainer, load_sharded

__all__ = [
    "RECIPES",
    "TEMPLATES",
    "BadRows",
    "ConversationCollator",
    "JudgeOptions",
    "LlavaMedCollator",
    "LlavaMedTrainer",
    "MergedModel",
    "PredictOptions",
    "ServingReport",
    "Stage",
    "TrainingPlan",
    "TrainingRecipe",
    "TrainingReport",
    "TrainingSettings",
    "apply_stage",
    "assemble",
    "assemble_tiny",
    "check_model",
    "convert_legacy",
    "find_gpu",
    "find_recipe",
    "judge",
    "load_llava",
    "load_model",
    "load_questions",
    "load_recipe",
    "load_sharded",
    "lora_config",
    "make_plan",
    "merge_adapter",
    "pack_plan",
    "parse_settings",
    "predict",
    "run_training",
    "save_checkpoint",
    "score_predictions",
    "token_lengths",
]
