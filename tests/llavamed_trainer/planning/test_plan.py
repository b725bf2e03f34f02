"""`plan` gives the cost of the paper's runs and others."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from llavamed_data.errors import UsageError
from llavamed_trainer.planning import (
    BatchShape,
    TrainedParts,
    find_gpu,
    find_shape,
    known_shapes,
    make_plan,
    memory,
)
from llavamed_trainer.planning.counting import count_shape
from llavamed_trainer.recipes import BASES, RECIPES, TrainingRecipe, find_recipe, load_recipe
from tests.llavamed_trainer.tiny_models import missing_package
from tests.servers.hub import running_hub

from .known import CONFIGS, known_processor

A100 = find_gpu("a100-40g")
KINDS_OF_BASES = {"qwen2.5": "qwen2.5-vl", "qwen3": "qwen3-vl", "medgemma": "gemma3", "smolvlm": "idefics3"}


def test_known_models_have_the_published_number_of_parameters() -> None:
    # model cards: 7.06 and 13.35 billion; LLaVA-7B v0: 6.74 (Llama-7B) + 0.30 (CLIP-L/14) + 1024·4096 + 4096², biases
    assert find_shape("llava-hf/llava-1.5-7b-hf").parameters == pytest.approx(7.063e9, rel=1e-3)
    assert find_shape("llava-1.5-13b-hf").parameters == pytest.approx(13.35e9, rel=1e-3)
    assert find_shape("llava-v1-7b").language.parameters == 6_738_415_616
    assert find_shape("llava-med-v1.5-mistral-7b").language.parameters == 7_241_732_096
    # what the index of the published weights states: bytes over two, or the number itself
    assert find_shape("Qwen/Qwen2.5-VL-3B-Instruct").parameters == 7_509_245_952 // 2
    assert find_shape("Qwen/Qwen2.5-VL-7B-Instruct").parameters == 16_584_333_312 // 2
    assert find_shape("Qwen/Qwen3-VL-4B-Instruct").parameters == 4_437_815_808
    assert find_shape("Qwen/Qwen3-VL-8B-Instruct").parameters == 17_534_247_392 // 2
    assert find_shape("google/medgemma-4b-it").parameters == 8_600_158_944 // 2
    assert find_shape("HuggingFaceTB/SmolVLM-500M-Instruct").parameters == 507_482_304
    assert find_shape("HuggingFaceTB/SmolVLM2-2.2B-Instruct").parameters == 2_246_784_880


@pytest.mark.parametrize("name", known_shapes())
def test_a_known_shape_is_what_is_counted_from_its_config(name: str) -> None:
    known, counted = find_shape(name), count_shape(CONFIGS[name](), name)
    assert (known.vision, known.projector, known.language) == (
        counted.vision,
        counted.projector,
        counted.language,
    )


@pytest.mark.parametrize("name", known_shapes())
def test_the_image_of_a_known_shape_is_what_its_processor_makes(name: str) -> None:
    if package := missing_package(KINDS_OF_BASES.get(name.split("-")[0], "")):
        pytest.skip(f"its processor needs {package}")
    known = find_shape(name).image
    counted = count_shape(CONFIGS[name](), name, known_processor(name)).image
    assert (known.tiles, known.patches, known.projected) == (
        counted.tiles,
        counted.patches,
        counted.projected,
    )
    # the tokenizer is another: a line break between the marks may be one token more or less
    assert known.tokens == pytest.approx(counted.tokens, abs=4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_planned_from_its_settings_alone(name: str) -> None:
    plan = make_plan(load_recipe(name), 8, A100)
    assert plan.batch * plan.gpus * plan.accumulated == 128
    assert plan.hours > 0
    assert plan.fits


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", ["stage1", "stage2-60k-im", "finetune-vqa-rad"])
def test_every_base_fits_where_its_batch_size_says_that_it_does(name: str, base: str) -> None:
    full = make_plan(find_recipe(name, base, adapters=False), 8, A100)
    adapters = make_plan(find_recipe(name, base, adapters=True), 1, A100, lora=16)
    assert full.fits
    assert adapters.fits
    assert full.parameters == adapters.parameters
    assert (full.base, full.bits, adapters.bits) == (base, 32, 16)


def test_adapters_have_the_rank_that_the_base_states() -> None:
    recipe = find_recipe("stage2-60k-im", "smolvlm-2.2b", adapters=True)
    own = TrainingRecipe(recipe.name, "", {**recipe.settings, "use_peft": True}, base=recipe.base)
    assert make_plan(own, 1, A100).adapters == 32


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
    assert trained == shape.language.parameters + shape.projector.trained
    assert held.weights + held.gradients + held.optimizer == 4 * shape.parameters + 12 * trained


def a_set(folder: Path, name: str, rows: int, card: str = "") -> TrainingRecipe:
    """The recipe of Stage 2 with a folder of two shards as its dataset."""
    data = folder / name / "data"
    data.mkdir(parents=True)
    for shard in range(2):
        part = pa.table({"id": list(range(rows // 2))})
        pq.write_table(part, data / f"train-0000{shard}-of-00002.parquet")
    if card:
        (folder / name / "README.md").write_text(card)
    recipe = load_recipe("stage2-60k-im")
    return TrainingRecipe(recipe.name, "", {**recipe.settings, "dataset": str(folder / name)})


def test_rows_of_a_folder_are_counted_and_the_plan_says_so(tmp_path: Path) -> None:
    data = make_plan(a_set(tmp_path, "60k-im", 200), 8, A100).data
    assert data.rows == 200
    assert data.source == f"counted in the folder {tmp_path / '60k-im'}"
    assert data.note.endswith(
        "60k-im here has 200 rows; the paper's set has 60,000: --rows 60000 plans for that"
    )
    own = make_plan(a_set(tmp_path, "mine", 200), 8, A100).data
    assert (own.rows, own.note) == (200, "")


def test_the_plan_says_that_a_folder_was_built_from_the_sample(tmp_path: Path) -> None:
    card = "---\npretty_name: 60K-IM (synthetic sample)\ntags:\n- medical\n- synthetic\n---\n# 60K-IM\n"
    data = make_plan(a_set(tmp_path, "60k-im", 38, card), 8, A100).data
    assert "has 38 rows, for it was built from the small sample of this package;" in data.note


@pytest.mark.parametrize("card", ["no card", "---\n[\n---\n", "---\ntags: [medical]\n---\n"])
def test_another_folder_is_not_said_to_be_the_sample(card: str, tmp_path: Path) -> None:
    note = make_plan(a_set(tmp_path, "60k-im", 38, card), 8, A100).data.note
    assert note.endswith("60k-im here has 38 rows; the paper's set has 60,000: --rows 60000 plans for that")


def test_the_papers_number_of_rows_is_taken_where_there_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_plan(load_recipe("stage2-60k-im"), 8, A100).data
    assert (data.rows, data.note) == (60_000, "")
    assert data.source.startswith("as the paper has them: section 3")
    assert make_plan(load_recipe("stage2-60k-im"), 8, A100, rows=7).data.source == "given"


def test_an_unknown_dataset_model_or_gpu_is_refused() -> None:
    recipe = load_recipe("stage1")
    unknown = TrainingRecipe("mine", "", {**recipe.settings, "dataset": "somebody/else"})
    with pytest.raises(UsageError, match="no folder here and none of the paper's sets; give --rows"):
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
    with pytest.raises(UsageError, match="llama is no vision–language model of transformers"):
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


def test_the_command_plans_for_a_base_and_says_what_was_counted() -> None:
    words = (
        "plan",
        "--config",
        "stage2-60k-im",
        "--base",
        "qwen2.5-vl-3b",
        "--lora",
        "16",
        "--gpus",
        "1",
        "--json",
    )
    done = subprocess.run(
        [sys.executable, "-m", "llavamed_trainer", *words], capture_output=True, text=True, check=True
    )
    stated = json.loads(done.stdout)
    # 36 layers: q and o 2048→2048, k and v 2048→256, three of 2048↔11008; the merger: 5120² + 5120·2048, biases, norm
    adapters = 16 * 36 * (2 * 4096 + 2 * 2304 + 3 * 13056)
    merger = 5120 * 5120 + 5120 + 5120 * 2048 + 2048 + 1280
    assert stated["trained"] == adapters + merger
    assert (stated["base"], stated["bits"], stated["image_tokens"]) == ("qwen2.5-vl-3b", 16, 23 * 17 + 2)


def test_tokens_of_an_image_can_be_given() -> None:
    recipe = find_recipe("stage2-60k-im", "smolvlm-500m")
    assumed = make_plan(recipe, 8, A100)
    fewer = make_plan(recipe, 8, A100, image_tokens=70)
    assert fewer.row_tokens == 70 + 330
    assert fewer.image == "given"
    assert fewer.operations < assumed.operations / 2


def test_a_name_on_the_hub_is_planned_from_its_config_alone(tmp_path: Path) -> None:
    CONFIGS["smolvlm-500m"]().save_pretrained(tmp_path / "model")
    words = ("plan", "--config", "stage2-60k-im", "--model", "med-lab/vlm", "--json")
    with running_hub(tmp_path / "hub") as hub:
        environment = hub.environment("ada", tmp_path / "home", xet=False)
        api = HfApi(endpoint=hub.address, token=hub.token("ada"))
        api.create_repo("med-lab/vlm")
        api.upload_folder(repo_id="med-lab/vlm", folder_path=tmp_path / "model")
        done = subprocess.run(
            [sys.executable, "-m", "llavamed_trainer", *words],
            capture_output=True,
            text=True,
            env=environment,
        )
    assert done.returncode == 0, done.stderr
    stated = json.loads(done.stdout)
    assert stated["parameters"] == 507_482_304
    assert stated["image"].startswith("assumed: one tile of 512 px; where its processor makes several, give")
    fetched = [path.name for path in (tmp_path / "home").rglob("snapshots/*/*")]
    assert fetched == ["config.json"]
