"""What peers do in the tests of `mecsim bench`; apart from those, so that a peer's process has little to load."""

import os
import signal
import sys
import time

from benchmarks.peers import peak_rss_bytes
from mecsim.experiments.parallel import THREAD_VARIABLES
from mecsim.settings import SettingError


class Counter:
    """Adds up what it is asked to, prints, and knows which process it is in and what that one may use."""

    def __init__(self, start: int) -> None:
        self.total = start
        self.threads = [os.environ[name] for name in THREAD_VARIABLES]
        self.early = {"torch", "numpy"} & set(sys.modules)  # loaded before the threads were settled
        print("set up")

    def __call__(self, more: int) -> tuple[int, int]:
        self.total += more
        print(f"{self.threads} {self.early}", flush=True)
        return self.total, os.getpid()


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
        if what == "sleep":
            time.sleep(600)  # longer than any test
        raise SettingError(f"{what} = 'none' is not allowed: it should be some.")


class Hoard:
    """Takes memory, gives it back, and says what the peak was before and after."""

    def __call__(self, size: int) -> tuple[int, int]:
        before = peak_rss_bytes()
        bytearray(b"x") * size
        return before, peak_rss_bytes()
