"""Does a JPEG or PNG file reach its own end? Read from its structure, without decoding.

Pillow pads what is missing when somebody sets `ImageFile.LOAD_TRUNCATED_IMAGES`, and libjpeg by itself forgives a
lost end marker; a file is judged here whatever those settings are.
"""

import re

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length: TEM, RST0-7, SOI
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)  # inside a scan: stuffed FF00 and restarts


def jpeg_is_whole(data: bytes) -> bool:
    """True if the markers lead from the first to the end-of-image marker with at least one scan between."""
    position, scans = 2, 0
    while (marker := _AFTER_SCAN.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == _JPEG_END:
            return scans > 0
        if code in _JPEG_ALONE:
            continue
        if position + 2 > len(data):
            return False
        position += int.from_bytes(data[position : position + 2], "big")
        scans += code == _JPEG_SCAN
    return False


def png_is_whole(data: bytes) -> bool:
    """True if the chunks lead to a whole `IEND`."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position <= len(data)
    return False
