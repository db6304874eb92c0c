"""`mecsim run` is stopped in every way: no finished run is lost, no file is half there, and it goes on where it was."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mecsim.experiments.provenance import read_manifest
from processes import is_alive, wait_until

from mecsim.experiments.checks import damaged
from mecsim.experiments.store import read_meta, remove_abandoned

COMMAND = """
import os, sys
from pathlib import Path

folder = Path(os.environ["FOLDER"])
if __name__ == "__main__":
    from mecsim import cli
    from mecsim.experiments.panels import PROFILES, Profile

    tiny = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}
    PROFILES["quick"] = Profile(4, 40, 10, folder / "runs", {"INTO": tiny})
    cli.main()
else:
    (folder / "workers" / str(os.getpid())).touch()  # a worker imports this file, too
"""
ALL = 12  # three points of Fig. 3(b), four seeds


class Command:
    """The command in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        (folder / "workers").mkdir(exist_ok=True)
        (folder / "command.py").write_text(COMMAND)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, folder / "command.py", "run", "fig3b", "--workers", "1"],
                env={**os.environ, "FOLDER": str(folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_stored(self, count: int) -> None:
        """Waits for so many results."""
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
def start(tmp_path):
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


def all_whole(folder: Path) -> bool:
    return all(read_meta(path)["run"] for path in (folder / "runs").glob("*.parquet"))


def test_ctrl_c_and_killed_runners_and_workers_cost_no_finished_run(start, tmp_path) -> None:
    runs = tmp_path / "runs"

    interrupted = start()
    interrupted.until_stored(1)
    os.killpg(interrupted.process.pid, signal.SIGINT)  # as a terminal sends it
    said = interrupted.end()
    first = results(tmp_path)
    assert interrupted.process.returncode == 130
    assert 1 <= len(first) < ALL
    expected, *_, stopped = said.splitlines()
    assert expected.startswith(f"quick runs: 0 of {ALL} done in 0:00:00, about 0:")
    assert stopped == f"Stopped: {len(first)} of {ALL} runs are stored; run the same again to go on."
    assert "Traceback" not in said
    assert not damaged(runs)
    assert len(read_manifest(runs)) == len(first)

    killed = start()
    killed.until_stored(len(first) + 1)
    killed.process.kill()
    killed.end()
    second = results(tmp_path)
    assert len(first) < len(second) < ALL
    assert second.items() >= first.items()
    assert all_whole(tmp_path)
    half_written = runs / f".next.parquet.{killed.process.pid}.part"
    half_written.write_bytes(b"PAR1")

    bereft = start()
    bereft.until_stored(len(second) + 1)
    os.kill(bereft.worker(), signal.SIGKILL)
    said = bereft.end()
    assert bereft.process.returncode == 0, said
    assert said.splitlines()[-1] == f"{ALL} runs are stored."
    assert len(results(tmp_path)) == ALL
    assert results(tmp_path).items() >= second.items()
    assert not damaged(runs)
    assert len(read_manifest(runs)) == ALL
    assert sorted(path.suffix for path in runs.iterdir()) == [".json"] + [".parquet"] * ALL


def test_what_a_living_process_is_writing_stays(tmp_path) -> None:
    writing = tmp_path / f".a.parquet.{os.getpid()}.part"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    abandoned = tmp_path / f".b.parquet.{dead.pid}.part"
    for path in (writing, abandoned):
        path.touch()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [writing]
