"""A model is pushed to the Hub, and a Hub that fails never ends the training; tested with a server."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from trl.trainer.sft_config import SFTConfig

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.running.push import HubPush
from tests.servers.hub import HubFault, HubProcess, running_hub

QUICK = (0.05, 0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running_hub(tmp_path_factory.mktemp("hub") / "data") as hub:
        yield hub


@pytest.fixture
def hub(server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubProcess]:
    """A Hub that this process is logged in to, without faults before and after."""
    server.faults()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_HUB_DISABLE_XET", True
    )  # its cache is the process's own
    monkeypatch.setenv("HF_TOKEN", server.token("ada"))
    yield server
    server.faults()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run: a model, a card, and files that are not pushed."""
    made = tmp_path / "stage1"
    (made / "checkpoint-5").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "README.md", "loss.png", "run.json", "bad_rows.jsonl"):
        (made / name).write_text(f"{tmp_path} {name}")
    for name in ("model.safetensors", "config.json", "optimizer.pt", "trainer_state.json", "rng_state.pth"):
        (made / "checkpoint-5" / name).write_text(f"{tmp_path} 5 {name}")
    return made


class Lines(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def push(folder: Path, name: str, lines: Lines, **settings: object) -> HubPush:
    training = SFTConfig(str(folder), bf16=False, hub_model_id=f"ada/{name}", **settings)
    return HubPush(training, folder, lines, waits=QUICK)


def files(name: str) -> set[str]:
    return {path for path in HfApi().list_repo_files(f"ada/{name}") if not path.startswith(".git")}


def test_the_model_and_its_card_are_pushed_and_other_files_are_not(hub: HubProcess, folder: Path) -> None:
    lines = Lines()
    made = push(folder, "whole", lines)
    made.open()
    made.finish()
    assert files("whole") == {"model.safetensors", "config.json", "README.md", "loss.png"}
    assert lines == []


def test_a_repository_is_named_after_the_folder_and_private_if_asked(hub: HubProcess, folder: Path) -> None:
    training = SFTConfig(str(folder), bf16=False, hub_private_repo=True)
    made = HubPush(training, folder, Lines(), waits=QUICK)
    made.open()
    assert made.repository == "ada/stage1"
    assert HfApi().model_info("ada/stage1").private


def test_a_push_is_retried_while_the_hub_fails(hub: HubProcess, folder: Path) -> None:
    lines = Lines()
    made = push(folder, "later", lines)
    hub.faults(HubFault("POST /api/models/ada/later/commit", "status", times=2, code=500))
    made.finish()
    assert "model.safetensors" in files("later")
    assert [line for line in lines if "retrying in 0.05 s" in line] == lines
    assert 1 <= len(lines) <= 2


def test_a_push_that_fails_for_good_is_reported_with_the_way_out(hub: HubProcess, folder: Path) -> None:
    lines = Lines()
    made = push(folder, "never", lines)
    hub.faults(HubFault("POST /api/models/ada/never/commit", "status", times=1000, code=500))
    with pytest.raises(
        LlavaMedError, match=f"the model is complete in .*: hf upload ada/never {folder}"
    ) as raised:
        made.finish()
    assert hub.token("ada") not in str(raised.value) + "".join(lines)
    assert len(lines) == len(QUICK)


def test_an_unreachable_hub_does_not_end_the_training(
    hub: HubProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    push(folder, "gone", lines).open()
    assert len(lines) == 1
    assert "could not be reached" in lines[0]
    assert "training continues" in lines[0]


def test_a_wrong_token_is_reported_but_not_shown(
    hub: HubProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    push(folder, "wrong", lines).open()
    assert "set HF_TOKEN" in lines[0]
    assert "hf_wrong" not in lines[0]


def test_a_checkpoint_is_pushed_in_the_background_without_the_training_state(
    hub: HubProcess, folder: Path
) -> None:
    made = push(folder, "every", Lines(), hub_strategy="every_save")
    made.open()
    made.checkpoint(folder / "checkpoint-5")
    made.finish()
    assert HfApi().list_repo_commits("ada/every")[1].title == "Training, checkpoint-5"
    assert not any("optimizer" in name for name in files("every"))


def test_a_checkpoint_of_trained_parameters_alone_does_not_replace_the_model(
    hub: HubProcess, folder: Path
) -> None:
    made = push(folder, "part", Lines(), hub_strategy="every_save")
    (folder / "checkpoint-5" / "model.safetensors").rename(folder / "checkpoint-5" / "trained.safetensors")
    made.checkpoint(folder / "checkpoint-5")
    made.finish()
    titles = [commit.title for commit in HfApi().list_repo_commits("ada/part")]
    assert titles[0] == "Model"
    assert len(titles) == 2  # made, and the model


@pytest.mark.parametrize(
    ("strategy", "place"), [("checkpoint", "last-checkpoint"), ("all_checkpoints", "checkpoint-5")]
)
def test_checkpoints_with_their_training_state_are_pushed_if_asked(
    hub: HubProcess, folder: Path, strategy: str, place: str
) -> None:
    made = push(folder, strategy.replace("_", "-"), Lines(), hub_strategy=strategy)
    made.checkpoint(folder / "checkpoint-5")
    made.finish()
    sent = files(strategy.replace("_", "-"))
    assert {f"{place}/optimizer.pt", f"{place}/rng_state.pth", "model.safetensors"} <= sent


def test_a_failure_in_the_background_is_reported_and_retried_at_the_end(
    hub: HubProcess, folder: Path
) -> None:
    lines = Lines()
    made = push(folder, "behind", lines, hub_strategy="every_save")
    made.open()
    hub.faults(HubFault("POST /api/models/ada/behind/preupload", "status", times=1000, code=403))
    made.checkpoint(folder / "checkpoint-5")
    assert made._running is not None
    made._running.exception()
    hub.faults()
    made.finish()
    assert len(lines) == 1
    assert "the Hub answered 403" in lines[0]
    assert "model.safetensors" in files("behind")
