"""Settings come from a recipe, a file and flags, of which the later wins; a wrong one is named."""

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.train import train
from llavamed_trainer.recipes import BASES, RECIPES, load_recipe
from llavamed_trainer.running import TrainArguments, make_parser, parse_settings


def config_file(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return ["--config", str(path)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_of_a_recipe_is_read(name: str) -> None:
    call = parse_settings(["--config", name])
    stated = load_recipe(name).settings
    assert call.training.learning_rate == stated["learning_rate"]
    assert call.training.warmup_steps == 0.03
    assert call.training.num_train_epochs == stated["num_train_epochs"]
    assert call.training.max_length == 2048
    assert (call.arguments.stage, call.arguments.text) == (stated["stage"], stated["text"])
    assert call.arguments.dataset == stated["dataset"]
    assert call.model.model_name_or_path == stated["model_name_or_path"]
    at_once = call.training.per_device_train_batch_size * call.training.gradient_accumulation_steps
    assert at_once == 128
    assert set(call.given) == set(stated)


def test_flags_win_over_the_recipe_in_either_spelling() -> None:
    call = parse_settings(["--learning-rate", "1e-3", "--config=stage1", "--max_bad_rows", "7"])
    assert (call.training.learning_rate, call.arguments.max_bad_rows) == (1e-3, 7)
    assert call.given["learning_rate"] == 1e-3


def test_a_file_wins_over_the_recipe_it_builds_on_and_loses_to_flags(tmp_path: Path) -> None:
    words = config_file(tmp_path, "recipe: stage1\nlearning_rate: 5e-4\nseed: 7\n")
    call = parse_settings([*words, "--seed", "8"])
    assert (call.training.learning_rate, call.training.seed) == (5e-4, 8)
    assert call.arguments.stage == "projector"


def test_a_base_is_laid_over_the_recipe_and_flags_win() -> None:
    call = parse_settings(["--config", "stage2-60k-im", "--base", "qwen2.5-vl-3b"])
    assert call.model.model_name_or_path == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert (call.training.learning_rate, call.model.use_peft) == (1e-5, False)
    assert call.training.output_dir == "runs/qwen2.5-vl-3b/stage2-60k-im"
    assert call.recipe.base == "qwen2.5-vl-3b"
    adapted = parse_settings(
        ["--base=qwen2.5-vl-3b", "--config=stage2-60k-im", "--use_peft", "--lora_r", "8"]
    )
    assert (adapted.training.learning_rate, adapted.model.lora_r, adapted.model.lora_alpha) == (1e-4, 8, 32)
    own = parse_settings(["--config", "stage2-60k-im", "--base", "qwen2.5-vl-3b", "--learning_rate", "3e-6"])
    assert own.training.learning_rate == 3e-6


def test_frozen_weights_are_16_bit_only_with_an_accelerator() -> None:
    words = ["--config", "stage2-60k-im", "--base", "smolvlm-500m", "--use_peft"]
    wanted = "bfloat16" if torch.accelerator.is_available() else "float32"
    assert parse_settings(words).model.dtype == wanted
    assert parse_settings([*words, "--dtype", "bfloat16"]).model.dtype == "bfloat16"


def test_a_base_needs_a_recipe() -> None:
    with pytest.raises(UsageError, match="--base needs --config"):
        parse_settings(["--base", "qwen2.5-vl-3b", "--dataset", "my/set"])


def test_another_model_given_by_a_flag_keeps_its_own_template() -> None:
    assert parse_settings(["--config", "stage1"]).arguments.template == "vicuna_v1"
    other = ["--config", "stage1", "--model_name_or_path", "Qwen/Qwen2.5-VL-3B-Instruct"]
    call = parse_settings(other)
    assert call.arguments.template is None
    assert "template" not in call.given
    assert parse_settings([*other, "--template", "mistral"]).arguments.template == "mistral"


def test_processes_share_the_global_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="does not divide into batches of 16 on 4 processes"):
        parse_settings(["--config", "stage1", "--global_batch_size", "96"])


def test_accumulation_follows_from_the_global_batch() -> None:
    call = parse_settings(
        ["--config", "stage1", "--global_batch_size", "8", "--per_device_train_batch_size", "2"]
    )
    assert call.training.gradient_accumulation_steps == 4


def test_without_an_accelerator_float32_replaces_a_recipes_bfloat16_and_a_note_says_so() -> None:
    call = parse_settings(["--config", "stage1"])
    assert call.training.bf16 is False
    assert call.notes == ("There is no accelerator here: training runs in float32 on the CPU.",)


def test_environment_variables_of_a_file_are_left_to_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAVAMED_TRIED", "no")
    found = parse_settings(config_file(tmp_path, "recipe: stage1\nenv: {LLAVAMED_TRIED: 1}\n"))
    assert found.recipe.env == {"LLAVAMED_TRIED": "1"}
    assert os.environ["LLAVAMED_TRIED"] == "no"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lerning_rate", "1"], "train does not take --lerning_rate: did you mean --learning_rate?"),
        (["--learning_rate", "fast"], "--learning_rate/--learning-rate: invalid float value: 'fast'"),
        (["--stage", "everything"], "choose from 'projector', 'projector+language-model'"),
        (["stage1"], "train takes only flags, not 'stage1'; give a recipe or a file of settings by --config"),
        (["--config"], "--config takes the name of a recipe"),
        (["--hub_token", "hf_secret"], "a token must not be a flag"),
        (["--config", "stage3"], "did you mean stage1"),
        (["--max_bad_row", "3"], "did you mean --max_bad_rows"),
    ],
)
def test_a_wrong_flag_is_named_with_what_was_likely_meant(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_settings(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", "names lerning_rate, which train does not take: did you mean learning_rate?"),
        ("learning_rate: fast", "sets learning_rate to 'fast': it must be a number"),
        ("max_length: 20.5", "sets max_length to 20.5: it must be a whole number"),
        ("max_rows: true", "sets max_rows to True: it must be a whole number"),
        ("streaming: maybe", "sets streaming to 'maybe': it must be true or false"),
        ("gradient_checkpointing: perhaps", "it must be true or false"),
        ("stage: everything", "sets stage to 'everything': choose from projector, projector+language-model"),
        ("dataset: [a, b]", "sets dataset to ['a', 'b']: it must be one value"),
        ("learning_rate: {a: 1}", "it must be a number"),
        ("global_batch_size:", "sets global_batch_size to nothing: give it a value, or leave it out"),
        ("accelerator_config: nowhere.json", "nowhere.json"),
        ("env: 3", "must be a table such as OMP_NUM_THREADS: 4"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_settings(config_file(tmp_path, text))


def test_switches_of_a_file_are_switches(tmp_path: Path) -> None:
    call = parse_settings(
        config_file(tmp_path, "recipe: stage1\ngradient_checkpointing: false\nstreaming: true\n")
    )
    assert call.training.gradient_checkpointing is False
    assert call.arguments.streaming is True


def test_help_names_every_argument_of_ours_and_help_all_every_argument() -> None:
    short, whole = train.__doc__ or "", make_parser().format_help()
    for name in (field.name for field in fields(TrainArguments)):
        assert f"--{name}" in short
        assert f"--{name}" in whole
    assert "--lr_scheduler_type" in whole
    for name in (*RECIPES, *BASES):
        assert name in short


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--chat_template_path", "mine.jinja"], "--template FILE chooses the chat template"),
        (["--completion_only_loss", "false"], "answers and their end tokens are learnt, and nothing else"),
        (["--truncation_mode", "keep_end"], "rows that are too long lose text at their end"),
        (["--padding_free", "true"], "--packing joins rows without padding"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused(flags: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=rf"^{flags[0]} .* would have no effect, leave it out: {told}"):
        parse_settings(["--config", "stage1", *flags])


def test_a_setting_that_states_what_is_done_anyway_is_taken(tmp_path: Path) -> None:
    text = "recipe: stage1\nassistant_only_loss: true\ntruncation_mode: keep_start\n"
    assert parse_settings(config_file(tmp_path, text)).training.assistant_only_loss
