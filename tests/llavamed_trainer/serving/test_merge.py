"""`merge` writes a whole stock checkpoint of an adapter and its base, wherever the base lies, or nothing at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, GenerationConfig
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.collate import ConversationCollator
from llavamed_trainer.models import TEMPLATES
from llavamed_trainer.serving import check_model, merge_adapter
from tests.conftest import CHECKOUT
from tests.servers.hub import running_hub

from .conftest import Adapt, Row, load


def logits(model: Any, processor: Any, rows: list[Row]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**ConversationCollator(processor)(rows)).logits
    return found


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def state_base(adapter: Path, base: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))


@pytest.fixture
def adapter(whole_model: Path, tmp_path: Path, adapt: Adapt) -> Path:
    return adapt(whole_model, tmp_path / "lora")


def test_a_merged_model_has_the_logits_of_base_and_adapter(
    whole_model: Path, adapter: Path, tmp_path: Path, drawn_rows: list[Row]
) -> None:
    made = merge_adapter(str(adapter), tmp_path / "merged")
    merged, processor = load(made.folder)
    base, _ = load(whole_model)
    before = logits(base, processor, drawn_rows[:3])
    expected = logits(PeftModel.from_pretrained(base, adapter), processor, drawn_rows[:3])
    assert not torch.allclose(before, expected, atol=1e-2)
    assert torch.allclose(logits(merged, processor, drawn_rows[:3]), expected, atol=1e-4)
    assert files(made.folder) == files(whole_model)
    assert (made.adapters, made.base) == ((str(adapter),), str(whole_model))
    assert made.parameters == sum(each.numel() for each in merged.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_weight_keeps_its_data_type(
    whole_model: Path, tmp_path: Path, adapt: Adapt, dtype: torch.dtype, drawn_rows: list[Row]
) -> None:
    base = tmp_path / "base"
    shutil.copytree(whole_model, base)
    AutoModelForImageTextToText.from_pretrained(whole_model, dtype=dtype).save_pretrained(base)
    adapter = adapt(base, tmp_path / "lora", dtype=torch.float32)
    made = merge_adapter(str(adapter), tmp_path / "merged")
    merged, processor = load(made.folder)
    assert {each.dtype for each in merged.parameters()} == {dtype}
    assert made.dtype == str(dtype).removeprefix("torch.")
    exact = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32), adapter
    )
    found = logits(merged.float(), processor, drawn_rows[:2])
    expected = logits(exact, processor, drawn_rows[:2])
    assert torch.allclose(found, expected, atol=1e-4 if dtype is torch.float32 else 0.05)


def test_a_base_is_found_by_a_relative_path_also_from_elsewhere(
    whole_model: Path, tmp_path: Path, adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole_model, tmp_path / "models" / "base")
    monkeypatch.chdir(tmp_path)
    adapt(Path("models/base"), tmp_path / "runs" / "lora")
    assert merge_adapter("runs/lora", Path("merged")).base == "models/base"
    monkeypatch.chdir("/")
    made = merge_adapter(str(tmp_path / "runs" / "lora"), tmp_path / "again")
    assert Path(made.base) == tmp_path / "models" / "base"


def with_hub(code: str, tmp_path: Path, *words: Path) -> str:
    """The last line that code prints in a process for which a server of the tests is the Hub."""
    with running_hub(tmp_path / "hub") as hub:
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "0",
                **hub.environment("ada", tmp_path / "home"),
                "HF_HOME": str(tmp_path / "cache"),
            },
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_adapter_and_base_may_lie_on_the_hub(adapter: Path, whole_model: Path, tmp_path: Path) -> None:
    state_base(adapter, "ada/base")
    code = (
        "import json, sys; from pathlib import Path; from huggingface_hub import HfApi\n"
        "from llavamed_trainer.serving import check_model, merge_adapter\n"
        "base, adapter, out = sys.argv[1:]\n"
        "for name, folder in (('ada/base', base), ('ada/lora', adapter)):\n"
        "    HfApi().create_repo(name)\n"
        "    HfApi().upload_folder(repo_id=name, folder_path=folder)\n"
        "made = merge_adapter('ada/lora', Path(out))\n"
        "checked = check_model('ada/base', files_only=True)\n"
        "print(json.dumps([made.adapters, made.base, len(checked.faults), checked.servers[0].commands]))"
    )
    printed = json.loads(with_hub(code, tmp_path, whole_model, adapter, tmp_path / "merged"))
    served = ["vllm serve ada/base --served-model-name base"]
    assert printed == [["ada/lora"], "ada/base", 0, served]
    assert files(tmp_path / "merged") == files(whole_model)


def test_an_adapter_on_the_hub_is_used_with_its_own_processor(
    whole_model: Path, adapter: Path, tmp_path: Path
) -> None:
    _, processor = load(adapter)
    processor.chat_template = TEMPLATES["mistral"]
    processor.save_pretrained(adapter)
    state_base(adapter, "ada/base")
    code = (
        "import json, sys; from huggingface_hub import HfApi\n"
        "from llavamed_trainer.models import load_model\n"
        "base, adapter = sys.argv[1:]\n"
        "for name, folder in (('ada/base', base), ('ada/lora', adapter)):\n"
        "    HfApi().create_repo(name)\n"
        "    HfApi().upload_folder(repo_id=name, folder_path=folder)\n"
        "print(json.dumps([load_model(name)[1].chat_template for name in ('ada/lora', 'ada/base')]))"
    )
    own, of_base = json.loads(with_hub(code, tmp_path, whole_model, adapter))
    assert (own, of_base) == (TEMPLATES["mistral"], load(whole_model)[1].chat_template)


def test_an_adapter_that_was_trained_on_an_adapter_is_merged_with_it(
    whole_model: Path, adapter: Path, tmp_path: Path, adapt: Adapt, drawn_rows: list[Row]
) -> None:
    second = adapt(adapter, tmp_path / "second-lora", stated=str(adapter))
    made = merge_adapter(str(second), tmp_path / "merged")
    assert (made.adapters, made.base) == ((str(second), str(adapter)), str(whole_model))
    merged, processor = load(made.folder)
    below = PeftModel.from_pretrained(load(whole_model)[0], adapter).merge_and_unload()
    expected = logits(PeftModel.from_pretrained(below, second), processor, drawn_rows[:3])
    assert torch.allclose(logits(merged, processor, drawn_rows[:3]), expected, atol=1e-4)


def test_the_chat_template_is_the_adapters_and_its_end_token_stops(
    whole_model: Path, adapter: Path, tmp_path: Path
) -> None:
    _, processor = load(adapter)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "What"]})
    processor.chat_template = TEMPLATES["vicuna_v1"].replace("eos_token", "'What'")
    processor.save_pretrained(adapter)
    made = merge_adapter(str(adapter), tmp_path / "merged")
    merged = load(made.folder)[1]
    assert merged.chat_template == processor.chat_template
    end = merged.tokenizer.convert_tokens_to_ids("What")
    stops = GenerationConfig.from_pretrained(made.folder).eos_token_id
    assert stops == sorted([merged.tokenizer.eos_token_id, end])
    assert set(made.stops) == {"</s>", "What"}
    assert not check_model(str(made.folder)).faults


def test_an_adapter_without_a_processor_takes_that_of_its_base(
    whole_model: Path, adapter: Path, tmp_path: Path
) -> None:
    for path in adapter.iterdir():
        if not path.name.startswith("adapter_"):
            path.unlink()
    made = merge_adapter(str(adapter), tmp_path / "merged")
    assert files(made.folder) == files(whole_model)


def test_what_is_there_is_not_overwritten(adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="merged exists already: remove it, or name another folder"):
        merge_adapter(str(adapter), out)
    assert files(out) == {"notes.txt"}


def test_a_whole_model_is_refused(whole_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no LoRA adapter, it has no adapter_config.json"):
        merge_adapter(str(whole_model), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_adapter_whose_base_is_gone_or_another_model_says_so(
    adapter: Path, tiny_llava: Path, tmp_path: Path
) -> None:
    state_base(adapter, "/models/gone")
    with pytest.raises(UsageError, match="there is no checkpoint '/models/gone'"):
        merge_adapter(str(adapter), tmp_path / "merged")
    state_base(adapter, None)
    with pytest.raises(UsageError, match="does not state which model it was trained on"):
        merge_adapter(str(adapter), tmp_path / "merged")
    state_base(adapter, str(adapter))
    with pytest.raises(UsageError, match="states itself as the model that it was trained on"):
        merge_adapter(str(adapter), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_damaged_adapter_is_named(adapter: Path, tmp_path: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match="the adapter .* cannot be merged into .*: it is damaged"):
        merge_adapter(str(adapter), tmp_path / "merged")


def test_a_model_that_cannot_be_written_leaves_nothing(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LlavaMedError):
        merge_adapter(str(adapter), tmp_path / "file" / "merged")
    assert not list(tmp_path.glob("**/.*.part"))


def test_a_merge_that_is_killed_while_it_writes_leaves_no_model(adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    code = (
        "import os, signal, sys; from pathlib import Path; from transformers import ProcessorMixin\n"
        "from llavamed_trainer.serving import merge_adapter\n"
        # the weights are written by then, and the files of the processor are not
        "ProcessorMixin.save_pretrained = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "merge_adapter(sys.argv[1], Path(sys.argv[2]))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, adapter, out], cwd=CHECKOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    made = merge_adapter(str(adapter), out)
    assert not check_model(str(made.folder)).faults
    assert not list(tmp_path.glob(".*.part"))


def test_the_command_says_what_was_merged(adapter: Path, whole_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    done = CliRunner().invoke(app, ["merge", str(adapter), str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{adapter} merged into {whole_model}",
        f"{out}: 288,960 parameters in float32, stops at </s>",
        f"check it: python -m llavamed_trainer check {out}",
    ]
    done = CliRunner().invoke(app, ["merge", str(adapter), str(tmp_path / "again"), "--json"])
    stated = json.loads(done.stdout)
    assert stated["folder"] == str(tmp_path / "again")
    assert (stated["adapters"], stated["base"]) == ([str(adapter)], str(whole_model))
