"""The scripts in `examples/`: each is run as its docstring says, and what it prints and makes is checked."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from huggingface_hub import HfApi
from PIL import Image, ImageChops
from safetensors.torch import load_file

from tests.conftest import CHECKOUT, EXAMPLES
from tests.docs.blocks import blocks
from tests.examples.conftest import RunExample, commands, docstring, run_python
from tests.servers.hub import running_hub
from tests.servers.openai import KEY, running

SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def tiny_command(name: str) -> str:
    """The command of a script's docstring that trains the tiny model."""
    [command] = [each for each in commands(name) if f"{name} --model_name_or_path models/tiny" in each]
    return command


def texts(folder: Path) -> list[list[str]]:
    """The turns of each conversation of a built dataset."""
    rows = load_dataset(str(folder), split="train")
    return [[turn["content"][-1]["text"] for turn in row["messages"]] for row in rows]


def test_the_build_prints_every_step_and_the_first_conversation(
    run_example: RunExample, tmp_path: Path
) -> None:
    printed = run_example("python examples/build_dataset.py")
    steps = re.findall(r"(?m)^(\w+) +(\w+) +(\d+) +(\d+)  (.+)$", printed)
    assert [(name, unit, int(entered), int(kept)) for name, unit, entered, kept, _ in steps] == [
        ("extract", "articles", 28, 25),
        ("extract", "figures", 64, 62),
        ("select", "figures", 62, 42),
        ("acquire", "figures", 42, 38),
        ("converse", "figures", 38, 38),
        ("assemble", "rows", 38, 38),
    ]
    for _, _, entered, kept, dropped in steps:
        assert int(entered) - int(kept) == sum(map(int, re.findall(r"\d+", dropped)))
    rows = load_dataset(str(tmp_path / "llava-med" / "60k-im"), split="train")
    counted = dict(re.findall(r"(?m)^  (\w+) +(\d+)$", printed))
    assert {domain: int(count) for domain, count in counted.items()} == Counter(rows["domain"])
    assert all(f": {turn['content'][-1]['text']}\n" in printed for turn in rows[0]["messages"])
    with Image.open(tmp_path / "figure.png") as saved:
        assert ImageChops.difference(saved, rows[0]["images"][0]).getbbox() is None


def test_the_own_recipe_draws_ct_and_mri_once_an_article_and_its_rules_clean_them(
    run_example: RunExample, tmp_path: Path
) -> None:
    printed = run_example("python examples/own_recipe.py")
    before, after = re.search(r"arrow_in_brackets\n  - (.+)\n  \+ (.+)\n", printed).groups()
    assert before == "A mass of 5 cm (white arrow) is seen."
    assert after == "A mass of 5 cm is seen."
    assert (
        "disease_stage\n  - The findings suggested stage IIB disease.\n  + (the round is dropped)" in printed
    )
    assert "llava-med/ct-and-mri: 10 rows (6 mri, 4 ct_scan)" in printed
    assert "validated: no fault" in printed
    rows = load_dataset(str(tmp_path / "llava-med" / "ct-and-mri"), split="train")
    assert Counter(rows["domain"]) == {"mri": 6, "ct_scan": 4}
    assert len(set(rows["pmcid"])) == 10
    said = "\n".join(text for turns in texts(tmp_path / "llava-med" / "ct-and-mri") for text in turns)
    assert not re.search(r"\([^)]*arrow[^)]*\)|\bstage [IV]+", said)


def test_a_model_on_a_server_writes_the_conversations_of_the_own_recipe(
    run_example: RunExample, tmp_path: Path
) -> None:
    with running() as server:
        printed = run_example(
            "python examples/own_recipe.py --model gpt-4o", OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY
        )
    assert re.search(r"(?m)^ct-and-mri: \d+ answers of gpt-4o for \$0\.\d+, 0 from the journal(,|$)", printed)
    rows = load_dataset(str(tmp_path / "llava-med" / "ct-and-mri"), split="train")
    assert rows.num_rows == 10
    assert all(each["model"].startswith("gpt-4o") for each in rows["provenance"])


@pytest.mark.slow
def test_a_dry_run_sends_nothing_and_publishing_makes_a_version_that_loads(
    run_example: RunExample, newcomer: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_hub(tmp_path_factory.mktemp("hub")) as hub:
        login = {
            key: hub.environment("ada", newcomer / "home")[key]
            for key in ("HF_ENDPOINT", "HF_HOME", "HF_TOKEN")
        }
        printed = run_example("python examples/publish_dataset.py med-lab/60k-im", "--dry-run", **login)
        assert printed.endswith("a dry run: nothing was sent\n")
        assert not HfApi(hub.address, token=login["HF_TOKEN"]).repo_exists(
            "med-lab/60k-im", repo_type="dataset"
        )
        printed = run_example("python examples/publish_dataset.py med-lab/60k-im", **login)
        files = re.findall(r"(?m)^new +([\d,]+) bytes  (.+)$", printed)
        local = newcomer / "llava-med" / "60k-im"
        assert {name for _, name in files} == {
            path.relative_to(local).as_posix()
            for path in local.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        assert re.search(r"commit [0-9a-f]{40}, tagged v1\.0", printed)
        question = texts(local)[0][0]
        assert printed.endswith(f"first row on the Hub: 99000010_f1, (368, 404), {question}\n")
        again = run_example("python examples/publish_dataset.py med-lab/60k-im", **login)
        assert re.findall(r"(?m)^(\w+) +[\d,]+ bytes", again) == ["same"] * len(files)


def test_the_recipe_trains_adapters_and_the_model_answers(call_example: RunExample, newcomer: Path) -> None:
    printed = call_example(
        "python examples/train_with_recipe.py",
        *("--model_name_or_path", "models/tiny", "--max_steps", "4", "--learning_rate", "1e-2"),
        *("--global_batch_size", "4", "--per_device_train_batch_size", "4", "--logging_steps", "1"),
    )
    first, last = map(
        float, re.search(r"(?m)^loss ([\d.]+) → ([\d.]+)\nrows not used: none$", printed).groups()
    )
    assert last < first
    names = load_file(newcomer / "runs" / "from-python" / "adapter_model.safetensors")
    assert any("language_model" in name and "lora_A" in name for name in names)
    question, right_answer = texts(newcomer / "llava-med" / "60k-im")[0][:2]
    assert f"{question}\n  in the dataset: {right_answer}\n  the model:      " in printed


def test_the_benchmark_asks_two_questions_about_each_figure_and_all_are_scored(
    call_example: RunExample, newcomer: Path
) -> None:
    printed = call_example("python examples/evaluate.py --model models/tiny")
    assert "76 of 76 questions answered, in predictions/small-vqa-tiny.jsonl\n" in printed
    rows = load_dataset(str(newcomer / "small-vqa"), split="test")
    assert Counter(rows["answer_type"]) == {"OPEN": 38, "CLOSED": 38}
    asked = {row["id"]: [turn["content"][-1]["text"] for turn in row["messages"]] for row in rows}
    assert Counter(answer for _, answer in asked.values() if answer in ("yes", "no")) == {"yes": 19, "no": 19}
    assert asked["99000010_f1-open"] == ["What kind of image is this?", "X-ray"]
    assert asked["99000010_f1-closed"] == ["Is this an MRI?", "no"]
    lines = (newcomer / "predictions" / "small-vqa-tiny.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {each["id"]: each["answer"] for each in map(json.loads, lines)}
    assert answers.keys() == asked.keys()
    right = [
        asked[name][1] in re.findall(r"\b(?:yes|no)\b", answer.lower())[:1]
        for name, answer in answers.items()
    ]
    accuracy = 100 * sum(right) / 38
    assert re.search(rf"CLOSED word accuracy +{accuracy:.2f} %  \(.+, 38 answers\)", printed)


@pytest.mark.slow
def test_a_model_that_has_learnt_the_sample_by_heart_knows_its_images(
    run_example: RunExample, newcomer: Path
) -> None:
    printed = run_example(tiny_command("train_with_recipe.py"))
    first, last = map(float, re.search(r"(?m)^loss ([\d.]+) → ([\d.]+)$", printed).groups())
    assert last < first / 3
    printed = run_example("python examples/evaluate.py", "--model", "runs/from-python")
    recall = float(re.search(r"OPEN +recall +([\d.]+) %", printed)[1])
    assert recall > 50, "a model that has not learnt any of the five kinds of image gets 20"


@pytest.mark.slow
def test_a_run_too_short_to_log_a_loss_ends_with_an_answer_too(
    run_example: RunExample, newcomer: Path
) -> None:
    batch = ("--global_batch_size", "4", "--per_device_train_batch_size", "4")
    printed = run_example(
        "python examples/train_with_recipe.py",
        *("--model_name_or_path", "models/tiny", "--max_steps", "1", *batch),
    )
    assert "\nrows not used: none\n" in printed
    assert "\n  the model:      " in printed


@pytest.mark.slow
def test_the_trainer_of_trl_trains_the_tiny_model_as_the_docstring_says(
    run_example: RunExample, newcomer: Path
) -> None:
    run_example(tiny_command("sft_llavamed.py"))
    [state] = (newcomer / "runs" / "sft").glob("checkpoint-15/trainer_state.json")
    losses = [entry["loss"] for entry in json.loads(state.read_text())["log_history"] if "loss" in entry]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)


@pytest.mark.slow
def test_vqa_rad_is_built_and_all_its_test_questions_are_scored(
    run_example: RunExample, newcomer: Path, shared_data: Path
) -> None:
    printed = run_example(
        "python examples/evaluate.py", "--model", "models/tiny", "--vqa-rad", shared_data / "vqa_rad"
    )
    assert "451 of 451 questions answered" in printed
    # Table 8 of the paper
    assert len(re.findall(r"(?m)^OPEN .*, 179 answers\)$", printed)) == 6
    assert len(re.findall(r"(?m)^CLOSED .*, 272 answers\)$", printed)) == 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_docstring_says_how_to_run_the_script_and_the_readme_what_it_shows(name: str) -> None:
    assert f"examples/{name}" in docstring(name)
    assert f"[{name}]({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_guide_shows_the_recipe_of_the_example() -> None:
    recipe = yaml.safe_load((EXAMPLES / "ct_and_mri.yaml").read_text(encoding="utf-8"))
    guide = CHECKOUT / "docs" / "build.md"
    assert recipe in [yaml.safe_load(block.text) for block in blocks(guide) if block.language == "yaml"]


def test_the_command_in_the_docstring_builds_what_the_script_builds(
    run_example: RunExample, tmp_path: Path
) -> None:
    run_example("python examples/own_recipe.py")
    [command] = [each for each in commands("own_recipe.py") if "llavamed_data" in each]
    words = command.replace("examples/", f"{EXAMPLES}/").split()[1:]
    run_python(tmp_path, *words, "--out", "by-command", "--quiet")
    built, again = (next((tmp_path / out).rglob("*.parquet")) for out in ("llava-med", "by-command"))
    assert built.read_bytes() == again.read_bytes()


def test_the_plan_calculates_the_memory_that_the_docstring_of_the_training_script_states(
    newcomer: Path,
) -> None:
    [plan] = [each for each in commands("train_with_recipe.py") if "llavamed_trainer plan" in each]
    printed = run_python(newcomer, *plan.split()[1:])
    stated = int(re.search(r"(\d+) GB on one GPU", docstring("train_with_recipe.py"))[1])
    assert round(float(re.search(r"memory per GPU +│ ([\d.]+) GB", printed)[1])) == stated
