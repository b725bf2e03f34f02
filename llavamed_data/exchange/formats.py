"""The formats by name: how a row is written, where its image lies, and what a trainer is told."""

from dataclasses import dataclass

from llavamed_data.errors import UsageError
from llavamed_data.exchange.forms import FULL, LLAVA, SHAREGPT, Form

IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: as flags have it.
        form: how it writes a row.
        suffix: of the file of a split's rows.
        prefix: what stands before an image's name in a row: where its reader looks from.
        usage: how it is read, for the README of an export; `{split}` stands for a split.
    """

    name: str
    form: Form
    suffix: str
    prefix: str
    usage: str

    @property
    def packed(self) -> bool:
        """Rows and images lie in tar files."""
        return self.suffix == ".tar"


_LLAVA = """LLaVA: `--data_path {split}.json --image_folder images`."""
_SHAREGPT = """LLaMA-Factory: `--dataset_dir . --dataset {split}`, in this folder (`dataset_info.json` describes it).

ms-swift: `swift sft --dataset {split}.jsonl`, in this folder.

axolotl: `{split}.axolotl.jsonl`, in this folder:

```yaml
datasets:
  - path: {split}.axolotl.jsonl
    ds_type: json
    type: chat_template
```"""
_JSONL = """One row a line with all its columns; `images[].file` names the image file.

```python
rows = [json.loads(line) for line in open("{split}.jsonl", encoding="utf-8")]
```"""
_WEBDATASET = """One sample a row: `KEY.jpg` (or `.png`, …; more images as `KEY.1.jpg`) and `KEY.json` with all columns.

```python
samples = webdataset.WebDataset(sorted(glob.glob("{split}-*.tar"))).decode("pil")
```"""

FORMATS = {
    made.name: made
    for made in (
        Format("llava", LLAVA, ".json", "", _LLAVA),
        Format("sharegpt", SHAREGPT, ".jsonl", f"{IMAGES}/", _SHAREGPT),
        Format("webdataset", FULL, ".tar", "", _WEBDATASET),
        Format("jsonl", FULL, ".jsonl", f"{IMAGES}/", _JSONL),
    )
}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise UsageError(f"no format is called {name!r}: choose from {', '.join(FORMATS)}")
    return FORMATS[name]
