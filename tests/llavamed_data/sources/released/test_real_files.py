"""The released evaluation files themselves, where they lie beside the checkout."""

import collections
import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from llavamed_data.reasons import Drop
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released import (
    CaptionRecord,
    ImageFolder,
    ReleasedFiles,
    ReleasedRow,
    RowFile,
    identify,
    read_captions,
    read_image_urls,
    released_eval_pmids,
)

CAPTIONS = "llava_med_eval_qa50_fig_captions.json"


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "llava_med_eval"


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[ReleasedRow]:
    found = list(RowFile(ReleasedFiles(str(folder)).rows("eval")))
    assert all(isinstance(row, ReleasedRow) for row in found)
    return [row for row in found if isinstance(row, ReleasedRow)]


def test_every_question_of_the_released_evaluation_set_is_read(rows: list[ReleasedRow]) -> None:
    assert len(rows) == 193
    assert collections.Counter(row.question_type for row in rows) == {
        "conversation": 143,
        "detailed_description": 50,
    }
    assert len({row.pair_id for row in rows}) == 50
    assert len({row.id for row in rows}) == 193
    assert sum(not row.inline_mentions for row in rows) == 14


def test_domains_are_those_of_table_1(rows: list[ReleasedRow]) -> None:
    counts = collections.Counter(row.domain for row in rows)
    assert [counts[domain] for domain in DOMAINS] == [37, 38, 44, 34, 40]


def test_no_text_is_changed_but_for_the_marker(folder: Path, rows: list[ReleasedRow]) -> None:
    lines = (folder / "llava_med_eval_qa50_qa.jsonl").read_text().splitlines()
    for row, record in zip(rows, map(json.loads, lines), strict=True):
        question, answer = record["text"].removesuffix("\n<image>"), record["gpt4_answer"]
        assert row.turns == (("user", question), ("assistant", answer))
        assert (row.caption, row.figure_label) == (record["fig_caption"].strip(), record["fig_label"])
        assert row.id == f"{record['pair_id']}-q{record['question_id']}"
        assert row.image == record["image"]


def test_files_with_a_known_checksum_are_identified(folder: Path) -> None:
    table = json.loads((folder / "released_files_sha256.json").read_text())
    known = [name for path in table if (folder / (name := Path(path).name)).is_file()]
    assert len(known) == 3
    for name in known:
        identity = identify(str(folder / name))
        assert identity.released == name
        assert identity.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_the_table_of_checksums_equals_the_published_one(folder: Path) -> None:
    from llavamed_data.sources.released.files import released_files

    ours = {
        f"{file.folder}/{file.name}": (file.sha256, file.size) for file in released_files() if file.sha256
    }
    given = json.loads((folder / "released_files_sha256.json").read_text())
    assert ours == {path: (entry["sha256"], entry["size"]) for path, entry in given.items()}


def test_reading_and_identifying_are_one_pass(folder: Path) -> None:
    file = RowFile(ReleasedFiles(str(folder)).rows("eval"))
    assert file.identity is None
    assert sum(1 for _ in file) == 193
    assert str(file.identity) == "the released llava_med_eval_qa50_qa.jsonl"


def test_115_questions_have_one_of_29_whole_images(folder: Path, rows: list[ReleasedRow]) -> None:
    images = ImageFolder(folder / "images")
    with_whole: list[str] = []
    for row in rows:
        found = images.read(row.image)
        assert not isinstance(found, Drop)
        assert found == (folder / "images" / row.image).read_bytes()
        if _is_whole(folder / "images" / row.image):
            with_whole.append(row.image)
    assert len(with_whole) == 115
    assert len(set(with_whole)) == 29


def _is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def test_captions_are_read(folder: Path, rows: list[ReleasedRow]) -> None:
    records = [
        record for record in read_captions(str(folder / CAPTIONS)) if isinstance(record, CaptionRecord)
    ]
    assert len(records) == 50
    assert sum(not record.inline_mentions for record in records) == 4
    captions = {record.pair_id: record.caption for record in records}
    assert captions == {row.pair_id: row.caption for row in rows}
    assert records[0].graphic == "cd/6e/PMC2988167/LI-27-196-g003.jpg"
    assert (records[0].pmid, records[0].figure_id, records[0].domain) == ("21139713", "F0003", "chest_xray")


def test_packages_of_all_pairs_are_found(folder: Path, rows: list[ReleasedRow]) -> None:
    pmc = read_image_urls(str(folder / "qa50_image_urls.jsonl"))
    assert {row.pair_id for row in rows} == set(pmc)
    assert pmc["21139713_F0003"] == ("PMC2988167", "LI-27-196-g003.jpg")
    assert pmc.malformed == 0


def test_eval_pmids_are_those_of_the_file(rows: list[ReleasedRow]) -> None:
    assert len(released_eval_pmids()) == 50
    assert released_eval_pmids() == {row.pmid for row in rows}


def test_the_captions_file_is_not_taken_for_conversations(folder: Path) -> None:
    with pytest.raises(Exception, match="holds figure captions by domain"):
        list(RowFile(str(folder / CAPTIONS)))


def test_answer_files_are_not_taken_for_questions(folder: Path) -> None:
    answers = folder / "llava_med_qa50_instruct_caption_in_text_cleaned-60k-3epoch.json"
    assert all(isinstance(row, tuple) for row in RowFile(str(answers)))
