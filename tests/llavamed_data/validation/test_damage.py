"""A sound dataset passes; every way of damaging it is caught, under the name of its check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llavamed_data.dataset.schema import KINDS, arrow_schema, features
from llavamed_data.validation import Check, ValidationReport, validate
from tests.llavamed_data.validation.sets import (
    MAKERS,
    Row,
    card,
    instruct_row,
    jpeg,
    sound_set,
    turn,
    write_set,
)

FIRST = "data/train-00000-of-00002.parquet"
SECOND = "data/train-00001-of-00002.parquet"


def checks(report: ValidationReport) -> set[Check]:
    return set(report.totals)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_set_has_no_fault(tmp_path: Path, kind: str) -> None:
    report = validate(str(sound_set(tmp_path / "set", kind)))
    assert report.faults == []
    assert (report.ok, report.kind, report.rows, report.shards) == (True, kind, 12, 2)


def set_turns(*turns: Row) -> Callable[[Row], None]:
    return lambda row: row.update(messages=list(turns))


def set_value(column: str, value: Any) -> Callable[[Row], None]:
    return lambda row: row.update({column: value})


def set_provenance(**values: Any) -> Callable[[Row], None]:
    return lambda row: row["provenance"].update(values)


def set_image(data: bytes | None) -> Callable[[Row], None]:
    return lambda row: row.update(images=[{"bytes": data, "path": "x.jpg"}])


ASK = turn("user", "What is it?", image=True)
ANSWER = turn("assistant", "Noise.")
PNG_BOMB = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x00\x00\x00\x00"
    b"\x1dY\x9c\xd4\x00\x00\x00\x00IEND\xaeB`\x82"
)

DAMAGED_ROWS: dict[str, tuple[Callable[[Row], None], Check, str]] = {
    "no image": (set_value("images", []), Check.IMAGES, "images"),
    "images null": (set_value("images", None), Check.IMAGES, "images"),
    "two images": (
        lambda row: row.update(images=row["images"] * 2),
        Check.IMAGES,
        "images",
    ),
    "image without bytes": (set_image(None), Check.IMAGES, "images[0].bytes"),
    "image of no bytes": (set_image(b""), Check.IMAGE_DECODES, "images[0]"),
    "image truncated": (set_image(jpeg(1, (400, 300))[:-2000]), Check.IMAGE_DECODES, "images[0]"),
    "image is text": (set_image(b"<html>404</html>"), Check.IMAGE_DECODES, "images[0]"),
    "image is PostScript": (set_image(b"%!PS-Adobe-3.0 EPSF-3.0\n"), Check.IMAGE_DECODES, "images[0]"),
    "image is a bomb": (set_image(PNG_BOMB), Check.IMAGE_DECODES, "images[0]"),
    "no image part": (
        set_turns(turn("user", "What", "is it?"), ANSWER),
        Check.IMAGE_PART,
        "messages[0].content[0].type",
    ),
    "image part after the text": (
        set_turns({"role": "user", "content": [*ASK["content"][::-1]]}, ANSWER),
        Check.IMAGE_PART,
        "messages[0].content[0].type",
    ),
    "two image parts": (
        set_turns({"role": "user", "content": [ASK["content"][0], *ASK["content"]]}, ANSWER),
        Check.IMAGE_PART,
        "messages[0].content[1].type",
    ),
    "image part in a later turn": (
        set_turns(ASK, ANSWER, ASK, ANSWER),
        Check.IMAGE_PART,
        "messages[2].content[0].type",
    ),
    "literal <image>": (
        set_turns(turn("user", "<image>\nWhat is it?", image=True), ANSWER),
        Check.LITERAL_IMAGE,
        "messages[0].content[1].text",
    ),
    "assistant begins": (
        set_turns(turn("assistant", "Noise.", image=True), ANSWER),
        Check.ROLES,
        "messages[0].role",
    ),
    "user twice": (set_turns(ASK, turn("user", "Well?"), ANSWER, ANSWER), Check.ROLES, "messages[1].role"),
    "user has the last word": (
        set_turns(ASK, ANSWER, turn("user", "Thanks.")),
        Check.ROLES,
        "messages[2].role",
    ),
    "unknown role": (
        set_turns(ASK, ANSWER, turn("system", "Be brief."), ANSWER),
        Check.ROLES,
        "messages[2].role",
    ),
    "no messages": (set_value("messages", []), Check.ROLES, "messages"),
    "messages null": (set_value("messages", None), Check.ROLES, "messages"),
    "a turn null": (lambda row: row["messages"].__setitem__(1, None), Check.SCHEMA, "messages[1]"),
    "blank answer": (
        set_turns(ASK, turn("assistant", " \n\t")),
        Check.EMPTY_TURN,
        "messages[1].content[0].text",
    ),
    "turn without parts": (set_turns(ASK, turn("assistant")), Check.EMPTY_TURN, "messages[1].content"),
    "image part alone": (
        set_turns(turn("user", image=True), ANSWER),
        Check.EMPTY_TURN,
        "messages[0].content",
    ),
    "text null": (
        set_turns(ASK, {"role": "assistant", "content": [{"type": "text", "text": None}]}),
        Check.SCHEMA,
        "messages[1].content[0].text",
    ),
    "huge text": (
        set_turns(ASK, turn("assistant", "x" * 3_000_000)),
        Check.SCHEMA,
        "messages[1].content[0].text",
    ),
    "id of another row": (set_value("id", "9000_F1"), Check.IDS, "id"),
    "id null": (set_value("id", None), Check.SCHEMA, "id"),
    "id empty": (set_value("id", ""), Check.SCHEMA, "id"),
    "id with a terminal escape": (set_value("id", "9\x1b[2J"), Check.SCHEMA, "id"),
    "unknown domain": (set_value("domain", "xray"), Check.SCHEMA, "domain"),
    "domain null in an instruct set": (set_value("domain", None), Check.SCHEMA, "domain"),
    "caption null": (set_value("caption", None), Check.SCHEMA, "caption"),
    "mentions null": (set_value("inline_mentions", None), Check.SCHEMA, "inline_mentions"),
    "a mention null": (set_value("inline_mentions", ["a", None]), Check.SCHEMA, "inline_mentions[1]"),
    "pmcid without PMC": (set_value("pmcid", "5001"), Check.SCHEMA, "pmcid"),
    "pmid with a line end": (set_value("pmid", "9001\n"), Check.SCHEMA, "pmid"),
    "licence blank": (set_value("license", " "), Check.LICENCE, "license"),
    "licence null": (set_value("license", None), Check.LICENCE, "license"),
    "provenance null": (set_value("provenance", None), Check.PROVENANCE, "provenance"),
    "source null": (set_provenance(source=None), Check.PROVENANCE, "provenance.source"),
    "checksum that is none": (
        set_provenance(prompt_sha256="abc"),
        Check.PROVENANCE,
        "provenance.prompt_sha256",
    ),
    "another recipe": (set_provenance(recipe="60k"), Check.PROVENANCE, "provenance.recipe"),
}


@pytest.mark.parametrize("name", DAMAGED_ROWS)
def test_a_damaged_row_is_caught_where_it_is(tmp_path: Path, name: str) -> None:
    damage, check, field = DAMAGED_ROWS[name]
    rows = [instruct_row(number) for number in range(12)]
    damage(rows[8])
    report = validate(str(write_set(tmp_path / "set", rows)))
    assert checks(report) <= {check, Check.SCHEMA}
    found = next(fault for fault in report.faults if fault.check == check)
    assert (found.file, found.row, found.field) == (SECOND, 2, field)
    assert found.id == rows[8]["id"]
    assert len(found.message) < 300
    assert report.rows == 12


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("alignment", "messages", instruct_row(1)["messages"]),
        ("eval", "messages", instruct_row(1)["messages"]),
        ("eval", "question_id", None),
        ("eval", "question_type", "essay"),
        ("vqa", "answer_type", "closed"),
        ("vqa", "language", "de"),
        ("vqa", "images", []),
    ],
)
def test_what_one_kind_alone_demands_is_caught(tmp_path: Path, kind: str, column: str, value: Any) -> None:
    rows = [MAKERS[kind](number) for number in range(12)]
    rows[3][column] = value
    report = validate(str(write_set(tmp_path / "set", rows, kind=kind)))
    assert [(fault.row, fault.field) for fault in report.faults] == [(3, column)]


def test_the_evaluation_set_may_have_lost_an_image(tmp_path: Path) -> None:
    rows = [MAKERS["eval"](number) for number in range(4)]
    rows[1]["images"] = []
    assert validate(str(write_set(tmp_path / "eval", rows, kind="eval"))).ok


def remove_shard(folder: Path) -> None:
    (folder / SECOND).unlink()
    (folder / "README.md").write_text(card(train=6))


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(change(pq.read_table(folder / FIRST)), folder / FIRST)


def flip_bytes(folder: Path) -> None:
    """Breaks a page of the caption column; the file's end, where Parquet keeps its index, stays whole."""
    chunk = pq.read_metadata(folder / FIRST).row_group(0).column(4)
    data = bytearray((folder / FIRST).read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    (folder / FIRST).write_bytes(data)


def not_utf8(table: pa.Table) -> pa.Table:
    captions = [b"fine"] * 5 + [b"caf\xe9"]
    broken = pa.Array.from_buffers(pa.string(), 6, pa.array(captions, pa.binary()).buffers())
    return table.set_column(4, table.schema.field("caption"), broken)


def cut(folder: Path) -> None:
    data = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(data[: len(data) // 2])


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder: [(folder / name).write_bytes(data), None][1]


def large_strings(table: pa.Table) -> pa.Table:
    return table.set_column(4, "caption", table["caption"].cast(pa.large_string()))


ALIASES = "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\n"

DAMAGED_FILES: dict[str, tuple[Callable[[Path], None], Check]] = {
    "a shard is missing": (remove_shard, Check.SHARDS),
    "a shard too many": (
        lambda folder: (folder / "data/train-00002-of-00002.parquet").write_bytes(
            (folder / FIRST).read_bytes()
        ),
        Check.SHARDS,
    ),
    "shards of two counts": (
        lambda folder: (folder / FIRST).rename(folder / "data/train-00000-of-00003.parquet"),
        Check.SHARDS,
    ),
    "a file that is no shard": (write("data/notes.txt", "hello"), Check.SHARDS),
    "a split that the kind has not": (
        lambda folder: (folder / FIRST).rename(folder / "data/test-00000-of-00001.parquet"),
        Check.SHARDS,
    ),
    "a shard is empty": (write(FIRST, b""), Check.READABLE),
    "a shard is cut": (cut, Check.READABLE),
    "a page is broken": (flip_bytes, Check.READABLE),
    "a shard is JSON": (write(FIRST, '{"rows": []}'), Check.READABLE),
    "a shard is a Git LFS pointer": (
        write(FIRST, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        Check.READABLE,
    ),
    "a column is missing": (rewrite(lambda table: table.drop_columns(["license"])), Check.COLUMNS),
    "a column too many": (
        rewrite(lambda table: table.append_column("split", pa.array(["train"] * 6))),
        Check.COLUMNS,
    ),
    "columns in another order": (
        rewrite(lambda table: table.select(["messages", "images", *table.column_names[2:]])),
        Check.COLUMNS,
    ),
    "another string type": (rewrite(large_strings), Check.TYPES),
    "no huggingface metadata": (rewrite(lambda table: table.replace_schema_metadata(None)), Check.TYPES),
    "huggingface metadata are not JSON": (
        rewrite(lambda table: table.replace_schema_metadata({"huggingface": b"\xff{"})),
        Check.TYPES,
    ),
    "text is not UTF-8": (rewrite(not_utf8), Check.ENCODING),
    "no card": (lambda folder: (folder / "README.md").unlink(), Check.CARD),
    "a card without metadata": (write("README.md", "# A set\n"), Check.CARD),
    "a card that is not YAML": (write("README.md", "---\na: [\n---\n"), Check.CARD),
    "a card that is not UTF-8": (write("README.md", b"---\ntitle: caf\xe9\n---\n"), Check.CARD),
    "a card of brackets": (write("README.md", f"---\na: {'[' * 50_000}\n---\n"), Check.CARD),
    "a card of aliases": (write("README.md", ALIASES), Check.CARD),
    "a card whose metadata are a list": (write("README.md", "---\n- a\n---\n"), Check.CARD),
    "a card that names other files": (
        write(
            "README.md",
            card(train=12).replace(
                "dataset_info",
                "configs:\n- config_name: default\n"
                "  data_files:\n  - split: train\n    path: data/train-00000-*\ndataset_info",
            ),
        ),
        Check.CARD,
    ),
    "a card of other features": (
        write(
            "README.md",
            card(train=12).replace("  splits", "  features:\n  - name: id\n    dtype: string\n  splits"),
        ),
        Check.CARD,
    ),
    "a card without a licence": (
        write("README.md", card(train=12).replace("license", "licence")),
        Check.LICENCE,
    ),
    "a card that counts wrong": (write("README.md", card(train=11)), Check.COUNTS),
    "a card that counts another split": (write("README.md", card(test=12)), Check.COUNTS),
    "a card that counts in words": (
        write("README.md", card(train=12).replace("num_examples: 12", "num_examples: twelve")),
        Check.COUNTS,
    ),
    "a card without counts": (write("README.md", "---\nlicense: cc-by-4.0\n---\n"), Check.COUNTS),
}


@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_a_damaged_file_is_caught(tmp_path: Path, name: str) -> None:
    damage, check = DAMAGED_FILES[name]
    folder = sound_set(tmp_path / "set")
    damage(folder)
    report = validate(str(folder))
    assert check in checks(report)


def test_a_card_may_state_the_features(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    metadata = yaml.safe_load(card(train=12).split("---")[1])
    metadata["dataset_info"]["features"] = features("instruct")._to_yaml_list()
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(metadata)}---\n")
    assert validate(str(folder)).faults == []


def test_a_flipped_bit_in_a_page_with_a_checksum_is_caught(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    table = pq.read_table(folder / FIRST)
    pq.write_table(table, folder / FIRST, write_page_checksum=True, compression="none")
    data = (folder / FIRST).read_bytes()
    at = data.index(table["images"][3].as_py()[0]["bytes"]) + 300
    (folder / FIRST).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert checks(validate(str(folder))) == {Check.READABLE}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_no_bytes_of_a_shard_make_it_crash(
    hostile: tuple[Path, bytes], flips: list[tuple[float, int]]
) -> None:
    """Half of the flips fall into the last kilobytes, where Parquet keeps its index."""
    folder, sound = hostile
    data = bytearray(sound)
    for place, value in flips:
        at = int(place * 2 * len(data)) if place < 0.5 else len(data) - 1 - int((place - 0.5) * 2 * 4000)
        data[at] = value
    (folder / FIRST).write_bytes(data)
    report = validate(str(folder))
    assert report.ok == (report.faults == [])
    assert report.rows >= 6 or Check.READABLE in report.totals


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, bytes]:
    folder = sound_set(tmp_path / "set")
    return folder, (folder / FIRST).read_bytes()


def test_a_row_that_is_not_utf8_is_named_and_the_others_are_still_checked(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    rewrite(not_utf8)(folder)
    report = validate(str(folder))
    (fault,) = report.faults
    assert (fault.file, fault.row, fault.field) == (FIRST, 5, "caption")
    assert report.rows == 12


def test_columns_of_other_types_are_faults_and_no_crash(tmp_path: Path) -> None:
    wrong = pa.schema([(name, pa.int64()) for name in arrow_schema("instruct").names])
    rows = [dict.fromkeys(wrong.names, 1), dict.fromkeys(wrong.names)]
    report = validate(str(write_set(tmp_path / "set", rows, schema=wrong, shards=1)))
    assert report.totals[Check.TYPES] == len(wrong.names) + 1
    assert report.totals[Check.SCHEMA] > 0
    assert report.rows == 2


def test_a_folder_of_nothing_is_a_fault(tmp_path: Path) -> None:
    report = validate(str(tmp_path))
    assert checks(report) == {Check.SHARDS, Check.CARD}
    assert report.kind is None


def test_faults_are_kept_up_to_twenty_a_check_and_counted_beyond(tmp_path: Path) -> None:
    rows = [instruct_row(number) | {"license": "", "caption": None} for number in range(30)]
    report = validate(str(write_set(tmp_path / "set", rows)))
    assert report.totals == {Check.LICENCE: 30, Check.SCHEMA: 30}
    assert len(report.faults) == 40
