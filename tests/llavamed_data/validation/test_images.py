"""Which images a dataset may hold."""

import io

import pytest
from PIL import Image

from llavamed_data import figures
from llavamed_data.validation.images import FORMATS, image_fault


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 150), 60).convert(mode).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_whole_image_decodes_and_a_cut_one_does_not(form: str) -> None:
    data = encoded(form)
    assert image_fault(data) is None
    assert image_fault(data[: len(data) * 3 // 4]) is not None


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_of_any_sort_does_not_decode(mode: str, progressive: bool) -> None:
    data = encoded("JPEG", mode, progressive=progressive)
    assert image_fault(data) is None
    assert "truncated" in str(image_fault(data[:-300]))


def test_a_jpeg_of_several_pictures_decodes() -> None:
    second = Image.effect_noise((200, 150), 60)
    assert image_fault(encoded("MPO", save_all=True, append_images=[second])) is None


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x00" * 1000, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"])
def test_what_is_no_image_does_not_decode(data: bytes) -> None:
    assert image_fault(data) is not None


@pytest.mark.parametrize(("form", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I"), ("TIFF", "F")])
def test_an_image_that_comes_out_white_in_rgb_is_a_fault(form: str, mode: str) -> None:
    """`load_dataset` decodes it, and whoever trains on it converts it to RGB: 65,535 becomes 255, and so does 256."""
    file = io.BytesIO()
    Image.new(mode, (200, 150), 1000).save(file, form)
    assert Image.open(file).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert "over 8 bits a channel" in str(image_fault(file.getvalue()))


def test_every_format_that_a_build_may_publish_is_valid() -> None:
    assert set(figures.FORMATS) <= set(FORMATS)
