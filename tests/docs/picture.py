"""Makes docs/images/dataset.png anew, from the page that `browse` writes: python -m tests.docs.picture"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.conftest import CHECKOUT
from tests.llavamed_data.show.hostile import CHROMIUM

PICTURE = CHECKOUT / "docs" / "images" / "dataset.png"
WIDTH, HEIGHT = 1240, 732


def main() -> None:
    """Builds the sample's 60k-im, shows it in a browser, and takes a picture of the first rows."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        for words in ("build 60k-im --quiet", "browse llava-med/60k-im --out page.html --limit 12"):
            subprocess.run([sys.executable, "-m", "llavamed_data", *words.split()], cwd=folder, check=True)
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(Path(folder, "page.html").as_uri())
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    # a palette is enough for grey images and text, and takes half the bytes
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(CHECKOUT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
