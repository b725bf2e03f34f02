"""The schemas: what they are made of, and that `datasets` reads what is derived from them."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from llavamed_data.dataset.schema import (
    KINDS,
    arrow_schema,
    columns,
    features,
    kind_of,
    load_schema,
    validator,
)
from llavamed_data.errors import UsageError
from llavamed_data.validation import Check
from tests.llavamed_data.validation.sets import DOMAINS, MAKERS, jpeg, sound_set, turn

SHARED = [
    "images",
    "messages",
    "id",
    "domain",
    "caption",
    "inline_mentions",
    "figure_label",
    "pmcid",
    "pmid",
    "license",
    "provenance",
]


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("alignment", []),
        ("instruct", []),
        ("eval", ["question_id", "question_type"]),
        ("vqa", ["answer_type", "question_type", "language"]),
        ("choice", ["question", "choices", "answer_type", "question_type", "language"]),
    ],
)
def test_columns_come_in_the_published_order(kind: str, extra: list[str]) -> None:
    assert list(columns(kind)) == SHARED + extra
    assert arrow_schema(kind).names == SHARED + extra


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_valid_and_need_no_other_file(kind: str) -> None:
    schema = load_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == list(schema["properties"])
    assert "$ref" not in str(schema)


def test_every_check_that_a_schema_names_exists() -> None:
    def named(node: object) -> set[str]:
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = {node["x-check"]} if isinstance(node, dict) and "x-check" in node else set()
        return own.union(*map(named, children))

    for kind in KINDS:
        assert named(load_schema(kind)) <= set(Check)


def test_types_are_those_of_datasets() -> None:
    from datasets import Image as ImageFeature
    from datasets import List, Value

    text = Value("string")
    assert features("eval")["images"] == List(ImageFeature())
    assert features("eval")["messages"] == List({"role": text, "content": List({"type": text, "text": text})})
    assert features("eval")["question_id"] == Value("int64")
    assert features("instruct")["inline_mentions"] == List(text)
    assert features("instruct")["domain"] == text


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="choose from alignment, instruct, eval, vqa, choice"):
        load_schema("train")


@pytest.mark.parametrize(
    ("kind", "recipe", "wanted"),
    [
        ("alignment", "alignment-600k", "alignment"),
        ("instruct", "10k", "instruct"),
        ("instruct", "60k-im", "instruct"),
        ("instruct", "my-own", "instruct"),
        ("instruct", None, "instruct"),
        ("eval", "eval", "eval"),
        ("vqa", "slake", "vqa"),
        ("choice", "pmc-vqa", "choice"),
        ("choice", None, "choice"),
    ],
)
def test_the_kind_is_told_from_columns_and_recipe(kind: str, recipe: str | None, wanted: str) -> None:
    assert kind_of(columns(kind), recipe) == wanted


def test_importing_the_schemas_does_not_import_datasets() -> None:
    code = "import sys, llavamed_data.dataset.schema; sys.exit('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SAYING = st.text(min_size=1, max_size=50).filter(
    lambda text: any(map(str.isalnum, text)) and "<image>" not in text
)
ROUNDS = st.lists(st.tuples(SAYING, SAYING), min_size=1, max_size=4)
PICTURE = jpeg(0)


@st.composite
def instruct_rows(draw: st.DrawFn) -> dict[str, object]:
    turns = []
    for index, (question, answer) in enumerate(draw(ROUNDS)):
        turns += [turn("user", question, image=index == 0), turn("assistant", answer)]
    digits = st.from_regex(r"[0-9]{1,9}", fullmatch=True)
    return MAKERS["instruct"](0) | {
        "images": [{"bytes": PICTURE, "path": draw(st.none() | st.text(max_size=20))}],
        "messages": turns,
        "id": draw(st.from_regex(r"[0-9]+_[\w.-]+", fullmatch=True)),
        "domain": draw(st.sampled_from(DOMAINS)),
        "caption": draw(st.text()),
        "inline_mentions": draw(st.lists(st.text(), max_size=5)),
        "figure_label": draw(st.text(max_size=20)),
        "pmcid": draw(st.none() | digits.map("PMC{}".format)),
        "pmid": draw(st.none() | digits),
        "license": draw(SAYING),
    }


@given(row=instruct_rows())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_rows_of_the_stated_form_pass_and_their_arrow_form_too(row: dict[str, object]) -> None:
    import pyarrow as pa

    assert list(validator("instruct").iter_errors(row)) == []
    (back,) = pa.Table.from_pylist([row], arrow_schema("instruct")).to_pylist()
    assert back == row


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_load_dataset_reads_a_folder_of_that_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, streaming: bool
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = sound_set(tmp_path / "set", kind)
    split = "test" if kind == "eval" else "train"
    loaded = datasets.load_dataset(
        str(folder), split=split, streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    rows = list(loaded)
    assert loaded.features == features(kind)
    assert len(rows) == 12
    wanted = MAKERS[kind](11)
    pictures = [Image.open(io.BytesIO(image["bytes"])) for image in wanted["images"]]
    assert [image.size for image in rows[11]["images"]] == [picture.size for picture in pictures]
    assert rows[11] | {"images": None} == wanted | {"images": None}
