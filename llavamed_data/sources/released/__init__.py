"""The LLaVA-Med files as the paper's authors released them, read as streams and never trusted.

`ReleasedFiles` finds a recipe's file, `RowFile` (or plain `read_rows`) reads its conversations,
`read_captions` the input of generation, `pmcids_of` the list of image addresses, `ImageFolder` the images
beside them, and `identify` says whether a copy is the released one. The files are under CC BY-NC 4.0.
"""

from llavamed_data.sources.released.captions import CaptionRecord, read_captions
from llavamed_data.sources.released.eval_articles import released_eval_pmids
from llavamed_data.sources.released.files import Identity, ReleasedFiles, identify
from llavamed_data.sources.released.image_urls import PmcFiles, pmcids_of
from llavamed_data.sources.released.images import ImageFolder
from llavamed_data.sources.released.mentions import mend_tokens
from llavamed_data.sources.released.rows import ReleasedRow, RowFile, read_rows

__all__ = [
    "CaptionRecord",
    "Identity",
    "ImageFolder",
    "PmcFiles",
    "ReleasedFiles",
    "ReleasedRow",
    "RowFile",
    "identify",
    "mend_tokens",
    "pmcids_of",
    "read_captions",
    "read_rows",
    "released_eval_pmids",
]
