"""The pictures of a report on disk, as a card finds them again."""

import json
from collections.abc import Mapping
from pathlib import Path

from hub_cards import Picture
from llavamed_data.errors import LlavaMedError

FOLDER = "stats"
"""Of the report, in a dataset's folder."""

PAGE = "index.html"

_CAPTIONS = "captions.json"


def write_captions(report: Path, captions: Mapping[str, str]) -> None:
    """Leaves file name → caption, in the order of the page."""
    text = json.dumps(captions, indent=1, ensure_ascii=False)
    (report / _CAPTIONS).write_text(f"{text}\n", encoding="utf-8")


def pictures_of(dataset: Path) -> list[Picture]:
    """The pictures in the report of a dataset's folder, with paths relative to that folder; [] without a report.

    Raises:
        LlavaMedError: the report is damaged.
    """
    path = dataset / FOLDER / _CAPTIONS
    if not path.is_file():
        return []
    try:
        captions = json.loads(path.read_text(encoding="utf-8"))
        named = [Picture(str(caption), f"{FOLDER}/{Path(name).name}") for name, caption in captions.items()]
    except (ValueError, AttributeError) as error:
        raise LlavaMedError(
            f"{path} is damaged: delete {path.parent}, or make it anew (python -m llavamed_data stats {dataset})"
        ) from error
    return [picture for picture in named if (dataset / picture.path).is_file()]
