"""What a user may rely on: a sound image is whole, bounded and what its bytes say, and its bytes are not touched."""

import contextlib
import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from llavamed_data.figures import FORMATS, ImageLimits, inspect_image
from llavamed_data.reasons import Drop, Reason
from llavamed_data.validation.images import image_fault


def _picture(mode: str = "RGB", size: tuple[int, int] = (90, 70)) -> Image.Image:
    noise = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    if mode in ("I", "F"):
        return Image.fromarray(noise[..., 0].astype(np.int32 if mode == "I" else np.float32) * 257)
    return Image.fromarray(noise).convert(mode)


def _encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    _picture(mode).save(file, form, **options)
    return file.getvalue()


def _reason(data: bytes, limits: ImageLimits | None = None) -> Reason:
    with pytest.raises(Drop) as caught:
        inspect_image(data, limits or ImageLimits())
    return caught.value.reason


JPEG = _encoded("JPEG", quality=80)
PROGRESSIVE = _encoded("JPEG", quality=80, progressive=True)
PNG = _encoded("PNG")


@pytest.mark.parametrize(
    ("form", "mode"),
    [(form, "RGB") for form in FORMATS]
    + [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("PNG", "1"),
        ("TIFF", "CMYK"),
    ]
    + [("GIF", "P"), ("TIFF", "L"), ("BMP", "L"), ("WEBP", "RGBA")],
)
def test_every_allowed_format_passes_in_every_mode(form: str, mode: str) -> None:
    data = _encoded(form, mode)
    sound = inspect_image(data)
    assert (sound.format, sound.width, sound.height) == (form, 90, 70)
    assert sound.image.getpixel((89, 69)) is not None


@pytest.mark.parametrize(("form", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I"), ("TIFF", "F")])
def test_an_image_of_more_than_8_bits_is_dropped_because_it_comes_out_white_in_rgb(
    form: str, mode: str
) -> None:
    data = _encoded(form, mode)
    assert _reason(data) is Reason.IMAGE_TOO_DEEP


def _with_exif(form: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Software] = "written by a test"
    return _encoded(form, exif=exif)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (90, 70)), (3, (90, 70)), (6, (70, 90)), (8, (70, 90))]
)
def test_an_image_is_turned_as_its_metadata_asks(form: str, orientation: int, size: tuple[int, int]) -> None:
    data = _with_exif(form, orientation)
    sound = inspect_image(data)
    assert (sound.width, sound.height) == sound.image.size == size
    assert sound.image.tobytes() == _decoded_by_datasets(data).tobytes()


def _decoded_by_datasets(data: bytes) -> Image.Image:
    return datasets.Image().decode_example({"bytes": data, "path": None})


def _metadata_damaged_at(data: bytes) -> Iterator[bytes]:
    """The file with each byte of its EXIF block replaced by others; the pixels stay whole."""
    start = data.index(b"MM\x00*" if b"MM\x00*" in data else b"II*\x00")
    for place in range(start, data.index(b"written by a test")):
        for value in (0x00, 0x7F, 0xFF):
            damaged = bytearray(data)
            damaged[place] = value
            if data.startswith(b"\x89PNG"):  # the chunk says its checksum
                length = struct.unpack(">I", data[start - 8 : start - 4])[0]
                body = bytes(damaged[start - 4 : start + length])
                damaged[start + length : start + length + 4] = struct.pack(">I", zlib.crc32(body))
            yield bytes(damaged)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_is_sound_exactly_where_datasets_decodes_it_metadata_included(form: str) -> None:
    failed = 0
    for data in _metadata_damaged_at(_with_exif(form, 6)):
        try:
            _decoded_by_datasets(data)
        except Exception:  # whatever Pillow raises on damaged metadata
            failed += 1
            assert _reason(data) is Reason.IMAGE_UNREADABLE
            assert image_fault(data) is not None
        else:
            assert inspect_image(data).format == form
            assert image_fault(data) is None
    assert failed > 0


def test_a_progressive_jpeg_and_one_with_a_thumbnail_pass() -> None:
    exif = b"Exif\x00\x00" + JPEG  # a whole JPEG, end marker and all, inside an APP1 segment
    nested = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]
    assert len(exif) < 65_000
    assert inspect_image(PROGRESSIVE).format == "JPEG"
    assert inspect_image(nested).format == "JPEG"
    assert _reason(nested[: len(exif) + 40]) is Reason.IMAGE_TRUNCATED


def test_the_first_frame_of_an_animation_counts() -> None:
    file = io.BytesIO()
    frames = [_picture("P"), _picture("P").rotate(90)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert inspect_image(file.getvalue()).image.n_frames == 2


def test_no_bytes_are_an_empty_file_and_noise_is_unreadable() -> None:
    assert _reason(b"") is Reason.IMAGE_EMPTY
    assert _reason(b"\x00" * 500) is Reason.IMAGE_UNREADABLE
    assert _reason(b"GIF89a and then nothing of the kind") is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n...",
        b"<!DOCTYPE html><html></html>",
        b"\n <svg xmlns='x'/>",
        b"%!PS-Adobe-3.0",
        b"PK\x03\x04....",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        b"\x00\x00\x00\x18ftypheic",
    ],
)
def test_files_of_other_known_formats_are_not_allowed(data: bytes) -> None:
    assert _reason(data) is Reason.IMAGE_NOT_ALLOWED


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" * 10**6)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "bomb", [_png_header(100_000, 100_000), _png_header(11_000, 11_000), _png_header(9_000, 9_000)]
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    assert _reason(bomb) is Reason.IMAGE_TOO_LARGE


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_too_large_also_where_warnings_are_errors() -> None:
    assert _reason(_png_header(11_000, 11_000)) is Reason.IMAGE_TOO_LARGE


def test_limits_hold_at_their_edge() -> None:
    assert inspect_image(PNG, ImageLimits(bytes=len(PNG), pixels=90 * 70, side=70)).width == 90
    assert _reason(PNG, ImageLimits(bytes=len(PNG) - 1)) is Reason.IMAGE_TOO_LARGE
    assert _reason(PNG, ImageLimits(pixels=90 * 70 - 1)) is Reason.IMAGE_TOO_LARGE
    assert _reason(PNG, ImageLimits(side=71)) is Reason.IMAGE_TOO_SMALL


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["jpeg", "progressive", "png"])
def test_no_cut_file_is_sound_wherever_it_is_cut(data: bytes) -> None:
    cuts = sorted({*range(1, len(data), 13), *range(len(data) - 40, len(data))})
    reasons = {_reason(data[:cut]) for cut in cuts}
    assert reasons <= {Reason.IMAGE_TRUNCATED, Reason.IMAGE_UNREADABLE}
    assert {_reason(data[:cut]) for cut in cuts if cut > 8} == {Reason.IMAGE_TRUNCATED}


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "BMP"])
def test_other_formats_cut_in_half_are_never_sound(form: str) -> None:
    data = _encoded(form)
    assert _reason(data[: len(data) // 2]) in {Reason.IMAGE_TRUNCATED, Reason.IMAGE_UNREADABLE}


@given(st.data())
@settings(deadline=None)
def test_damaged_bytes_are_sound_or_dropped_and_raise_no_other_exception(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from([JPEG, PROGRESSIVE, PNG, _encoded("GIF"), _encoded("TIFF"), _encoded("WEBP")])
    )
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Drop):
        sound = inspect_image(bytes(damaged), ImageLimits(pixels=10**6))
        assert sound.width * sound.height <= 10**6


def test_a_truncated_jpeg_is_found_even_if_pillow_is_set_to_pad_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert _reason(JPEG[:-500]) is Reason.IMAGE_TRUNCATED
    assert _reason(PNG[:-500]) is Reason.IMAGE_TRUNCATED


def test_the_settings_of_pillow_are_not_changed() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    inspect_image(JPEG)
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


def test_the_released_images_that_users_found_empty_or_cut_are_dropped(shared_data: Path) -> None:
    def verdict(path: Path) -> str:
        try:
            return inspect_image(path.read_bytes()).format
        except Drop as drop:
            return drop.reason.value

    verdicts = Counter(verdict(path) for path in (shared_data / "llava_med_eval" / "images").iterdir())
    assert verdicts == {"JPEG": 29, "image empty": 19, "image truncated": 2}
