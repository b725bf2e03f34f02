"""A trained model stops: a template without end marks is replaced or refused, `generate` stops at the one learnt."""

import io
import shutil
from pathlib import Path

import pytest
from transformers import AutoProcessor, GenerationConfig

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.sweep import load_grid, make_plan
from llavamed_trainer.models import TEMPLATES, load_llava
from tests.llavamed_trainer.running.conftest import Train

TURN = (
    "{% for part in m['content'] %}{{ '<image>\n' if part['type'] == 'image' else part['text'] }}{% endfor %}"
)
ENDLESS = (  # the turns of Vicuna v1, as the llava-1.5 checkpoints store them: no end token
    "{% for m in messages %}{% if m['role'] == 'assistant' %}ASSISTANT: {% generation %}" + TURN + " "
    "{% endgeneration %}{% else %}USER: " + TURN + " {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}{{ '\n' }}{% if m['role'] == 'assistant' %}{% generation %}"
    + TURN
    + "<|im_end|>{% endgeneration %}{% else %}"
    + TURN
    + "<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def checkpoint(tiny: Path, folder: Path, template: str, *spare: str) -> Path:
    """The tiny LLaVA with another template; `spare` are tokens of its vocabulary that are made special."""
    shutil.copytree(tiny, folder)
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = template
    tokenizer = processor.tokenizer
    if spare:
        tokenizer.add_special_tokens({"additional_special_tokens": [*spare, "<image>"]})
    processor.save_pretrained(folder)
    return folder


def test_the_turns_of_vicuna_without_end_tokens_get_the_template_with_them_and_a_warning(
    train: Train, tiny_llava: Path, tmp_path: Path, output: io.StringIO
) -> None:
    model = checkpoint(tiny_llava, tmp_path / "llava-1.5", ENDLESS)
    train("stage2-60k-im", "--model_name_or_path", model, "--max_steps", "1")
    assert "WARNING: the checkpoint's chat template writes no end token" in output.getvalue()
    assert AutoProcessor.from_pretrained(tmp_path / "run").chat_template == TEMPLATES["vicuna_v1"]


def test_other_templates_without_end_tokens_are_refused(
    train: Train, tiny_llava: Path, tmp_path: Path
) -> None:
    model = checkpoint(tiny_llava, tmp_path / "other", ENDLESS.replace("USER", "Human"))
    with pytest.raises(UsageError, match="would never stop: train with --template vicuna_v1"):
        train("stage2-60k-im", "--model_name_or_path", model, "--max_steps", "1")
    own = tmp_path / "own.jinja"
    own.write_text(ENDLESS)
    with pytest.raises(UsageError, match="would never stop"):  # what was asked for is not replaced
        train("stage2-60k-im", "--template", own, "--max_steps", "1")


def test_a_fault_that_a_data_worker_finds_is_told_in_one_line(train: Train, tmp_path: Path) -> None:
    own = tmp_path / "own.jinja"
    end = "{% if m['content'][0]['text']|length < 15 %}</s>{% endif %}{% endgeneration %}"  # "A cyst." has 7
    own.write_text(ENDLESS.replace(" {% endgeneration %}", end))
    with pytest.raises(LlavaMedError, match=r"^row drawn-\d+: the chat template ends") as caught:
        train("stage2-60k-im", "--template", own, "--streaming", "--dataloader_num_workers", "1")
    assert "\n" not in str(caught.value)


def test_the_trained_model_stops_at_the_end_token_of_its_template(
    train: Train, tiny_llava: Path, tmp_path: Path, output: io.StringIO
) -> None:
    model, _ = load_llava(str(tiny_llava))
    folder = checkpoint(tiny_llava, tmp_path / "chatml", CHATML, "<|im_start|>", "<|im_end|>")
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end != tokenizer.eos_token_id
    train("stage2-60k-im", "--model_name_or_path", folder, "--max_steps", "1")
    assert "the chat template ends answers with <|im_end|>" in output.getvalue()
    stops = GenerationConfig.from_pretrained(tmp_path / "run").eos_token_id
    assert set(stops) == {tokenizer.eos_token_id, end}


def test_a_model_that_states_no_stop_token_gets_the_one_that_ends_answers(
    train: Train, tiny_llava: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llava, folder)
    (folder / "generation_config.json").write_text("{}")
    train("stage2-60k-im", "--model_name_or_path", folder, "--max_steps", "1")
    stops = GenerationConfig.from_pretrained(tmp_path / "run").eos_token_id
    assert stops in (1, [1])  # </s>


@pytest.mark.parametrize("name", ["table4", "table9", "table10"])
def test_packaged_grids_train_the_llava_checkpoints_with_a_template_that_ends_answers(name: str) -> None:
    runs = make_plan(load_grid(name), Path("out")).runs.values()
    commands = [" ".join(run.commands[0]) for run in runs if " train " in " ".join(run.commands[0])]
    assert commands
    assert all("--template vicuna_v1" in command for command in commands)
