"""A folder belongs to one run: the same one goes on there, another is refused."""

from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_trainer.running.parsing import Call, parse_call
from llavamed_trainer.running.record import begin, finish, look_at


def call(folder: Path, *flags: str) -> Call:
    return parse_call(["--config", "stage1", "--output_dir", str(folder), *flags])


def checkpoint(folder: Path, step: int, state: str = '{"global_step": 1}') -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text(state)
    return path


def test_a_new_folder_begins(tmp_path: Path) -> None:
    standing = look_at(tmp_path / "new", call(tmp_path / "new"))
    assert (standing.checkpoint, standing.done) == (None, False)


def test_the_same_run_goes_on_from_its_last_whole_checkpoint(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    checkpoint(tmp_path, 90)
    checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 200, state='{"global')  # cut off by a kill
    (tmp_path / "checkpoint-300").mkdir()
    assert look_at(tmp_path, call(tmp_path)).checkpoint == tmp_path / "checkpoint-100"


def test_how_it_is_run_may_change(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    last = checkpoint(tmp_path, 100)
    other = call(tmp_path, "--save_steps", "10", "--per_device_train_batch_size", "4", "--report_to", "none")
    assert look_at(tmp_path, other).checkpoint == last


def test_another_run_is_refused_and_told_what_differs(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    with pytest.raises(
        UsageError, match=r"holds another run \(stage1; learning_rate 0.002 there, 0.001 here\)"
    ):
        look_at(tmp_path, call(tmp_path, "--learning_rate", "1e-3"))
    with pytest.raises(UsageError, match="use_peft not set there, True here"):
        look_at(tmp_path, call(tmp_path, "--use_peft"))


def test_more_epochs_may_follow_where_that_is_asked_for(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    finish(tmp_path, call(tmp_path))
    last = checkpoint(tmp_path, 100)
    more = call(tmp_path, "--num_train_epochs", "3", "--resume_from_checkpoint", "true")
    standing = look_at(tmp_path, more)
    assert (standing.checkpoint, standing.done) == (last, False)


def test_a_done_run_is_done(tmp_path: Path) -> None:
    finish(tmp_path, call(tmp_path))
    assert look_at(tmp_path, call(tmp_path)).done


def test_what_nobody_knows_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"holds what no run of train left there \(thesis.tex\)"):
        look_at(tmp_path, call(tmp_path))


def test_a_checkpoint_that_is_named_must_be_whole(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path / "a", 5)
    assert (
        look_at(tmp_path / "b", call(tmp_path / "b", "--resume_from_checkpoint", str(whole))).checkpoint
        == whole
    )
    with pytest.raises(UsageError, match="is no whole checkpoint"):
        look_at(tmp_path / "b", call(tmp_path / "b", "--resume_from_checkpoint", str(tmp_path)))
    with pytest.raises(UsageError, match="there is no whole checkpoint"):
        look_at(tmp_path / "b", call(tmp_path / "b", "--resume_from_checkpoint", "true"))


def test_starting_over_in_a_used_folder_is_refused(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    checkpoint(tmp_path, 5)
    with pytest.raises(UsageError, match="move it away to train from the start"):
        look_at(tmp_path, call(tmp_path, "--resume_from_checkpoint", "false"))


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        look_at(tmp_path, call(tmp_path))


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    begin(tmp_path, call(tmp_path))
    for step in (9, 1000, 200):
        checkpoint(tmp_path, step)
    assert look_at(tmp_path, call(tmp_path)).checkpoint == tmp_path / "checkpoint-1000"
