"""What a user may rely on: images are examined once, and again when what a check finds has changed."""

import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from llavamed_data.engine import LocalEngine
from llavamed_data.io.parquet import write_rows
from llavamed_data.pipeline.steps.image_store import CHECKS, ImageCheck, ImageStore
from llavamed_data.reasons import Drop, Reason


class Folder:
    """A source of the images in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        for name in locators:
            yield name, (self.folder / name).read_bytes()


def encoded(mode: str) -> bytes:
    file = io.BytesIO()
    image = Image.effect_noise((90, 70), 60)
    (image if mode == "L" else Image.new(mode, (90, 70), 40_000)).save(file, "PNG")
    return file.getvalue()


def checks(store: ImageStore) -> dict[str, str | None]:
    return {
        name: check.reason for name, check in store.check(["grey.png", "deep.png"], LocalEngine(1)).items()
    }


def test_checks_that_an_older_version_kept_are_made_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "grey.png").write_bytes(encoded("L"))
    (source / "deep.png").write_bytes(encoded("I;16"))
    store = ImageStore(tmp_path / "work", Folder(source))
    old = ImageCheck("deep.png", digest="0" * 32, bytes=len(encoded("I;16")), width=90, height=70, panels=1)
    store.path("deep.png").parent.mkdir(parents=True)
    store.path("deep.png").write_bytes(encoded("I;16"))
    write_rows(store.folder / "checks-0123456789abcdef.parquet", CHECKS, [asdict(old)])

    right = {"grey.png": None, "deep.png": Reason.IMAGE_TOO_DEEP.value}
    assert checks(store) == right
    (source / "grey.png").unlink()
    (source / "deep.png").unlink()
    assert checks(store) == right  # from the kept checks: the source is not asked again
