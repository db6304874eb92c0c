"""What peers do in the tests of `mecsim bench`; apart from those, so that a peer's process has little to load."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import peak_rss_bytes
from mecsim.experiments.parallel import THREAD_VARIABLES
from mecsim.settings import SettingError


class Counter:
    """Adds up what it is asked to, prints, and knows which process it is in."""

    def __init__(self, start: int) -> None:
        self.total = start
        print("set up")

    def __call__(self, more: int) -> tuple[int, int]:
        self.total += more
        print("at work", flush=True)
        return self.total, os.getpid()


def threads_allowed() -> Callable[[], tuple[list[str], set[str]]]:
    """Says what the process may use, and which libraries were loaded before that was settled."""
    early = {"torch", "numpy"} & set(sys.modules)
    return lambda: ([os.environ[name] for name in THREAD_VARIABLES], early)


class Trouble:
    """Gets into trouble while it is set up, or at work."""

    def __init__(self, what: str = "") -> None:
        if what:
            self(what)

    def __call__(self, what: str) -> None:
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            os._exit(3)
        raise SettingError(f"{what} = 'none' is not allowed: it should be some.")


def sleeper() -> Callable[[], None]:
    """Works for longer than any test."""
    return lambda: time.sleep(600)


class Diary:
    """Writes down when it is ready, starts and ends."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.write("ready")

    def __call__(self) -> str:
        self.write("start")
        self.write("end")
        return self.name

    def write(self, what: str) -> None:
        """Adds a line to the diary of all peers."""
        with (self.folder / "diary").open("a") as file:
            file.write(f"{self.name} {what}\n")


class Meeting:
    """Sees the other one only where both are at work at the same time."""

    def __init__(self, mine: str, theirs: str, folder: Path) -> None:
        self.mine, self.theirs = folder / mine, folder / theirs

    def __call__(self) -> bool:
        self.mine.touch()
        give_up = time.monotonic() + 60
        while not self.theirs.exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        return self.theirs.exists()


class Hoard:
    """Takes memory, gives it back, and says what the peak was before and after."""

    def __call__(self, size: int) -> tuple[int, int]:
        before = peak_rss_bytes()
        bytearray(b"x") * size
        return before, peak_rss_bytes()
