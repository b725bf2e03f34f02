"""The first token on the chat page against the model's own: what the page adds to the wait.

Run: `python -m tests.benchmarks.bench_chat [--rounds 20]`.
For the model's own, the time from the question to the first piece of the answer is taken in Python. The same is taken
of what the page's server sends to a client that asks as a browser does; and in headless Chromium on the same cores,
from the key Enter to the first text of the answer that is drawn. One model is a tiny LLaVA with random weights in the
process of the page, the other is behind a server on this machine that takes 0.3 s to begin, as larger models may.
"""

import argparse
import io
import json
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image

from llavamed_trainer.chat import AnswerSettings, Assistant, ChatImage, LocalAssistant, ServerAssistant
from llavamed_trainer.chat.page import serve_chat
from tests.llavamed_data.show.hostile import browser
from tests.llavamed_trainer.tiny_models import write_tiny_model
from tests.servers.openai import KEY, Settings, running

QUESTION = "What does the image show?"
SETTINGS = AnswerSettings(max_new_tokens=8)
WARM_UP = 2

_WATCH_FIRST_TEXT = """() => {
  window.firstText = new Promise((found) => {
    let asked;
    const enter = (event) => { if (event.key === 'Enter') asked = performance.now(); };
    document.addEventListener('keydown', enter, true);
    const look = () => {
      const text = document.querySelector('#answers-0 .answered > p');
      if (asked && text && text.textContent.trim()) {
        document.removeEventListener('keydown', enter, true);
        found(performance.now() - asked);
      } else requestAnimationFrame(look);
    };
    look();
  });
}"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OPENAI_API_KEY"] = KEY
    file = io.BytesIO()
    Image.effect_noise((400, 300), 60).convert("RGB").save(file, "JPEG")
    image = ChatImage("noise.jpg", file.getvalue())
    with tempfile.TemporaryDirectory() as folder, running(Settings(latency=0.3)) as server:
        tiny = LocalAssistant(str(write_tiny_model("llava", Path(folder), [QUESTION])))
        for name, assistant in (("a tiny LLaVA", tiny), ("a server", ServerAssistant("judge", server.url))):
            compare(name, assistant, image, args.rounds)


def compare(name: str, assistant: Assistant, image: ChatImage, rounds: int) -> None:
    """Measures one model in turn with the page, and prints the medians in milliseconds."""
    server = serve_chat([assistant], image, SETTINGS)
    times: dict[str, list[float]] = {"the model's own": [], "sent by the page": [], "drawn in a browser": []}
    with (
        browser(viewport={"width": 1280, "height": 900}) as watched,
        httpx.Client(base_url=server.address, timeout=60) as client,
    ):
        watched.page.goto(server.address)
        watched.page.locator("#question textarea").wait_for()
        ask = next(
            each["id"]
            for each in client.get("config").json()["dependencies"]
            if each["backend_fn"] and len(each["inputs"]) == 4
        )
        for _ in range(rounds + WARM_UP):
            times["the model's own"].append(alone(assistant, image))
            times["sent by the page"].append(sent(client, ask))
            times["drawn in a browser"].append(drawn(watched.page))
    server.close()
    medians = {way: statistics.median(each[WARM_UP:]) for way, each in times.items()}
    own = medians["the model's own"]
    print(f"{name}: first token, median of {rounds}")
    for way, median in medians.items():
        print(f"  {way:20} {median:7.1f} ms" + ("" if median == own else f"  (+{median - own:.1f} ms)"))


def alone(assistant: Assistant, image: ChatImage) -> float:
    begun = time.perf_counter()
    pieces = iter(assistant.answer(image, [], QUESTION, SETTINGS))
    next(pieces, None)
    first = time.perf_counter() - begun
    for _ in pieces:
        pass
    return first * 1000


def sent(client: httpx.Client, ask: int) -> float:
    """Until the second state of the page is sent; the first one shows the question alone."""
    tab, states, first = uuid.uuid4().hex, 0, 0.0
    begun = time.perf_counter()
    asked = {"data": [None, QUESTION, 0, SETTINGS.max_new_tokens], "fn_index": ask, "session_hash": tab}
    client.post("gradio_api/queue/join", json=asked).raise_for_status()
    with client.stream("GET", "gradio_api/queue/data", params={"session_hash": tab}) as events:
        for line in events.iter_lines():
            message = json.loads(line[5:])["msg"] if line.startswith("data:") else ""
            states += message == "process_generating"
            if states == 2 and not first:
                first = time.perf_counter() - begun
            if message == "process_completed":
                break
    return first * 1000


def drawn(page: Any) -> float:
    page.locator("#question textarea").fill(QUESTION)
    page.evaluate(_WATCH_FIRST_TEXT)
    page.locator("#question textarea").focus()
    page.keyboard.press("Enter")
    took: float = page.evaluate("window.firstText")
    page.locator("#answers-0 .copy").wait_for()
    page.locator("#new").click()
    page.locator("#answers-0 .answered").wait_for(state="detached")
    return took


if __name__ == "__main__":
    main()
