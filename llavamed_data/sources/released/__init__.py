"""The LLaVA-Med files as the paper's authors released them, read as streams and not trusted.

`ReleasedFiles` finds a recipe's file, `RowFile` reads its conversations, `read_captions` the
input of generation, `read_image_urls` the list of image addresses, and `identify` tells whether a copy is the released
one. `ImageFolder` reads images that lie in a folder. The files are under CC BY-NC 4.0.
"""

from llavamed_data.sources.images import ImageFolder
from llavamed_data.sources.released.captions import CaptionRecord, read_captions
from llavamed_data.sources.released.fields import detokenise
from llavamed_data.sources.released.files import Identity, ReleasedFiles, identify, released_eval_pmids
from llavamed_data.sources.released.image_urls import PmcFiles, read_image_urls
from llavamed_data.sources.released.rows import ReleasedRow, RowFile

__all__ = [
    "CaptionRecord",
    "Identity",
    "ImageFolder",
    "PmcFiles",
    "ReleasedFiles",
    "ReleasedRow",
    "RowFile",
    "detokenise",
    "identify",
    "read_captions",
    "read_image_urls",
    "released_eval_pmids",
]
