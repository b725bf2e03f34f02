"""The released list of image addresses: the package of the article on PMC, and the file in it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llavamed_data.reasons import Drop
from llavamed_data.sources.packed_table import PackedTable
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.fields import malformed, plain_name, record_fields, text_of
from llavamed_data.sources.released.json_stream import read_records

_PACKAGE = re.compile(r"/(PMC\d+)\.tar\.gz$")


class PmcFiles(Mapping[str, tuple[str, str]]):
    """Maps a pair_id to the PMCID and the name of the image in the article's package; a pair's first line counts.

    Attributes:
        malformed: how many lines could not be used.
    """

    def __init__(self, records: Iterator[Any]) -> None:
        self.malformed = 0
        self._table = PackedTable(self._entries(records))

    def _entries(self, records: Iterator[Any]) -> Iterator[tuple[str, str]]:
        """Yields each pair's id, and its PMCID and the name of the image with a slash between them."""
        for record in records:
            try:
                fields = record_fields(record)
                pair_id = plain_name(fields.get("pair_id"), "pair_id")
                package = _PACKAGE.search(text_of(fields.get("pmc_tar_url"), "pmc_tar_url"))
                if package is None:
                    raise malformed("pmc_tar_url names no package")
                path = text_of(fields.get("image_file_path"), "image_file_path")
                name = plain_name(path.rpartition("/")[2], "image_file_path")
            except Drop:
                self.malformed += 1
            else:
                yield pair_id, f"{package[1]}/{name}"

    def __getitem__(self, pair_id: str) -> tuple[str, str]:
        text = next(self._table.texts(pair_id), None)
        if text is None:
            raise KeyError(pair_id)
        pmcid, _, name = text.partition("/")
        return pmcid, name

    def __iter__(self) -> Iterator[str]:
        """Yields each pair once, in the order of the file."""
        return iter(dict.fromkeys(pair_id for pair_id, _ in self._table))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_image_urls(url_file: str) -> PmcFiles:
    """Reads from which article, and which file of it, each pair's image came.

    `{pair_id: "21139713_F0003", pmc_tar_url: ".../PMC2988167.tar.gz", image_file_path:
    "PMC2988167/LI-27-196-g003.jpg"}` gives `21139713_F0003` → `("PMC2988167", "LI-27-196-g003.jpg")`. All 721,154
    pairs of the release take less than 100 MB.

    Args:
        url_file: `llava_med_image_urls.jsonl` or `qa50_image_urls.jsonl`: a local path, `https://…` or `hf://…`.

    Raises:
        UsageError: no such file.
        LlavaMedError: it cannot be read or breaks off.
    """
    with open_content(url_file) as content:
        return PmcFiles(read_records(content))
