"""Tasks in worker processes: each done once, an error passed on, a killed worker survived."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from mecsim.experiments.parallel import MOST_LOSSES, THREAD_VARIABLES, WorkersLost, run_tasks


class Task(NamedTuple):
    """One line to write, and whether something happens first."""

    folder: Path
    name: str
    trouble: str = ""


def work(task: Task) -> None:
    """Writes down the threads that a worker is allowed, after the trouble that was ordered."""
    tried = task.folder / f"{task.name}.tried"
    before = tried.read_text() if tried.exists() else ""
    tried.write_text(before + "x")
    if task.trouble == "error":
        raise ValueError(f"{task.name} cannot be done")
    if task.trouble == "killed always" or (task.trouble == "killed once" and not before):
        os.kill(os.getpid(), signal.SIGKILL)
    (task.folder / task.name).write_text(" ".join(os.environ.get(name, "") for name in THREAD_VARIABLES))


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.suffix)


def test_every_task_is_done_once_with_one_thread(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    run_tasks(work, [Task(tmp_path, name) for name in "abc"], workers=1)
    assert results(tmp_path) == ["a", "b", "c"]
    for name in "abc":
        assert (tmp_path / name).read_text() == "1 1 1"
        assert (tmp_path / f"{name}.tried").read_text() == "x"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_nothing_to_do(tmp_path) -> None:
    run_tasks(work, [])
    assert results(tmp_path) == []


def test_an_error_in_a_task_is_passed_on(tmp_path) -> None:
    with pytest.raises(ValueError, match="b cannot be done"):
        run_tasks(work, [Task(tmp_path, "a"), Task(tmp_path, "b", "error")], workers=1)
    assert results(tmp_path) == ["a"]


def test_a_killed_worker_costs_only_the_task_in_hand(tmp_path) -> None:
    run_tasks(work, [Task(tmp_path, "a"), Task(tmp_path, "b", "killed once"), Task(tmp_path, "c")], workers=1)
    assert results(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / "b.tried").read_text() == "xx"
    assert (tmp_path / "c.tried").read_text() == "x"


def test_a_task_that_always_kills_is_given_up(tmp_path) -> None:
    with pytest.raises(WorkersLost, match="killed 4 times"):
        run_tasks(work, [Task(tmp_path, "a", "killed always")], workers=1)
    assert (tmp_path / "a.tried").read_text() == "x" * (MOST_LOSSES + 1)
