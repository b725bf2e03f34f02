"""An article of the evaluation set is in no training set beside it, whichever of the two is validated."""

from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.validation import Check, validate
from llavamed_data.validation.articles import count_shared_articles
from tests.llavamed_data.validation.sets import eval_row, instruct_row, sound_set, write_set


def test_sets_without_a_common_article_are_sound(tmp_path: Path) -> None:
    sound_set(tmp_path / "10k", "instruct")
    sound_set(tmp_path / "alignment-600k", "alignment")
    sound_set(tmp_path / "eval", "eval", first=100)
    for name in ("10k", "alignment-600k", "eval"):
        assert validate(str(tmp_path / name)).faults == []


@pytest.mark.parametrize("kind", ["instruct", "alignment"])
def test_a_common_article_is_caught_from_both_sides(tmp_path: Path, kind: str) -> None:
    sound_set(tmp_path / "training", kind)
    sound_set(tmp_path / "eval", "eval", first=11)
    training, evaluation = validate(str(tmp_path / "training")), validate(str(tmp_path / "eval"))
    assert [(fault.check, fault.row, fault.id) for fault in training.faults] == [
        (Check.ARTICLES, 5, "9011_F1")
    ]
    assert [(fault.check, fault.row, fault.id) for fault in evaluation.faults] == [
        (Check.ARTICLES, 0, "9011_F1")
    ]
    assert "eval" in training.faults[0].message
    assert "training" in evaluation.faults[0].message


def test_an_article_known_by_its_pmid_alone_is_caught(tmp_path: Path) -> None:
    sound_set(tmp_path / "10k")
    row = eval_row(3) | {"pmcid": None, "id": "another"}
    write_set(tmp_path / "eval", [row], kind="eval", shards=1)
    assert [fault.field for fault in validate(str(tmp_path / "10k")).faults] == ["pmid"]


def test_training_sets_may_share_articles(tmp_path: Path) -> None:
    sound_set(tmp_path / "10k", "instruct")
    sound_set(tmp_path / "alignment-600k", "alignment")
    assert validate(str(tmp_path / "10k")).ok


def test_beside_names_the_sets_to_compare_with(tmp_path: Path) -> None:
    here = sound_set(tmp_path / "here" / "10k")
    there = sound_set(tmp_path / "there" / "eval", "eval")
    assert validate(str(here)).ok
    assert validate(str(here), beside=[str(there)]).totals == {Check.ARTICLES: 12}
    sound_set(tmp_path / "here" / "eval", "eval")
    assert validate(str(here), beside=[]).ok


def test_a_set_beside_it_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "10k")
    sound_set(tmp_path / "eval", "eval", first=100)
    (tmp_path / "eval/data/test-00000-of-00002.parquet").write_bytes(b"PAR1")
    (fault,) = validate(str(folder)).faults
    assert fault.check == Check.ARTICLES
    assert "eval" in fault.message


def test_the_folder_may_be_called_by_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound_set(tmp_path / "10k")
    write_set(tmp_path / "eval", [eval_row(0)], kind="eval", shards=1)
    monkeypatch.chdir(tmp_path / "10k")
    assert validate(".").totals == {Check.ARTICLES: 1}


def test_beside_must_exist(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "10k", [instruct_row(0)], shards=1)
    with pytest.raises(UsageError, match="no such/set/here"):
        validate(str(folder), beside=["no such/set/here"])


@pytest.mark.parametrize("kind", ["instruct", "alignment"])
def test_common_articles_are_counted_once_each_from_both_sides(tmp_path: Path, kind: str) -> None:
    training = sound_set(tmp_path / "training", kind)
    by_pmid = eval_row(3) | {"pmcid": None, "id": "another"}
    again = eval_row(4) | {"id": "again"}
    rows = [eval_row(4), again, by_pmid, eval_row(100)]
    evaluation = write_set(tmp_path / "eval", rows, kind="eval", shards=2)
    assert count_shared_articles(training, evaluation) == count_shared_articles(evaluation, training) == 2
    assert count_shared_articles(training, training) == count_shared_articles(evaluation, evaluation) == 0
