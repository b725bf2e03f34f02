"""Made-up rows with every kind of value that a Parquet file can hold, for tests that nothing is lost."""

import io
import math
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image

from llavamed_data.dataset.schema import arrow_schema

EXTRA = pa.schema(
    [
        *arrow_schema("instruct"),
        pa.field("score", pa.float64()),
        pa.field("year", pa.int64()),
        pa.field("mask", pa.binary()),
        pa.field("boxes", pa.list_(pa.struct([("name", pa.string()), ("side", pa.list_(pa.int32()))]))),
    ],
    arrow_schema("instruct").metadata,
)

texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "<image>",
            "<image>\nWhat?",
            "\nWhat?\n",
            "---\nlicense: mit\n---",
            "<script>alert(1)</script>",
            "=HYPERLINK(1)",
            "\x1b[31m",
            " ",
            "../../etc/passwd",
        ]
    ),
)
parts = st.one_of(
    st.just({"type": "image", "text": None}),
    st.builds(lambda text: {"type": "text", "text": text}, st.none() | texts),
)
turns = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "human", "system"]) | texts,
        "content": st.lists(parts, max_size=3),
    }
)
images = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "bytes": st.one_of(
                st.none(), st.binary(max_size=20), st.just(b"\xff\xd8jpeg"), st.just(b"\x89PNG")
            ),
            "path": st.one_of(
                st.none(),
                texts,
                st.sampled_from(["a.jpg", "A.JPG", "../../a.jpg", "/etc/passwd", "con.jpg"]),
            ),
        }
    ),
)
rows = st.fixed_dictionaries(
    {
        "images": st.none() | st.lists(images, max_size=3),
        "messages": st.none() | st.lists(turns, max_size=4),
        "id": st.none() | texts,
        "domain": st.one_of(st.none(), texts, st.sampled_from(["mri", "gross"])),
        "caption": st.none() | texts,
        "inline_mentions": st.none() | st.lists(texts, max_size=2),
        "figure_label": texts,
        "pmcid": st.none() | texts,
        "pmid": st.none(),
        "license": texts,
        "provenance": st.none()
        | st.fixed_dictionaries(
            {
                name: st.none() | texts for name in EXTRA.field("provenance").type.names
            }  # every key, as Arrow gives them
        ),
        "score": st.none() | st.floats(),
        "year": st.none() | st.integers(-(2**63), 2**63 - 1),
        "mask": st.none() | st.binary(max_size=8),
        "boxes": st.none()
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.none() | texts, "side": st.none() | st.lists(st.integers(-5, 5), max_size=2)}
            ),
            max_size=2,
        ),
    }
)


def write(folder: Path, given: list[dict[str, Any]], schema: pa.Schema = EXTRA, split: str = "train") -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / "data" / f"{split}-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(given, schema), path)
    return folder


def read(folder: Path, split: str = "train") -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted((folder / "data").glob(f"{split}-*.parquet"))]
    )


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit: NaN is itself, 0.0 is not -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and one == other


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 160)).save(file, "PNG")
    return file.getvalue()
