"""Processors, rows and files that the collator's tests share."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor, LlavaProcessor

Row = dict[str, Any]


@pytest.fixture(scope="session")
def processor(tiny_llava: Path) -> LlavaProcessor:
    """16 tokens an image of 56 × 56 pixels; the Vicuna v1 template."""
    return AutoProcessor.from_pretrained(tiny_llava)


def user(*parts: str | None) -> dict[str, Any]:
    """A user turn; None is its image."""
    content = [{"type": "image"} if part is None else {"type": "text", "text": part} for part in parts]
    return {"role": "user", "content": content}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def picture(width: int = 80, height: int = 60, seed: int = 0) -> Image.Image:
    """Smooth, coloured, and no two seeds alike."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def row(data: bytes | None = None, **other: Any) -> Row:
    """A sound row, but for what is given."""
    sound = {
        "id": "r1",
        "images": [{"bytes": data if data is not None else encoded(picture()), "path": None}],
        "messages": [user(None, "What is it?"), assistant("A cyst.")],
    }
    return {**sound, **other}
