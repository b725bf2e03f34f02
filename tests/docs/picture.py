"""Makes docs/images/review.png anew, from the page that `review` serves: python -m tests.docs.picture"""

import io
import tempfile
from pathlib import Path

from PIL import Image

import llavamed_data
from llavamed_data.review.flags import Flag
from llavamed_data.review.page import serve_review
from llavamed_data.review.session import ReviewSet
from tests.conftest import CHECKOUT
from tests.llavamed_data.show.hostile import browser

PICTURE = CHECKOUT / "docs" / "images" / "review.png"
WIDTH, HEIGHT = 1240, 900
FLAG = Flag("99000010_f1", 5, "judge", "reject", "“of 5 cm” cannot be seen in the image")


def main() -> None:
    """Builds the sample's 60k-im, opens its review in a browser, and takes a picture of the first row."""
    with tempfile.TemporaryDirectory() as folder:
        built = llavamed_data.build("60k-im", out=Path(folder, "llava-med"), work=Path(folder, "work"))
        review = ReviewSet(
            str(built.datasets[0].folder), Path(folder, "decisions.jsonl"), flags={FLAG.id: [FLAG]}
        )
        server = serve_review(review, "anna")
        with browser(viewport={"width": WIDTH, "height": HEIGHT}) as watched:
            watched.page.goto(server.address)
            watched.page.locator(".review-row img").wait_for()
            shot = Image.open(io.BytesIO(watched.page.screenshot()))
        server.close()
    # a palette is enough for grey images and text, and takes half the bytes
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(CHECKOUT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
