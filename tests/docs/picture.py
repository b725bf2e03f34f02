"""Makes docs/images/review.png and chat.png anew, from the pages that are served: python -m tests.docs.picture"""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from datasets import load_dataset
from PIL import Image
from rich.console import Console

import llavamed_data
from llavamed_data.pages import PageServer
from llavamed_data.review.flags import Flag
from llavamed_data.review.page import serve_review
from llavamed_data.review.review_set import ReviewSet
from llavamed_trainer import assemble_tiny, parse_settings, run_training
from llavamed_trainer.chat import LocalAssistant
from llavamed_trainer.chat.examples import examples_of
from llavamed_trainer.chat.page import serve_chat
from tests.conftest import CHECKOUT
from tests.llavamed_data.show.hostile import browser

PICTURES = CHECKOUT / "docs" / "images"
WIDTH, HEIGHT = 1240, 980
FLAG = Flag("99000010_f1", 5, "judge", "reject", "“of 5 cm” cannot be seen in the image")


def main() -> None:
    """Builds the sample's 60k-im, trains a tiny model on it, and takes a picture of both pages."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        dataset = str(llavamed_data.build("60k-im").datasets[0].folder)
        take("review.png", serve_review(review_of(dataset), "anna"), lambda page: None)
        models = [LocalAssistant(trained(epochs)) for epochs in (20, 5)]
        take("chat.png", serve_chat(models, examples=examples_of(dataset)), ask)


def review_of(dataset: str) -> ReviewSet:
    """A dataset under review, with a flag on its first row."""
    return ReviewSet(dataset, Path("decisions.jsonl"), flags={FLAG.id: [FLAG]})


def trained(epochs: int) -> str:
    """A tiny model that was trained on all rows, so often."""
    rows = load_dataset("llava-med/60k-im", split="train")
    assemble_tiny(
        Path("models/tiny"), [part["content"][-1]["text"] for row in rows for part in row["messages"]]
    )
    settings = [
        *("--config", "stage2-60k-im", "--model_name_or_path", "models/tiny", "--learning_rate", "1e-2"),
        *(
            "--num_train_epochs",
            str(epochs),
            "--global_batch_size",
            "4",
            "--per_device_train_batch_size",
            "4",
        ),
        *("--output_dir", f"runs/{epochs}-epochs"),
    ]
    run_training(parse_settings(settings), console=Console(quiet=True))
    return f"runs/{epochs}-epochs"


def ask(page: Any) -> None:
    """Chooses the first image and asks what the dataset asks about it."""
    page.locator("#examples button").first.click()
    page.locator("#questions button").first.wait_for()
    for number in range(2):
        page.locator("#questions button").nth(number).click()
        page.wait_for_function("document.querySelector('#question textarea').value !== ''")
        page.locator("#ask").click()
        for box in (0, 1):
            page.locator(f"#answers-{box} .copy").nth(number).wait_for()
    page.mouse.move(0, 0)


def take(name: str, server: PageServer, act: Any) -> None:
    """Takes a picture of the page after something was done on it, and stops serving it."""
    with browser(viewport={"width": WIDTH, "height": HEIGHT}) as watched:
        watched.page.goto(server.address)
        watched.page.locator("img").first.wait_for()
        act(watched.page)
        watched.page.wait_for_function("document.querySelector('.review-row img, #picture img').naturalWidth")
        watched.page.evaluate("window.scrollTo(0, 0)")
        watched.page.wait_for_timeout(500)
        shot = Image.open(io.BytesIO(watched.page.screenshot()))
    server.close()
    # a palette is enough for grey images and text, and takes half the bytes
    path = PICTURES / name
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(CHECKOUT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
