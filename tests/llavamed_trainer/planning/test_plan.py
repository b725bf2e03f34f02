"""`plan` gives the cost of the paper's runs and others."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llavamed_data.errors import UsageError
from llavamed_trainer.planning import BatchShape, TrainedParts, find_gpu, find_shape, make_plan, memory
from llavamed_trainer.recipes import RECIPES, TrainingRecipe, find_recipe, load_recipe

A100 = find_gpu("a100-40g")


def test_known_models_have_the_published_number_of_parameters() -> None:
    # model cards: 7.06 and 13.35 billion; LLaVA-7B v0: 6.74 (Llama-7B) + 0.30 (CLIP-L/14) + 1024·4096 + 4096², biases
    assert find_shape("llava-hf/llava-1.5-7b-hf").parameters == pytest.approx(7.063e9, rel=1e-3)
    assert find_shape("llava-1.5-13b-hf").parameters == pytest.approx(13.35e9, rel=1e-3)
    assert find_shape("llava-v1-7b").language.parameters == 6_738_415_616
    assert find_shape("llava-med-v1.5-mistral-7b").language.parameters == 7_241_732_096


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_planned_from_its_settings_alone(name: str) -> None:
    plan = make_plan(load_recipe(name), 8, A100)
    assert plan.batch * plan.gpus * plan.accumulated == 128
    assert plan.hours > 0
    assert plan.fits


def test_the_plan_of_stage_1_agrees_with_the_paper() -> None:
    plan = make_plan(load_recipe("stage1"), 8, A100, model="llava-v1-7b")
    assert plan.steps == 4688  # 600,000 / 128 = 4687.5
    assert plan.row_tokens == 256 + 170
    assert plan.tokens == 600_000 * 426
    assert plan.trained == 1024 * 4096 + 4096
    assert plan.paper is not None
    assert (plan.paper.table, plan.paper.hours) == ("Table 5", 6.8)
    # the same work at the paper's share of the peak takes the paper's hours
    assert plan.hours * plan.utilisation / plan.paper.utilisation == pytest.approx(6.8)


@pytest.mark.parametrize(
    ("recipe", "hours"),
    [("stage2-10k", 1.8), ("stage2-60k", 8.0), ("stage2-60k-im", 8.0), ("finetune-vqa-rad", None)],
)
def test_the_papers_hours_are_shown_for_the_epochs_that_it_states(recipe: str, hours: float | None) -> None:
    paper = make_plan(load_recipe(recipe), 8, A100).paper
    assert (paper.hours if paper else None) == hours


def test_training_the_language_model_costs_three_forward_passes_and_one_more_for_checkpoints() -> None:
    shape, batch = find_shape("llava-v1-7b"), BatchShape(1, 600, 200)
    from llavamed_trainer.planning import operations

    cost = operations(shape, batch, TrainedParts(language=True, checkpointing=True))
    assert cost.total / cost.blocks == pytest.approx(4, rel=0.06)
    only = operations(shape, batch, TrainedParts(language=False, checkpointing=True))
    assert only.total / only.blocks == pytest.approx(3, rel=0.08)


def test_more_gpus_hold_less_each_and_take_less_time() -> None:
    few, many = (make_plan(load_recipe("stage2-60k"), gpus, A100) for gpus in (4, 16))
    assert few.memory.weights == pytest.approx(4 * many.memory.weights, rel=1e-6)
    assert few.hours == pytest.approx(4 * many.hours)
    assert few.steps == many.steps


def test_one_gpu_does_not_hold_a_7b_model_in_training_but_holds_its_adapters() -> None:
    recipe = load_recipe("stage2-60k")
    assert not make_plan(recipe, 1, find_gpu("a100-80g")).fits
    assert make_plan(recipe, 1, find_gpu("a100-80g"), lora=64).fits


def test_weights_gradients_and_moments_are_sixteen_bytes_a_parameter() -> None:
    shape = find_shape("llava-v1-7b")
    held = memory(shape, BatchShape(1, 300, 100), TrainedParts(language=True, checkpointing=True), gpus=1)
    trained = shape.language.parameters + 1024 * 4096 + 4096
    assert held.weights + held.gradients + held.optimizer == 4 * shape.parameters + 12 * trained


def test_rows_of_a_folder_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "60k-im" / "data"
    data.mkdir(parents=True)
    for shard in range(2):
        pq.write_table(pa.table({"id": list(range(100))}), data / f"train-0000{shard}-of-00002.parquet")
    recipe = load_recipe("stage2-60k-im")
    own = TrainingRecipe(recipe.name, "", {**recipe.settings, "dataset": str(tmp_path / "60k-im")})
    assert make_plan(own, 8, A100).data.rows == 200


def test_an_unknown_dataset_model_or_gpu_is_refused() -> None:
    recipe = load_recipe("stage1")
    unknown = TrainingRecipe("mine", "", {**recipe.settings, "dataset": "somebody/else"})
    with pytest.raises(UsageError, match="give --rows"):
        make_plan(unknown, 8, A100)
    assert make_plan(unknown, 8, A100, rows=1000).data.rows == 1000
    with pytest.raises(UsageError, match="the shape of somebody/model is not known"):
        make_plan(recipe, 8, A100, model="somebody/model")
    with pytest.raises(UsageError, match="choose from a100-40g"):
        find_gpu("b52")
    with pytest.raises(UsageError, match="must be a multiple of 7"):
        make_plan(recipe, 7, A100)


def test_a_config_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(UsageError, match="not the config.json of a transformers LLaVA"):
        find_shape(str(tmp_path))


def test_the_command_needs_no_torch_and_prints_json() -> None:
    code = (
        "import sys; from llavamed_trainer.cli.app import app\n"
        "app(['plan', '--config', 'stage2-60k-im', '--gpu', 'a100-40g', '--json'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stated = json.loads(done.stdout)
    assert stated["steps"] == 1407  # 3 × ⌈60,000 / 128⌉
    assert stated["paper"]["hours"] == 8.0
    assert find_recipe("stage2-60k-im").name == stated["recipe"]
