"""Bad rows are counted once over all data workers, and recorded with one line each."""

import json
import pickle
from pathlib import Path

import pytest
from torch.utils.data import DataLoader
from transformers import LlavaProcessor

from llavamed_trainer.collate import BadRow, BadRowReason, BadRows, LlavaMedCollator, TooManyBadRowsError

from .conftest import row


@pytest.mark.slow
@pytest.mark.parametrize(("start", "workers", "epochs"), [("fork", 2, 2), ("spawn", 1, 1)])
def test_workers_share_one_count_and_one_record(
    processor: LlavaProcessor, tmp_path: Path, start: str, workers: int, epochs: int
) -> None:
    path = tmp_path / "run" / "bad_rows.jsonl"
    rows = [row(b"x", id=str(number)) if number % 3 == 0 else row(id=str(number)) for number in range(12)]
    collator = LlavaMedCollator(processor, bad_rows=BadRows(path=path))
    loader = DataLoader(
        rows, batch_size=2, collate_fn=collator, num_workers=workers, multiprocessing_context=start
    )
    collator(rows[:2])  # here, beside the workers
    for _ in range(epochs):
        assert sum(len(batch["pixel_values"]) for batch in loader) == 8
    assert collator.bad_rows.counts == {BadRowReason.IMAGE_UNREADABLE: 4}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == ["0", "3", "6", "9"]
    assert {line["reason"] for line in lines} == {"image unreadable"}


def test_the_error_of_a_data_worker_is_one_line_that_names_the_row(processor: LlavaProcessor) -> None:
    collator = LlavaMedCollator(processor, bad_rows=BadRows(limit=0))
    loader = DataLoader(
        [row(b"x", id="first")], collate_fn=collator, num_workers=1, multiprocessing_context="fork"
    )
    with pytest.raises(TooManyBadRowsError) as caught:
        list(loader)
    assert str(caught.value).startswith("1 row could not be trained on, 0 are allowed (image unreadable 1)")
    assert "\n" not in str(caught.value)


def test_a_resumed_run_continues_the_count_and_a_new_record_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    BadRows(path=path).add(BadRow("a", BadRowReason.NO_ANSWER, "one\nline"))
    resumed = BadRows(limit=1, path=path)
    resumed.add(BadRow("a", BadRowReason.NO_ANSWER, ""))
    assert [bad.detail for bad in resumed] == ["one line"]
    with pytest.raises(TooManyBadRowsError):
        resumed.add(BadRow("b", BadRowReason.NO_IMAGE, ""))
    path.unlink()
    assert resumed.counts == {}


def test_a_pickled_copy_shares_the_count_and_the_temporary_record_is_deleted_with_the_original() -> None:
    bad = BadRows()
    copy = pickle.loads(pickle.dumps(bad))
    copy.add(BadRow("a", BadRowReason.NO_ANSWER, "é" * 1000))
    assert bad.counts == {BadRowReason.NO_ANSWER: 1}
    path = bad.path
    del copy
    assert path.exists()
    del bad
    assert not path.exists()


def test_a_line_that_was_cut_off_when_the_disk_was_full_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "bad_rows.jsonl"
    path.write_text('{"id": "a", "reason": "no image", "detail": ""}\n{"id": "b", "rea')
    bad_rows = BadRows(path=path)
    bad_rows.add(BadRow("c", BadRowReason.NO_ANSWER, ""))  # ends the line that was cut off
    bad_rows.add(BadRow("d", BadRowReason.NO_ANSWER, ""))
    assert [row.id for row in BadRows(path=path)] == ["a", "d"]
