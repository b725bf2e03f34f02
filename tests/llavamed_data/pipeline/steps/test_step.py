"""A step's output is complete or absent, whatever happens while it is made."""

import errno
import json
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_data.pipeline.steps.step import Step, StepResult, fingerprint
from llavamed_data.reasons import Tally


def _work(text: str = "whole", calls: list[Path] | None = None):
    def work(partial: Path) -> StepResult:
        if calls is not None:
            calls.append(partial)
        (partial / "out.txt").write_text(text)
        return StepResult({"rows": Tally(kept=2, dropped={"no image": 1})}, facts={"size": 3})

    return work


def test_a_finished_step_is_not_run_again_and_keeps_its_counts(tmp_path: Path) -> None:
    calls: list[Path] = []
    first = Step(tmp_path / "s", "a" * 64).run(_work(calls=calls))
    again = Step(tmp_path / "s", "a" * 64).run(_work(calls=calls))
    assert len(calls) == 1
    assert (first.skipped, again.skipped) == (False, True)
    assert again.tallies["rows"].entered == 3
    assert again.facts == {"size": 3}


def test_other_inputs_run_it_again_and_replace_the_output(tmp_path: Path) -> None:
    Step(tmp_path / "s", "a" * 64).run(_work("old"))
    Step(tmp_path / "s", "b" * 64).run(_work("new"))
    assert (tmp_path / "s" / "out.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("damage", ["missing", "shorter", "manifest"])
def test_an_output_that_was_tampered_with_is_not_trusted(tmp_path: Path, damage: str) -> None:
    Step(tmp_path / "s", "a" * 64).run(_work("whole"))
    if damage == "missing":
        (tmp_path / "s" / "out.txt").unlink()
    elif damage == "shorter":
        (tmp_path / "s" / "out.txt").write_text("who")
    else:
        (tmp_path / "s" / "manifest.json").write_text('{"step": "s"')
    Step(tmp_path / "s", "a" * 64).run(_work("whole"))
    assert (tmp_path / "s" / "out.txt").read_text() == "whole"


def test_work_that_fails_leaves_the_old_output_and_nothing_new(tmp_path: Path) -> None:
    Step(tmp_path / "s", "a" * 64).run(_work("old"))

    def full(partial: Path) -> StepResult:
        (partial / "out.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(partial / "out.txt"))

    with pytest.raises(LlavaMedError, match="no space left .*out.txt.*rerun the same command"):
        Step(tmp_path / "s", "b" * 64).run(full)
    assert (tmp_path / "s" / "out.txt").read_text() == "old"
    assert Step(tmp_path / "s", "b" * 64).finished() is None


def test_a_kill_between_the_two_renames_loses_no_output(tmp_path: Path) -> None:
    Step(tmp_path / "s", "a" * 64).run(_work("old"))
    (tmp_path / "s").rename(tmp_path / ".s.old")

    def fails(partial: Path) -> StepResult:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(LlavaMedError):
        Step(tmp_path / "s", "b" * 64).run(fails)
    assert (tmp_path / "s" / "out.txt").read_text() == "old"


def test_only_a_resumable_step_goes_on_in_what_a_kill_left(tmp_path: Path) -> None:
    for resumable, expected in ((True, ["left", "out.txt"]), (False, ["out.txt"])):
        step = Step(tmp_path / "s", "c" * 64, resumable=resumable)
        step.unfinished.mkdir()
        (step.unfinished / "left").write_text("by a kill")
        step.run(_work())
        names = sorted(path.name for path in (tmp_path / "s").iterdir())
        assert names == sorted([*expected, "manifest.json"])
        (tmp_path / "s" / "manifest.json").unlink()


def test_an_output_that_another_run_could_improve_is_not_trusted_later(tmp_path: Path) -> None:
    def unlucky(partial: Path) -> StepResult:
        (partial / "out.txt").write_text("some images were unreachable")
        return StepResult({}, final=False)

    Step(tmp_path / "s", "a" * 64).run(unlucky)
    assert Step(tmp_path / "s", "a" * 64).finished() is None


def test_a_manifest_elsewhere_keeps_the_folder_clean(tmp_path: Path) -> None:
    step = Step(tmp_path / "set", "a" * 64, manifest=tmp_path / "work" / "set.json")
    step.run(_work())
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["out.txt"]
    assert json.loads((tmp_path / "work" / "set.json").read_text())["outputs"] == {"out.txt": 5}


def test_the_fingerprint_depends_on_every_part_and_not_on_dict_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert len({fingerprint("a", "b"), fingerprint("ab"), fingerprint("a", "c")}) == 3
