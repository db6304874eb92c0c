"""Tasks in worker processes: each done once, an error passed on, who always kills given up, and the time left told."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import joblib
import pytest

from mecsim.experiments.parallel import (
    LINE_EVERY_S,
    MOST_LOSSES,
    THREAD_VARIABLES,
    Progress,
    WorkersLost,
    clock_time,
    default_workers,
    duration_s,
    run_tasks,
)
from mecsim.settings import SettingError


class Task(NamedTuple):
    """One line to write, and whether something happens first."""

    folder: Path
    name: str
    trouble: str = ""


def work(task: Task) -> None:
    """Writes down the threads that a worker is allowed, after the trouble that was ordered."""
    with (task.folder / f"{task.name}.tried").open("a") as tried:
        tried.write("x")
    if task.trouble == "error":
        raise ValueError(f"{task.name} cannot be done")
    if task.trouble == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    (task.folder / task.name).write_text(" ".join(os.environ.get(name, "") for name in THREAD_VARIABLES))


def do(tasks: list[Task]) -> None:
    run_tasks(work, tasks, [1.0] * len(tasks), workers=1)


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.suffix)


def test_every_task_is_done_once_with_one_thread(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    do([Task(tmp_path, name) for name in "abc"])
    assert results(tmp_path) == ["a", "b", "c"]
    for name in "abc":
        assert (tmp_path / name).read_text() == "1 1 1"
        assert (tmp_path / f"{name}.tried").read_text() == "x"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_an_error_in_a_task_is_passed_on(tmp_path) -> None:
    with pytest.raises(ValueError, match="b cannot be done"):
        do([Task(tmp_path, "a"), Task(tmp_path, "b", "error")])
    assert results(tmp_path) == ["a"]


def test_a_task_that_always_kills_is_given_up(tmp_path) -> None:
    with pytest.raises(WorkersLost, match="killed 4 times"):
        do([Task(tmp_path, "a", "killed")])
    assert (tmp_path / "a.tried").read_text() == "x" * (MOST_LOSSES + 1)


class TestHowManyWorkers:
    """Explicit numbers come first, then what the system and the job allow."""

    @pytest.mark.parametrize(
        ("slurm", "told", "expected"), [("", "", 4), ("1", "", 1), ("8", "", 4), ("1", "6", 6)]
    )
    def test_as_many_as_cores_may_be_used(self, monkeypatch, slurm, told, expected) -> None:
        monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
        monkeypatch.setenv("MECSIM_WORKERS", told)
        assert default_workers() == expected

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="there is no affinity here")
    def test_affinity_counts(self) -> None:
        one_core = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
        asked = "from mecsim.experiments.parallel import default_workers; print(default_workers())"
        environment = {**os.environ, "MECSIM_WORKERS": "", "SLURM_CPUS_PER_TASK": ""}
        command = [sys.executable, "-c", f"{one_core}; {asked}"]
        assert subprocess.check_output(command, text=True, env=environment) == "1\n"

    @pytest.mark.parametrize("told", ["0", "two", "-1"])
    def test_no_number_is_refused(self, monkeypatch, told) -> None:
        monkeypatch.setenv("MECSIM_WORKERS", told)
        with pytest.raises(
            SettingError, match=f"MECSIM_WORKERS = '{told}' is not allowed: it should be a number"
        ):
            default_workers()


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("costs", "workers", "expected"),
    [([], 2, 0), ([5, 5, 5], 1, 15), ([5, 5, 5], 2, 10), ([1, 1, 9], 2, 10), ([9, 1, 1], 2, 9), ([4], 8, 4)],
)
def test_workers_take_up_one_task_after_the_other(costs, workers, expected) -> None:
    assert duration_s(costs, workers) == expected


def test_the_time_left_is_known_before_anything_is_done(clock) -> None:
    progress = Progress("runs", [100.0, 100.0, 2.0, 2.0], workers=2, clock=clock)
    assert progress.left_s() == pytest.approx(102.0)
    clock.forward(30.0)
    assert progress.left_s() == pytest.approx(72.0)
    clock.forward(300.0)
    assert progress.left_s() == 0.0


@pytest.mark.parametrize(
    ("costs", "done", "took_s", "left_s"),
    [
        ([10.0] * 1000, 500, 20.0, 500 * 20.0),  # the machine is slower than told
        ([1.0] * 50 + [99.0] * 50, 50, 1.0, 50 * 99.0),  # long and short tasks count as what they cost
    ],
)
def test_the_time_left_follows_the_pace(clock, costs, done, took_s, left_s) -> None:
    progress = Progress("runs", costs, workers=1, clock=clock)
    for number in range(done):
        clock.forward(took_s)
        progress.advance(number)
    assert progress.left_s() == pytest.approx(left_s, rel=0.01)


def test_a_long_task_at_the_end_is_not_shared_between_workers(clock) -> None:
    progress = Progress("runs", [10.0, 10.0, 100.0], workers=2, clock=clock)
    clock.forward(10.0)
    progress.advance(0)
    progress.advance(1)
    assert 100.0 <= progress.left_s() < 200.0


def test_a_log_file_gets_a_line_a_minute_and_the_last(clock, capsys) -> None:
    with Progress("runs", [30.0] * 4, workers=1, clock=clock) as progress:
        for number in range(4):
            clock.forward(LINE_EVERY_S / 2)
            progress.advance(number)
    assert capsys.readouterr().err.splitlines() == [
        "runs: 0 of 4 done in 0:00:00, about 0:02:00 left",
        "runs: 2 of 4 done in 0:01:00, about 0:01:00 left",
        "runs: 4 of 4 done in 0:02:00",
    ]


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress("runs", [10.0, 30.0], workers=1, clock=clock) as progress:
        clock.forward(30.0)
        progress.advance(1)
    shown = capsys.readouterr().err.split("\r")
    assert any("0%|" in line and "runs: 0 of 2 done in 0:00:00, about 0:00:40 left" in line for line in shown)
    assert any("75%|" in line and "runs: 1 of 2 done" in line for line in shown)


def test_nothing_to_do_is_not_shown(capsys) -> None:
    do([])
    with Progress("runs", [], 1) as progress:
        progress.show()
    assert capsys.readouterr().err == ""


def test_the_time_of_a_clock() -> None:
    assert clock_time(3723.4) == "1:02:03"
