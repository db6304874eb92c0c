"""The runner: what it would compute is told before; nothing is computed twice, stored half or lost, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from processes import is_alive, wait_until
from typer.testing import CliRunner

from mecsim.experiments import runner
from mecsim.experiments.cli import app
from mecsim.experiments.panels import PROFILES, RunStore, runs_of
from mecsim.experiments.parallel import clock_time, duration_s
from mecsim.experiments.runner import describe
from mecsim.experiments.runs import LEARNERS, WORK, Run, path_of
from mecsim.experiments.store import MACHINE, read_meta

COMMAND = """
import os, sys, time
from pathlib import Path

folder = Path(os.environ["FOLDER"])
if __name__ == "__main__":
    import signal

    from mecsim.experiments.cli import main
    from mecsim.experiments.panels import PROFILES, Profile

    PROFILES["quick"] = Profile(1, 0, 2, folder / "runs")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without
    main()
else:  # a worker imports this file, too: it computes no more runs than the test allows
    from mecsim.experiments import runs

    (folder / "workers" / str(os.getpid())).touch()
    measure = runs.measure

    def measure_if_allowed(*run):
        while len(list((folder / "runs").glob("*.parquet"))) >= int((folder / "allowed").read_text()):
            time.sleep(0.02)
        return measure(*run)

    runs.measure = measure_if_allowed
"""
ALL = 6  # two rules at three places, which need no torch


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], folder=tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_training_keeps_a_checkpoint_of_its_own(folder, monkeypatch) -> None:
    jobs = []
    monkeypatch.setattr(runner, "compute", lambda store, wanted, *_: jobs.extend(wanted))
    wanted = runner.run_experiments(["fig3b"], seeds=1)
    assert [job.scratch for job in jobs] == [WORK / f"{run.key}.safetensors" for run in wanted]


def test_a_dry_run_lists_what_is_missing_with_its_cost_and_writes_nothing(folder) -> None:
    command = ["run", "fig3b", "change", "--dry-run", "--seeds", "2", "--workers", "2"]
    first, head, *rows, last = CliRunner().invoke(app, command).output.splitlines()
    assert not folder.exists()
    assert first == "0 of 14 runs are stored. Missing:"
    assert head.split() == ["agent", "what", "differs", "runs", "seeds", "time"]
    groups = {" ".join(row.split()[:-4]): row.split()[-4:] for row in rows}
    assert list(groups) == [
        "INTO gamma",
        "INTO 150 slots",
        "INTO then award_scale, 150 slots",
        "INTO then award_scale",
    ]
    assert [group[:3] for group in groups.values()] == [[count, "0,", "1"] for count in "6224"]
    costs_s = [run.about_s for run in runs_of(command[1:3], "quick", seeds=2)]
    assert last == (
        f"14 runs: about {clock_time(sum(costs_s))} on one core like that of the stored runs (AMD EPYC), "
        f"{clock_time(duration_s(costs_s, 2))} with workers = 2."
    )


def test_what_is_stored_is_not_listed_again(folder) -> None:
    folder.mkdir()
    first, *others = wanted = runs_of(["fig3b"], "quick", seeds=1)
    path_of(first, folder).touch()
    assert describe(wanted, "quick", 1).startswith("1 of 3 runs are stored. Missing:")
    for run in others:
        path_of(run, folder).touch()
    assert describe(wanted, "quick", 1) == "3 of 3 runs are stored: nothing is missing."


@pytest.mark.parametrize(("agent", "low", "high"), [("INTO", 95, 120), ("DDQN", 25, 35), ("LPWPO", 0.1, 2)])
def test_a_run_of_the_paper_takes_what_it_took(agent, low, high) -> None:
    run = Run(agent=agent, slots=2000 if agent in LEARNERS else 0)
    assert low < run.about_s < high
    assert run.replace(evaluation_slots=1000).about_s > run.about_s


def allow(folder: Path, count: int) -> None:
    """Lets the worker go on until so many results are stored."""
    partial = folder / "allowed.part"
    partial.write_text(str(count))
    partial.replace(folder / "allowed")


class Command:
    """The command in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        (folder / "workers").mkdir(exist_ok=True)
        allow(folder, 0)
        (folder / "command.py").write_text(COMMAND)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, folder / "command.py", "run", "twin-harvest-noise", "--workers", "1"],
                env={**os.environ, "FOLDER": str(folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_stored(self, count: int) -> None:
        """Lets the worker compute so many results, after which it waits, and waits for them."""
        allow(self.folder, count)
        wait_until(lambda: len(results(self.folder)) >= count or self.process.poll() is not None, seconds=120)
        assert self.process.poll() is None, self.log.read_text()

    def end(self) -> str:
        """Waits until no process of the group is left, and returns what the command wrote."""
        self.process.wait(timeout=120)
        wait_until(lambda: not self._alive(), seconds=120)
        return self.log.read_text()

    def worker(self) -> int:
        """The process that is computing."""
        known = [int(path.name) for path in (self.folder / "workers").iterdir()]
        (alive,) = [pid for pid in known if is_alive(pid)]
        return alive

    def _alive(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def start(tmp_path) -> Iterator:
    commands: list[Command] = []

    def started() -> Command:
        commands.append(Command(tmp_path))
        return commands[-1]

    yield started
    for command in commands:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.wait()


def results(folder: Path) -> dict[str, int]:
    """The time of change of each result."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "runs").glob("*.parquet")}


def test_ctrl_c_and_killed_runners_and_workers_cost_no_finished_run(start, tmp_path) -> None:
    runs = tmp_path / "runs"

    interrupted = start()
    interrupted.until_stored(1)
    os.killpg(interrupted.process.pid, signal.SIGINT)  # as a terminal sends it
    said = interrupted.end()
    first = results(tmp_path)
    assert interrupted.process.returncode == 130
    assert len(first) == 1
    assert f"quick runs: 0 of {ALL} done in 0:00:00, about 0:" in said
    assert said.splitlines()[-1] == f"Stopped: 1 of {ALL} runs are stored; run the same again to go on."
    assert "Traceback" not in said
    assert not RunStore(runs).damaged()
    assert len(RunStore(runs).manifest()) == 1

    killed = start()
    killed.until_stored(2)
    killed.process.kill()
    killed.end()
    second = results(tmp_path)
    assert len(second) == 2
    assert second.items() >= first.items()
    assert all(read_meta(path)["run"] for path in runs.glob("*.parquet"))
    half_written = runs / f".next.parquet.{MACHINE}.{killed.process.pid}.part"
    half_written.write_bytes(b"PAR1")

    bereft = start()
    bereft.until_stored(3)
    os.kill(bereft.worker(), signal.SIGKILL)
    allow(tmp_path, ALL)
    said = bereft.end()
    assert bereft.process.returncode == 0, said
    assert said.splitlines()[-1] == f"{ALL} runs are stored."
    assert len(results(tmp_path)) == ALL
    assert results(tmp_path).items() >= second.items()
    assert not RunStore(runs).damaged()
    assert len(RunStore(runs).manifest()) == ALL
    assert sorted(path.suffix for path in runs.iterdir()) == [".json"] + [".parquet"] * ALL
