"""Makes the bundled corpus anew: `python -m tests.sample_corpus.draw OUT`.

Written by hand and copied as they are: the articles (`corpus/PMC….N/PMC….N.xml`) and supplements (`.csv`).
Drawn here, from images.yaml: every figure. Derived from both, by `bucket.write`: plain text, metadata JSON
with its checksums, inventory. What is wrong on purpose stands in faults.yaml. Equal inputs give equal files,
up to the last bits that another release of numpy, Pillow or its JPEG library may set differently.

To change the corpus, edit the XML or images.yaml, run this on a new folder, copy the result over `corpus/`.
"""

import io
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from llavamed_data.sources.sample import corpus_path
from tests.sample_corpus import bucket, charts, ct, heads, mr, radiographs, specimens, tissue

HERE = Path(__file__).parent
DRAW: Mapping[str, Callable[..., Image.Image]] = {
    function.__name__: function
    for function in (
        radiographs.chest_radiograph,
        ct.ct_chest,
        ct.ct_abdomen,
        heads.ct_head,
        heads.mr_brain,
        mr.mr_knee,
        mr.mr_spine,
        mr.mr_liver,
        tissue.tissue,
        specimens.specimen,
        charts.bar_chart,
        charts.survival_chart,
        charts.flow_chart,
    )
}


def draw(out: Path) -> None:
    """Writes the whole corpus to `out`, which must not exist or be empty.

    Raises:
        FileExistsError: `out` holds something.
    """
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty: name a new folder")
    faults = yaml.safe_load((HERE / "faults.yaml").read_text("utf-8"))
    plan = yaml.safe_load((HERE / "images.yaml").read_text("utf-8"))
    for article in sorted(corpus_path().glob("PMC*.*")):
        (out / article.name).mkdir(parents=True)
        for path in sorted([*article.glob("*.xml"), *article.glob("*.csv")]):
            shutil.copyfile(path, out / article.name / path.name)
    absent = {}
    for article, files in plan.items():
        for name, drawing in files.items():
            key = f"{article}/{name}"
            data = _encode(_picture(drawing), png=key in faults["png_bytes"])
            if key in faults["truncated"]:
                data = data[: len(data) * 3 // 5]
            if key in faults["absent"]:
                absent[key] = data
            else:
                (out / key).write_bytes(data)
    bucket.write(out, absent, faults)


def _picture(drawing: Mapping[str, Mapping[str, Any]]) -> Image.Image:
    ((function, arguments),) = drawing.items()
    if function != "panels":
        return DRAW[function](**arguments)
    rest = {name: value for name, value in arguments.items() if name != "of"}
    return charts.panels([_picture(part) for part in arguments["of"]], **rest)


def _encode(picture: Image.Image, *, png: bool) -> bytes:
    data = io.BytesIO()
    if png:
        picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).quantize(
            32, dither=Image.Dither.NONE
        ).save(data, "PNG", optimize=True)
    else:
        picture.save(data, "JPEG", quality=70, optimize=True)
    return data.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name if __spec__ else 'draw'} OUT")
    draw(Path(sys.argv[1]))
