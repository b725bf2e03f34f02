"""The private parts of trl and transformers that the trainer relies on, so that a new version shows what it breaks.

pyproject.toml bounds both libraries by the newest version with which these tests pass. A name is private here if it
begins with an underscore, or is imported from a submodule rather than from the library itself.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import fields

import pytest
from transformers import PreTrainedModel, Trainer
from transformers.utils.chat_template_utils import render_jinja_template
from trl import SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

from llavamed_trainer import LlavaMedTrainer
from llavamed_trainer.running.monitoring import MonitoredTrainer
from tests.conftest import CHECKOUT

LIBRARIES = ("trl", "transformers")

IMPORTED = {
    "transformers.conversion_mapping.get_model_conversion_mapping": "models/saving.py",
    "transformers.distributed.configuration_utils.DistributedConfig": "training/sharding.py",
    "transformers.models.vit.modeling_vit.ViTPooler": "assembly/parts.py",
    "transformers.trainer.SCHEDULER_NAME": "training/trainer.py",
    "transformers.trainer_callback.PrinterCallback": "running/monitoring.py",
    "transformers.trainer_utils.HubStrategy": "running/push.py",
    "transformers.utils.chat_template_utils.render_jinja_template": "collate/rendering.py",
    "transformers.utils.logging": "cli/merge.py",
    "transformers.utils.peft_utils.find_adapter_config_file": "models/loading.py",
    "trl.trainer.utils.FusedCausalLMOutput": "training/forward.py",
}
"""What is imported from submodules, and the file that imports it."""

OVERRIDDEN = {
    "_get_train_sampler": ["self", "train_dataset"],
    "_load_best_model": ["self"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_prepare_for_training": ["self", "max_steps", "train_dataloader", "resume_from_checkpoint"],
    "_run_epoch": ["self", "model", "epoch"],
    "_save_optimizer_and_scheduler": ["self", "output_dir"],
}
"""The private methods of the trainer that training/trainer.py overrides, and their first parameters."""

USED = {
    "_VALID_DICT_FIELDS": "trl.SFTConfig",
    "_actions": "trl.TrlParser",
    "_fingerprint": "datasets.Dataset",
    "_get_num_multimodal_tokens": "transformers.Qwen2_5_VLProcessor",
    "_option_string_actions": "trl.TrlParser",
    "_resolve_features": "datasets.IterableDataset",
}
"""Other private attributes of libraries that are used, and the class that has them."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    package = CHECKOUT / "llavamed_trainer"
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", IMPORTED)
def test_an_imported_private_name_is_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_an_overridden_private_method_takes_the_same_parameters(name: str) -> None:
    parameters = list(inspect.signature(getattr(SFTTrainer, name)).parameters)
    assert parameters[: len(OVERRIDDEN[name])] == OVERRIDDEN[name]


@pytest.mark.parametrize("name", USED)
def test_a_used_private_attribute_is_there(name: str) -> None:
    module, _, kind = USED[name].rpartition(".")
    owner = getattr(importlib.import_module(module), kind)
    assert hasattr(owner, name) or f"self.{name}" in "".join(inspect.getsource(base) for base in bases(owner))


def bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base is not object and "typing" not in base.__module__]


def test_the_trainer_and_its_models_behave_as_the_overrides_assume() -> None:
    assert "_internal_call" in inspect.signature(Trainer.save_model).parameters
    assert "save_original_format" in inspect.signature(PreTrainedModel.save_pretrained).parameters
    assert "self.is_distributed_loading_by_transformers =" in inspect.getsource(Trainer.__init__)
    assert "self._total_train_tokens += " in inspect.getsource(SFTTrainer.compute_loss)
    assert "fused_lm_head=True" in inspect.getsource(SFTTrainer.compute_loss)
    assert {"loss", "log_probs", "entropy", "is_top1", "label_mask"} <= {
        field.name for field in fields(FusedCausalLMOutput)
    }


def test_a_rendered_template_comes_with_the_spans_of_its_answers() -> None:
    template = "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %};{% endfor %}"
    turns = [{"role": "assistant", "content": text} for text in ("one", "three")]
    rendered = render_jinja_template([turns], chat_template=template, return_assistant_tokens_mask=True)
    assert [list(part) for part in rendered] == [["one;three;"], [[(0, 3), (4, 9)]]]


def test_every_private_name_that_is_imported_is_listed() -> None:
    found = {}
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                library, _, submodule = node.module.partition(".")
                if library in LIBRARIES and submodule:
                    found |= {f"{node.module}.{alias.name}": path for alias in node.names}
    assert found == IMPORTED


def test_every_private_method_that_is_overridden_is_listed() -> None:
    own = {name for kind in (LlavaMedTrainer, MonitoredTrainer) for name in vars(kind)}
    private = {name for name in own if name.startswith("_") and not name.startswith("__")}
    assert {name for name in private if hasattr(SFTTrainer, name)} == set(OVERRIDDEN)


def test_every_private_attribute_that_is_used_is_listed() -> None:
    own, used = set[str](), set[str]()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Attribute):
                (own if isinstance(node.ctx, ast.Store) else used).add(node.attr)
    private = {name for name in used - own if name.startswith("_") and not name.startswith("__")}
    assert private == set(USED)
