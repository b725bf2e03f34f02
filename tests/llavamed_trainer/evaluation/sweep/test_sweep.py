"""Running a plan: small real commands in place of training, killed, failed and taken up again."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavamed_data.engine.ray import RayEngine
from llavamed_data.engine.slurm import SlurmEngine
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.sweep import SweepPlan, SweepRun, run_plan
from llavamed_trainer.evaluation.sweep.plan import PYTHON
from llavamed_trainer.evaluation.tables import collect
from tests.servers.slurm import scripts

MARK = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'); sys.exit(int(sys.argv[3]))"


def made(folder: Path, **codes: int) -> SweepPlan:
    """base ─ a ─ (b ─ c, d): each notes its name in the file `ran` and ends with its code."""

    def run(name: str, needs: str | None) -> SweepRun:
        letter = name[-1]
        command = (PYTHON, "-c", MARK, str(folder / "ran"), letter, str(codes.get(letter, 0)))
        return SweepRun(
            name, "stage2", letter, (command,), needs, {"recipe": f"recipe-{letter}", "epochs": 1}
        )

    runs = [run("a", None), run("a/b", "a"), run("a/d", "a"), run("a/b/c", "a/b")]
    return SweepPlan("test", folder / "out", {each.name: each for each in runs}, 8)


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


def test_all_is_run_once_and_a_second_start_runs_nothing(tmp_path: Path) -> None:
    first = run_plan(made(tmp_path))
    assert (first.count("done"), first.kept) == (4, 0)
    again = run_plan(made(tmp_path))
    assert (again.count("done"), again.kept) == (4, 4)
    assert ran(tmp_path) == ["a", "b", "d", "c"]


def test_a_failure_is_named_its_dependents_wait_and_the_others_go_on(tmp_path: Path) -> None:
    report = run_plan(made(tmp_path, b=3))
    assert report.states == {"a": "done", "a/b": "failed", "a/d": "done", "a/b/c": "waiting"}
    assert "failed with exit code 3" in report.reasons["a/b"]
    assert ran(tmp_path) == ["a", "b", "d"]


def test_after_the_cause_is_fixed_only_the_rest_is_run(tmp_path: Path) -> None:
    script = tmp_path / "b.py"
    plan = made(tmp_path)
    before = plan.runs["a/b"]
    broken = SweepRun(
        before.name, before.kind, before.label, ((PYTHON, str(script)),), before.needs, before.facts
    )
    plan = SweepPlan(plan.name, plan.folder, {**plan.runs, "a/b": broken}, plan.unshared)
    report = run_plan(plan)
    assert "can't open file" in report.reasons["a/b"]
    script.write_text("print('fixed')")
    assert run_plan(plan).count("done") == 4
    assert ran(tmp_path) == ["a", "d", "c"]


def test_a_run_made_with_other_settings_is_not_taken_for_this_one(tmp_path: Path) -> None:
    run_plan(made(tmp_path))
    with pytest.raises(UsageError, match="was made with other settings than this grid states"):
        run_plan(made(tmp_path, c=1))


def test_hours_reach_the_tables_unless_a_run_was_interrupted(tmp_path: Path) -> None:
    run_plan(made(tmp_path, d=1))
    plan = made(tmp_path)
    found = collect(tmp_path / "out").hours
    assert {run.recipe for run in found} == {"recipe-a", "recipe-b", "recipe-c"}
    (tmp_path / "out" / "a" / "d" / "sweep.json").unlink()
    report = run_plan(plan)
    assert report.count("done") == 4
    # What the first start of d took is not known any more: its hours are not stated, rather than too few.
    assert {run.recipe for run in collect(tmp_path / "out").hours} == {"recipe-a", "recipe-b", "recipe-c"}


SLOW_AT_FIRST = """
import pathlib, sys, time
begun = pathlib.Path(sys.argv[1])
if not begun.exists():
    begun.touch()
    time.sleep(3)
"""


def slow(folder: Path) -> SweepPlan:
    command = (PYTHON, "-c", SLOW_AT_FIRST, str(folder / "begun"))
    return SweepPlan(
        "test", folder / "out", {"slow": SweepRun("slow", "stage1", "slow", (command,), None)}, 1
    )


def test_a_killed_sweep_goes_on_and_never_runs_beside_what_it_left(tmp_path: Path) -> None:
    code = f"import sys; from {__name__} import *; run_plan(slow(Path(sys.argv[1])))"
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    first = run_plan(slow(tmp_path))  # the command still sleeps, though its driver is gone
    assert "is still running" in first.reasons["slow"]
    while run_plan(slow(tmp_path)).reasons:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert run_plan(slow(tmp_path)).states == {"slow": "done"}


def test_slurm_runs_one_job_each_in_their_order_and_none_after_a_failure(slurm: Path, tmp_path: Path) -> None:
    engine = SlurmEngine(sbatch={"partition": "gpu", "gres": "gpu:8"}, defaults={})
    report = run_plan(made(tmp_path, b=3), engine)
    assert report.states == {"a": "done", "a/b": "failed", "a/d": "done", "a/b/c": "waiting"}
    assert "failed with exit code 3" in report.reasons["a/b"]
    assert sorted(ran(tmp_path)) == ["a", "b", "d"]
    first, second = scripts(slurm)  # a alone, then b and d as an array
    assert "--array" not in first
    assert "#SBATCH --array=0-1%" in second
    assert all("#SBATCH --gres=gpu:8\n" in each and "--mem-per-cpu" not in each for each in (first, second))


@pytest.mark.slow
def test_ray_runs_one_task_each_and_none_after_a_failure(tmp_path: Path) -> None:
    report = run_plan(made(tmp_path, b=3), RayEngine(retries=0))
    assert report.states == {"a": "done", "a/b": "failed", "a/d": "done", "a/b/c": "waiting"}
    assert "failed with exit code 3" in report.reasons["a/b"]


def test_two_sweeps_do_not_work_in_one_folder(tmp_path: Path) -> None:
    plan = made(tmp_path)
    second: list[str] = []

    def start_another(run: SweepRun, state: str, reason: str) -> None:
        if not second:
            with pytest.raises(LlavaMedError, match="another sweep is running"):
                run_plan(plan)
            second.append(run.name)

    run_plan(plan, on_state=start_another)
    assert second == ["a"]


def test_a_record_is_complete_or_absent(tmp_path: Path) -> None:
    run_plan(made(tmp_path, b=1))
    out = tmp_path / "out"
    assert json.loads((out / "a" / "done.json").read_text())["name"] == "a"
    assert not (out / "a" / "b" / "done.json").exists()
    assert not list(out.rglob("*.part"))
