"""Which files of a folder are taken for which split, and where the image of a row is found."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import load_benchmark
from llavamed_data.sources.benchmarks import ImagePlaces, OriginalTypes, Reading, Wanted, open_benchmark
from tests.llavamed_data.sources.benchmarks import drawn
from tests.llavamed_data.sources.benchmarks.drawn import RAD_ROWS, picture, write

RAD, SLAKE, PATH = map(load_benchmark, ("vqa-rad", "slake", "path-vqa"))


def splits(name: str, location: Path) -> list[tuple[str, int]]:
    files = open_benchmark(load_benchmark(name), str(location))
    return [(split, position) for split, position, _ in files.records(lambda *_: "image")]


def test_the_forms_of_vqa_rad(tmp_path: Path) -> None:
    both = [("train", 1), ("train", 2), ("train", 3), ("test", 1), ("test", 2)]
    pair, public = drawn.write_rad_pair(tmp_path / "pair"), drawn.write_rad_public(tmp_path / "public")
    assert splits("vqa-rad", pair) == both
    assert splits("vqa-rad", public) == both
    assert splits("vqa-rad", public / "VQA_RAD Dataset Public.json") == both
    assert splits("vqa-rad", pair / "testset.json") == both[3:]
    hub = drawn.write_rad_hub(tmp_path / "hub")
    assert splits("vqa-rad", hub) == [("train", 1), ("train", 2), ("test", 1), ("test", 2)]
    assert splits("vqa-rad", hub / "data" / "test-00000-of-00001.parquet") == [("test", 1), ("test", 2)]


def test_the_forms_of_slake(tmp_path: Path) -> None:
    folder = drawn.write_slake(tmp_path)
    six = [(split, number) for split in ("train", "validation", "test") for number in (1, 2)]
    assert splits("slake", folder) == six
    plain = folder / "validate.json"
    write(folder / "validation.json.gz", gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert splits("slake", folder) == six
    assert splits("slake", folder / "validation.json.gz") == six[2:4]
    (folder / "test.json").unlink()
    assert open_benchmark(SLAKE, str(folder)).missing == ["test"]


def test_the_forms_of_pathvqa(tmp_path: Path) -> None:
    nine = [(split, number) for split in ("train", "validation", "test") for number in (1, 2, 3)]
    assert splits("path-vqa", drawn.write_path(tmp_path / "pvqa")) == nine
    assert splits("path-vqa", drawn.write_path(tmp_path / "json", as_json=True)) == nine


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file or folder nowhere"):
        open_benchmark(SLAKE, "nowhere")
    with pytest.raises(
        UsageError, match=r"no file of SLAKE: looked for train\.json, validation\.json, test\.json"
    ):
        open_benchmark(SLAKE, str(tmp_path))
    with pytest.raises(UsageError, match="does not tell which split of SLAKE"):
        open_benchmark(SLAKE, str(write(tmp_path / "rows.json", "[]")))


def test_a_broken_file_is_named_with_the_place(tmp_path: Path) -> None:
    write(tmp_path / "train.json", '[{"qid": 1}, {"qid"')
    with pytest.raises(LlavaMedError, match=r"train\.json is broken at byte"):
        splits("slake", tmp_path)
    write(tmp_path / "b" / "train-00000-of-00001.parquet", b"PAR1 but no more")
    with pytest.raises(LlavaMedError, match="no sound Parquet file"):
        splits("path-vqa", tmp_path / "b")


def test_images_are_found_by_name_path_and_bare_name(tmp_path: Path) -> None:
    write(tmp_path / "images" / "train" / "train_0001.jpg", b"bare")
    write(tmp_path / "images" / "synpic1.jpg", b"jpg")
    write(tmp_path / "images" / "synpic1.png", b"png")
    for number in (1, 2):
        write(tmp_path / "imgs" / f"xmlab{number}" / "source.jpg", b"%d" % number)
    places = ImagePlaces(tmp_path)
    assert places.read("train_0001") == b"bare"
    assert (places.read("synpic1.jpg"), places.read("synpic1.png")) == (b"jpg", b"png")
    assert (places.read("xmlab1/source.jpg"), places.read("xmlab2/source.jpg")) == (b"1", b"2")
    missing = places.read("xmlab3/source.jpg")
    assert isinstance(missing, Drop)
    assert (missing.reason, missing.detail) == (Reason.IMAGE_MISSING, "xmlab3/source.jpg")


def test_images_of_archives_are_read_in_place(tmp_path: Path) -> None:
    folder = drawn.write_slake(tmp_path / "slake", zipped=True)
    for root in (folder, folder / "imgs.zip"):
        assert ImagePlaces(root).read("xmlab1/source.jpg") == picture(1)
    write(folder / "imgs" / "xmlab1" / "source.jpg", b"a file counts before an archive's member")
    assert ImagePlaces(folder).read("xmlab1/source.jpg") == b"a file counts before an archive's member"


def test_a_damaged_archive_loses_its_image_and_no_other(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "imgs.zip", "w") as archive:
        for number in (1, 2):
            archive.writestr(f"imgs/xmlab{number}/source.jpg", picture(number))
    content = bytearray((tmp_path / "imgs.zip").read_bytes())
    content[200] ^= 255
    (tmp_path / "imgs.zip").write_bytes(content)
    places = ImagePlaces(tmp_path)
    lost = places.read("xmlab1/source.jpg")
    assert isinstance(lost, Drop)
    assert lost.reason == Reason.IMAGE_UNREADABLE
    assert places.read("xmlab2/source.jpg") == picture(2)


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "a.jpg", b"secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.jpg").symlink_to(outside)
    refused = ImagePlaces(inside).read("a.jpg")
    assert isinstance(refused, Drop)
    assert "leads out of the folder" in refused.detail
    assert ImagePlaces(inside, within=tmp_path).read("a.jpg") == b"secret"


def test_types_are_joined_where_the_texts_tell_them(tmp_path: Path) -> None:
    """`Is there a mass?` – `Yes` is closed in the original file; where two rows differ, nothing is known."""
    twice = [RAD_ROWS[3], RAD_ROWS[3] | {"qid": 9, "answer_type": "OPEN"}]
    write(tmp_path / "trainset.json", json.dumps([RAD_ROWS[0]]))
    write(tmp_path / "testset.json", json.dumps(twice))
    original = OriginalTypes(RAD, open_benchmark(RAD, str(tmp_path)))
    reading = Reading(RAD, Wanted("en"))

    def joined(split: str, question: str, answer: str) -> tuple[str | None, str | None]:
        record = {"image": "x.jpg", "question": question, "answer": answer}
        found = original.joined(reading.question(record, split, 1))
        return found.answer_type, found.question_type

    assert joined("train", "is there a  mass?", "yes") == ("CLOSED", "PRES")
    assert joined("test", "is there a mass?", "yes") == (None, None)
    assert joined("test", "ct or mri?", "mri") == (None, "MODALITY")
