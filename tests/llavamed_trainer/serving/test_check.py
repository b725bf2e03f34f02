"""`check` finds nothing wrong in a whole model, and names the one thing that was broken, with the way out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.serving import ServingReport, check_model

from .conftest import Adapt


def wrong(report: ServingReport) -> dict[str, str]:
    """What is wrong, and the way out, by the check that found it."""
    return {each.check: f"{each.finding}: {each.way_out}" for each in report.faults}


def edit(path: Path, **values: object) -> None:
    """Changes values of a JSON file; those that are None are removed."""
    stated = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in stated.items() if value is not None}))


def rename_weights(folder: Path, old: str, new: str) -> None:
    path = folder / "model.safetensors"
    weights = {name.replace(old, new): tensor for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def shard(folder: Path) -> list[Path]:
    """Divides the weights into several files with an index."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="300KB")
    return sorted(folder.glob("model-*.safetensors"))


def test_nothing_is_wrong_in_a_whole_model_and_the_commands_of_servers_are_stated(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    report = check_model(str(model))
    assert wrong(report) == {}
    assert {each.result for each in report.checks} == {"ok"}
    assert any("logits equal to the bit" in each.finding for each in report.checks)
    vllm, llama_cpp = report.servers
    assert vllm.supported
    assert vllm.commands == (f"vllm serve {model} --served-model-name model",)
    assert llama_cpp.supported is False
    assert "Pixtral tower alone" in llama_cpp.finding
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_model_in_several_files_is_whole_too(model: Path) -> None:
    files = shard(model)
    assert len(files) > 1
    report = check_model(str(model))
    assert wrong(report) == {}
    assert any(f"{len(files)} files with an index" in each.finding for each in report.checks)


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def drop_architectures(folder: Path) -> None:
    edit(folder / "config.json", architectures=None)


def drop_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def drop_shard(folder: Path) -> None:
    shard(folder)[1].unlink()


def swap_index(folder: Path) -> None:
    path = shard(folder)[0].parent / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    names = list(index["weight_map"])
    index["weight_map"] = {names[0] + ".other": index["weight_map"].pop(names[0]), **index["weight_map"]}
    path.write_text(json.dumps(index))


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    drop_weights(folder)


def lose_a_weight(folder: Path) -> None:
    rename_weights(folder, "multi_modal_projector.linear_2.bias", "multi_modal_projector.linear_3.bias")


def names_of_memory(folder: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder)
    model.save_pretrained(folder, save_original_format=False)


def lose_tower_level(folder: Path) -> None:
    rename_weights(folder, "vision_tower.vision_model.", "vision_tower.")


def drop_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def drop_processor(folder: Path) -> None:
    (folder / "processor_config.json").unlink()


def drop_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def break_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.nothing.more }}{% endfor %}")


def template_without_images(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("<image>", ""))


def template_with_another_prompt(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text() + "{% if add_generation_prompt %}{{ '<think>' }}{% endif %}")


def stale_template_of_tokenizer(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", chat_template="{{ messages[0]['content'] }}")


def endless_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("eos_token", "''"))


def wrong_stop(folder: Path) -> None:
    edit(folder / "generation_config.json", eos_token_id=7)


def no_stop(folder: Path) -> None:
    edit(folder / "generation_config.json", eos_token_id=None)


def drop_generation_config(folder: Path) -> None:
    (folder / "generation_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "check", "words"),
    [
        (break_config, "config.json states the architecture", "config.json is damaged"),
        (drop_architectures, "config.json states the architecture", "states no architectures"),
        (drop_weights, "files of the weights are whole", "model.safetensors is missing"),
        (cut_weights, "files of the weights are whole", "model.safetensors is damaged"),
        (drop_shard, "files of the weights are whole", "model-00002-of-"),
        (swap_index, "files of the weights are whole", "index.json and the files differ in"),
        (pickle_weights, "files of the weights are whole", "only pickled weights"),
        (lose_a_weight, "stock transformers loads it", "1 missing, filled with random numbers"),
        (names_of_memory, "have the names by which", "model.multi_modal_projector.linear_1.bias"),
        (lose_tower_level, "have the names by which", "vision_tower.embeddings"),
        (drop_tokenizer, "files of the tokenizer", "tokenizer.json is missing"),
        (drop_processor, "files of the tokenizer", "processor_config.json (or preprocessor_config.json)"),
        (drop_template, "the chat template renders", "there is no chat template"),
        (break_template, "the chat template renders", "it cannot be rendered"),
        (template_without_images, "the chat template renders", "it writes no <image>"),
        (template_with_another_prompt, "the chat template renders", "<think>"),
        (stale_template_of_tokenizer, "where vLLM and llama.cpp read it", "from tokenizer_config.json"),
        (endless_template, "ends answers with a token", "no end token"),
        (wrong_stop, "generation_config.json stops", 'state "eos_token_id": [1, 7]'),
        (no_stop, "generation_config.json stops", 'state "eos_token_id": 1 in'),
        (drop_generation_config, "generation_config.json stops", "there is no generation_config.json"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_broken_is_named_with_the_way_out(
    model: Path, damage: Callable[[Path], None], check: str, words: str
) -> None:
    damage(model)
    found = wrong(check_model(str(model)))
    named = [text for name, text in found.items() if check in name]
    assert len(named) == 1, found
    assert words in named[0]
    assert named[0].partition(": ")[2]


def test_without_weights_the_rest_is_still_looked_at(model: Path) -> None:
    report = check_model(str(model), files_only=True)
    results = {each.check: each.result for each in report.checks}
    assert sorted(results.values()).count("not tried") == 2
    assert wrong(report) == {}
    drop_processor(model)
    report = check_model(str(model), files_only=True)
    results = {each.check: each.finding for each in report.checks if each.result == "not tried"}
    assert sum(finding == "the processor could not be loaded" for finding in results.values()) == 4


def test_an_adapter_is_told_to_be_merged(whole_model: Path, tmp_path: Path, adapt: Adapt) -> None:
    adapter = adapt(whole_model, tmp_path / "lora")
    found = wrong(check_model(str(adapter)))
    assert list(found) == ["it is a whole model"]
    assert f"it is a LoRA adapter of {whole_model}" in found["it is a whole model"]
    assert f"python -m llavamed_trainer merge {adapter} OUT" in found["it is a whole model"]
    edit(adapter / "adapter_config.json", base_model_name_or_path="/models/gone")
    assert "is not at /models/gone" in wrong(check_model(str(adapter)))["it is a whole model"]
    edit(adapter / "adapter_config.json", base_model_name_or_path=None)
    assert "does not state which model" in wrong(check_model(str(adapter)))["it is a whole model"]


def test_the_papers_linear_projector_is_not_known_to_vllm(tiny_llava: Path) -> None:
    report = check_model(str(tiny_llava), files_only=True)
    assert wrong(report) == {}
    assert report.servers[0].supported is False
    assert "'linear'" in report.servers[0].finding


def test_what_is_not_known_of_an_architecture_is_said(model: Path) -> None:
    edit(model / "config.json", architectures=["NewForConditionalGeneration"])
    report = check_model(str(model), files_only=True)
    assert [each.supported for each in report.servers] == [None, None]
    assert all(each.commands for each in report.servers)
    assert wrong(report) == {}


def test_a_token_that_ends_answers_and_that_llama_cpp_does_not_know_is_named(model: Path) -> None:
    processor = AutoProcessor.from_pretrained(model)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<|turn_end|>"]})
    processor.chat_template = processor.chat_template.replace("eos_token", "'<|turn_end|>'")
    processor.save_pretrained(model)
    edit(model / "config.json", architectures=["Gemma3ForConditionalGeneration"])  # one that llama.cpp loads
    found = wrong(check_model(str(model), files_only=True))
    assert "it does not know <|turn_end|>" in found["llama.cpp stops at the end of an answer"]


def test_a_missing_model_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="there is no model 'models/none'"):
        check_model("models/none")


def test_the_command_prints_the_report_and_ends_with_1_if_something_is_wrong(model: Path) -> None:
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["check", str(model)])
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[0] == "ok  config.json states the architecture (LlavaForConditionalGeneration)"
    assert f"    vllm serve {model} --served-model-name model" in lines
    assert lines[-1] == "nothing is wrong"
    wrong_stop(model)
    done = CliRunner().invoke(app, ["check", str(model), "--files-only"])
    assert done.exit_code == 1
    assert '→ state "eos_token_id": [1, 7] in generation_config.json' in done.stdout
    assert done.stdout.splitlines()[-1] == "1 thing is wrong"
    done = CliRunner().invoke(app, ["check", str(model), "--files-only", "--json"])
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["faults"] == 1
    assert {"check", "result", "finding", "way_out"} == set(report["checks"][0])
