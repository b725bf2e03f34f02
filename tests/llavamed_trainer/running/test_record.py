"""A folder belongs to one run: the same run is resumed there, another is refused."""

from pathlib import Path

import pytest

from hub_cards import TrainingData
from llavamed_data.errors import UsageError
from llavamed_trainer.running import TrainingSettings, parse_settings
from llavamed_trainer.running.record import (
    check_data,
    find_starting_point,
    trained_projector_alone,
    write_record,
)


def settings(folder: Path, *flags: str) -> TrainingSettings:
    return parse_settings(["--config", "stage1", "--output_dir", str(folder), *flags])


def checkpoint(folder: Path, step: int, state: str = '{"global_step": 1}') -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text(state)
    return path


def test_a_run_in_a_new_folder_begins_from_the_start(tmp_path: Path) -> None:
    start = find_starting_point(tmp_path / "new", settings(tmp_path / "new"))
    assert (start.checkpoint, start.done) == (None, False)


def test_the_same_run_resumes_from_its_last_complete_checkpoint(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    checkpoint(tmp_path, 90)
    checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 200, state='{"global')  # cut off by a kill
    (tmp_path / "checkpoint-300").mkdir()
    assert find_starting_point(tmp_path, settings(tmp_path)).checkpoint == tmp_path / "checkpoint-100"


def test_settings_that_do_not_change_the_result_may_differ(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    last = checkpoint(tmp_path, 100)
    other = settings(
        tmp_path, "--save_steps", "10", "--per_device_train_batch_size", "4", "--report_to", "none"
    )
    assert find_starting_point(tmp_path, other).checkpoint == last


def test_another_run_is_refused_and_the_differences_are_named(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    with pytest.raises(
        UsageError, match=r"holds another run \(stage1; learning_rate 0.002 there, 0.001 here\)"
    ):
        find_starting_point(tmp_path, settings(tmp_path, "--learning_rate", "1e-3"))
    with pytest.raises(UsageError, match="use_peft not set there, True here"):
        find_starting_point(tmp_path, settings(tmp_path, "--use_peft"))


def test_a_run_does_not_resume_on_other_data_unless_it_is_told_to(tmp_path: Path) -> None:
    def data(revision: str | None) -> list[TrainingData]:
        return [TrainingData("llava-med/60k", revision, "cc-by-nc-4.0")]

    write_record(tmp_path, settings(tmp_path), data("files 1a"), done=False)
    last = checkpoint(tmp_path, 100)
    for known in ("files 1a", None):  # a version that cannot be looked up may be the same
        check_data(tmp_path, settings(tmp_path), last, data(known))
    with pytest.raises(UsageError, match=r"llava-med/60k has changed .* \(files 1a there, files 2b now\)"):
        check_data(tmp_path, settings(tmp_path), last, data("files 2b"))
    tagged = settings(tmp_path, "--dataset_revision", "v1")
    check_data(tmp_path, tagged, last, data("v1"))  # without a connection the tag is all that is known
    told = settings(tmp_path, "--resume_from_checkpoint", "true")
    check_data(tmp_path, told, last, data("files 2b"))
    write_record(tmp_path, settings(tmp_path), data("c0ffee"), done=False)
    with pytest.raises(
        UsageError, match="give --dataset_revision c0ffee --resume_from_checkpoint true, choose"
    ):
        check_data(tmp_path, settings(tmp_path), last, data("decaf"))
    again = settings(tmp_path, "--dataset_revision", "c0ffee", "--resume_from_checkpoint", "true")
    assert find_starting_point(tmp_path, again).checkpoint == last
    check_data(tmp_path, settings(tmp_path), None, data("files 2b"))  # nothing was trained yet


def test_more_epochs_may_follow_if_resuming_is_asked_for(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    write_record(tmp_path, settings(tmp_path), done=True)
    last = checkpoint(tmp_path, 100)
    more = settings(tmp_path, "--num_train_epochs", "3", "--resume_from_checkpoint", "true")
    start = find_starting_point(tmp_path, more)
    assert (start.checkpoint, start.done) == (last, False)


def test_a_finished_run_is_done(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=True)
    assert find_starting_point(tmp_path, settings(tmp_path)).done


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"holds files that no training run wrote \(thesis.tex\)"):
        find_starting_point(tmp_path, settings(tmp_path))


def test_a_named_checkpoint_must_be_complete(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path / "a", 5)
    assert (
        find_starting_point(
            tmp_path / "b", settings(tmp_path / "b", "--resume_from_checkpoint", str(whole))
        ).checkpoint
        == whole
    )
    with pytest.raises(UsageError, match="is no complete checkpoint"):
        find_starting_point(
            tmp_path / "b", settings(tmp_path / "b", "--resume_from_checkpoint", str(tmp_path))
        )
    with pytest.raises(UsageError, match="there is no complete checkpoint"):
        find_starting_point(tmp_path / "b", settings(tmp_path / "b", "--resume_from_checkpoint", "true"))


def test_starting_over_in_a_used_folder_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    checkpoint(tmp_path, 5)
    with pytest.raises(UsageError, match="move it away to train from the start"):
        find_starting_point(tmp_path, settings(tmp_path, "--resume_from_checkpoint", "false"))


@pytest.mark.parametrize("text", ["{", "[]", '{"made by": "another program"}', "null"])
def test_a_damaged_record_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="is damaged"):
        find_starting_point(tmp_path, settings(tmp_path))


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    write_record(tmp_path, settings(tmp_path), done=False)
    for step in (9, 1000, 200):
        checkpoint(tmp_path, step)
    assert find_starting_point(tmp_path, settings(tmp_path)).checkpoint == tmp_path / "checkpoint-1000"


def test_a_model_of_stage_1_is_told_from_one_that_learnt_to_answer(tmp_path: Path) -> None:
    assert not trained_projector_alone(tmp_path)  # of no run
    write_record(tmp_path, settings(tmp_path), done=True)
    assert trained_projector_alone(tmp_path)
    write_record(tmp_path, settings(tmp_path, "--use_peft"), done=True)
    assert not trained_projector_alone(tmp_path)
    write_record(
        tmp_path, parse_settings(["--config", "stage2-10k", "--output_dir", str(tmp_path)]), done=True
    )
    assert not trained_projector_alone(tmp_path)


@pytest.mark.parametrize("text", ['{"loss": 1}', "no JSON"])
def test_a_file_of_another_program_says_nothing_of_the_stage(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    assert not trained_projector_alone(tmp_path)
